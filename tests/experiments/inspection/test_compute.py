"""Each section of an inspection against torch.nn in float64, plain autograd, or what the section before must imply."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import tasks
from diagnostics.inspection import SECTIONS, Inspection
from experiments.inspection.asked import Asked
from experiments.inspection.compute import inspect
from experiments.spec import Refusal, RunSpec
from experiments.train import HELD_OUT, Trainer
from models.cells import CELLS

torch.set_num_threads(1)
B, H = 3, 5
ALL = [
    ("tanh", "france", None, 1),
    ("sigmoid", "france", None, 1),
    ("relu", "adding", None, 1),
    ("identity", "clouds", None, 1),
    ("gru", "france", None, 2),
    ("lstm", "france", None, 1),
    ("lstm", "adding", None, 2),
    ("gru", "copy", None, 1),
    ("lstm", "delayed_recall", "many-to-many", 1),
]
Case = tuple[RunSpec, dict[str, np.ndarray], Inspection]


@pytest.fixture(scope="module", params=ALL, ids=lambda case: "-".join(str(part) for part in case if part is not None))
def case(request) -> Case:
    cell, task, wiring, layers = request.param
    spec = RunSpec.make(
        task=task, gap=6, wiring=wiring, cell=cell, layers=layers, hidden=H, embedding=4, batch=8, device="cpu"
    )
    trainer = Trainer(spec)
    for step in range(5):
        trainer.step(step)
    weights = trainer.weights()
    return spec, weights, inspect("r-1a2b3c4", spec, 5, weights, Asked(samples=B), lambda share, section: None)


class Plain:
    """The same network of torch.nn's modules in float64, from the weights alone; simple cells are written out."""

    def __init__(self, spec: RunSpec, weights: dict[str, np.ndarray]) -> None:
        self.spec, self.kind = spec, CELLS[spec.cell].kind
        self.weights = {name: torch.from_numpy(values).double().requires_grad_() for name, values in weights.items()}
        task = tasks.build(spec.task, spec.gap, spec.length, spec.wiring)
        whole = task.held_out(spec.seed, HELD_OUT)
        self.targets = torch.from_numpy(whole.targets[..., :B])
        inputs = torch.from_numpy(np.ascontiguousarray(whole.inputs[:, :B]))
        self.x = self.weights["embedding.weight"][inputs] if task.vocabulary else inputs.double()
        self.many, self.mse, self.last = task.wiring == "many-to-many", task.loss == "mse", task.answer_steps[-1]

    def layer(self, index: int) -> list[Tensor]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [self.weights[f"recurrent.layers.{index}.{name}"] for name in names]

    def run(self, index: int, x: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """States of a layer [T,B,H] (and the LSTM's last c), from ``state``."""
        w_ih, w_hh, b_ih, b_hh = self.layer(index)
        zero = torch.zeros(1, B, H, dtype=torch.float64)
        if self.kind == "gru":
            before = zero if state is None else state[0][None]
            return torch._VF.gru(x, before, self.layer(index), True, 1, 0.0, False, False, False)
        if self.kind == "lstm":
            begin = (zero, zero) if state is None else (state[0][None], state[1][None])
            return torch._VF.lstm(x, begin, self.layer(index), True, 1, 0.0, False, False, False)
        act: Callable[[Tensor], Tensor] = {
            "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "identity": lambda a: a
        }[self.spec.cell]  # fmt: skip
        h, states = zero[0] if state is None else state[0], []
        for step in x:
            h = act(step @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
            states.append(h)
        return (torch.stack(states),)

    def outputs(self, top: Tensor) -> Tensor:
        return top @ self.weights["head.weight"].T + self.weights["head.bias"]

    def loss_of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.mse:
            return functional.mse_loss(outputs.squeeze(-1), targets.double())
        return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    def states(self) -> list[Tensor]:
        found, x = [], self.x
        for index in range(self.spec.layers):
            x = self.run(index, x)[0]
            found.append(x)
        return found

    def whole_loss(self) -> Tensor:
        top = self.states()[-1]
        return self.loss_of(self.outputs(top if self.many else top[-1]), self.targets)

    def last_loss(self, top_at_last: Tensor) -> Tensor:
        return self.loss_of(self.outputs(top_at_last), self.targets[-1] if self.many else self.targets)


def test_every_section_that_applies_is_there(case):
    spec, _, found = case
    assert set(found.sections) == set(SECTIONS)
    assert (found.run_id, found.step, found.cell, found.samples) == ("r-1a2b3c4", 5, spec.cell, B)
    assert found.timesteps == spec.timesteps
    assert ("c" in found, "gates" in found, "dead" in found) == (
        spec.cell == "lstm",
        CELLS[spec.cell].kind != "rnn",
        spec.cell == "relu",
    )
    tokens, _ = (task := tasks.build(spec.task, spec.gap, spec.length, spec.wiring)).readable(
        task.held_out(spec.seed, HELD_OUT), 1
    )
    assert found.tokens[1] == tokens


def test_the_states_are_those_of_torch_nn(case):
    spec, weights, found = case
    for layer, states in enumerate(Plain(spec, weights).states()):
        np.testing.assert_allclose(found["h"][layer], states.detach().numpy(), rtol=2e-7, atol=1e-7)


def test_the_state_gradient_is_that_of_the_cut_network(case):
    """At each step the state that is handed on becomes a leaf, in one layer at a time, and autograd does the rest."""
    spec, weights, found = case
    plain = Plain(spec, weights)
    for layer in range(spec.layers):
        below = plain.x if layer == 0 else plain.states()[layer - 1]
        for t in range(spec.timesteps):
            first = plain.run(layer, below[: t + 1])
            leaves = [first[0][-1].detach().requires_grad_()]
            if plain.kind == "lstm":
                leaves.append(first[2][-1].detach().requires_grad_())
            rest = plain.run(layer, below[t + 1 :], tuple(leaves))[0] if t + 1 < spec.timesteps else below[:0, :, :0]
            x = torch.cat([first[0][:-1], leaves[0][None], *([rest] if len(rest) else [])])
            for above in range(layer + 1, spec.layers):
                x = plain.run(above, x)[0]
            gradients = torch.autograd.grad(plain.last_loss(x[plain.last]), leaves, allow_unused=True)
            parts = [torch.zeros(B, H) if g is None else g for g in gradients]
            wanted = B * torch.cat(parts, 1).norm(dim=1).numpy()
            np.testing.assert_allclose(found["state_grad"][layer, t], wanted, rtol=1e-9, atol=1e-14)


def test_the_parameters_gradients_are_plain_autograds(case):
    spec, weights, found = case
    plain = Plain(spec, weights)
    plain.whole_loss().backward()
    assert found["parameter_names"].tolist() == list(weights)
    for place, name in enumerate(weights):
        gradient, values = plain.weights[name].grad.numpy(), weights[name].astype(np.float64)
        np.testing.assert_allclose(found["parameter_grad_norm"][place], np.linalg.norm(gradient), rtol=1e-9)
        np.testing.assert_allclose(found["parameter_norm"][place], np.linalg.norm(values), rtol=1e-12)
        counted = sum(int(found[part][place]) for part in ("grad_nan", "grad_inf", "grad_zero"))
        assert counted + found["grad_histogram"][place].sum() == gradient.size


def test_the_shares_of_the_weight_gradient_are_all_of_it(case):
    spec, weights, found = case
    plain = Plain(spec, weights)
    plain.whole_loss().backward()
    assert found["bptt_sum_error"].max() < 1e-12
    for layer in range(spec.layers):
        gradient = plain.weights[f"recurrent.layers.{layer}.weight_hh"].grad
        shares = found["weight_grad"][layer, :, -1]
        assert shares[0] == 0  # the state before the first step is zero
        wanted = float(gradient.norm()) / shares.sum()
        np.testing.assert_allclose(found["cancellation"][layer, -1], wanted, rtol=1e-9)


def test_jacobians_are_autograds_and_their_product_is_the_chain(case):
    spec, weights, found = case
    plain = Plain(spec, weights)
    below = [plain.x.detach(), *[states.detach() for states in plain.states()]]
    lags, last = found["product_lags"], found.loss_step
    for layer in range(spec.layers):
        one_step = [_jacobian(plain, layer, below[layer], t) for t in range(spec.timesteps)]  # [B,S,S] each
        for place, t in enumerate(found["jacobian_steps"]):
            wanted = np.median([np.linalg.svd(J, compute_uv=False) for J in one_step[t]], axis=0)
            np.testing.assert_allclose(found["singular_values"][layer, place], wanted, rtol=1e-6, atol=1e-12)
        for place, lag in enumerate(lags):
            largest = []
            for b in range(B):
                product = np.eye(len(one_step[0][b]))
                for t in range(last - lag + 1, last + 1):
                    product = one_step[t][b] @ product
                largest.append(np.linalg.norm(product, 2))
            np.testing.assert_allclose(
                found["product_singular_values"][layer, place, 0], np.log10(np.median(largest)), rtol=1e-6, atol=1e-6
            )


def _jacobian(plain: Plain, layer: int, below: Tensor, t: int) -> np.ndarray:
    begin = plain.run(layer, below[:t]) if t else (torch.zeros(1, B, H).double(), None, torch.zeros(1, B, H).double())
    lstm = plain.kind == "lstm"
    state = torch.cat([begin[0][-1], begin[2][-1]], 1) if lstm else begin[0][-1]

    def step(whole: Tensor) -> Tensor:
        after = plain.run(layer, below[t : t + 1], (whole[:, :H], whole[:, H:]) if lstm else (whole,))
        return torch.cat([after[0][-1], after[2][-1]], 1) if lstm else after[0][-1]

    every = torch.autograd.functional.jacobian(step, state.detach())  # [B,S,B,S]
    return torch.stack([every[b, :, b] for b in range(B)]).numpy()


def test_the_theory_is_numpys(case):
    spec, weights, found = case
    for layer in range(spec.layers):
        w_hh = weights[f"recurrent.layers.{layer}.weight_hh"].astype(np.float64)
        np.testing.assert_allclose(found["sigma_max"][layer], np.linalg.svd(w_hh, compute_uv=False)[0], rtol=1e-9)
        blocks = [np.abs(np.linalg.eigvals(block)).max() for block in w_hh.reshape(-1, H, H)]
        np.testing.assert_allclose(found["spectral_radius"][layer], max(blocks), rtol=1e-9)
    profile = np.median(found["state_grad"], axis=2)[:, found.loss_step :: -1]
    lags = np.arange(profile.shape[1])
    for layer in range(spec.layers):
        usable = profile[layer] > 0
        slope = np.polyfit(lags[usable], np.log(profile[layer][usable]), 1)[0]
        np.testing.assert_allclose(found["decay"][layer], np.exp(slope), rtol=1e-6)


def test_truncation_ends_at_the_whole(case):
    _, _, found = case
    assert found["chunk"][-1] == found.timesteps
    np.testing.assert_allclose(found["truncation_cosine"][-1], 1.0, rtol=1e-12)
    assert found["truncation_error"][-1] < 1e-12
    assert (found["truncation_error"][:-1] > 1e-12).any()


def test_the_itemised_gradient_of_the_last_answer_is_the_profile(case):
    _, _, found = case
    assert found["answer_steps"][-1] == found.loss_step
    wanted = np.median(found["state_grad"], axis=2)
    np.testing.assert_allclose(found["itemised"][:, -1], wanted, rtol=1e-9, atol=1e-15)


def test_only_what_is_asked_for_is_computed_and_told_in_order():
    spec = RunSpec.make(gap=5, cell="gru", hidden=4, device="cpu")
    told: list[tuple[float, str]] = []
    asked = Asked(samples=2, sections=("lyapunov", "states"))
    assert asked.sections == ("states", "lyapunov")
    found = inspect("r", spec, 0, Trainer(spec).weights(), asked, lambda *both: told.append(both))
    assert found.sections == asked.sections
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert {section for _, section in told} == {"states", "lyapunov", ""}


def test_what_progress_raises_ends_it():
    spec = RunSpec.make(gap=5, cell="tanh", hidden=4, device="cpu")

    def stop(share: float, section: str) -> None:
        if section == "lyapunov":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect("r", spec, 0, Trainer(spec).weights(), Asked(samples=2), stop)


@pytest.mark.parametrize("cell", ["relu", "gru", "lstm", "identity"])
@pytest.mark.parametrize("value", [1e18, np.float32(3e38), np.nan])
def test_weights_that_overflow_are_inspected_without_a_word(cell, value):
    spec = RunSpec.make(gap=8, cell=cell, hidden=4, layers=2, device="cpu", wiring="many-to-many")
    weights = Trainer(spec).weights()
    weights["recurrent.layers.0.weight_hh"][:] = value
    found = inspect("r", spec, 0, weights, Asked(samples=2), lambda share, section: None)
    assert set(found.sections) == set(SECTIONS)


def test_weights_of_another_network_are_refused_by_name():
    spec = RunSpec.make(gap=5, cell="tanh", hidden=4, device="cpu")
    weights = Trainer(spec).weights()
    with pytest.raises(Refusal, match=r"recurrent\.layers\.0\.bias_hh has the shape \(4,\) where \(16,\) is wanted"):
        inspect("r", spec.changed(cell="lstm"), 0, weights, Asked(), lambda *_: None)
    del weights["head.bias"]
    with pytest.raises(Refusal, match=r"head\.bias has the shape of none: it is missing where"):
        inspect("r", spec, 0, weights, Asked(), lambda *_: None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": 0}, "samples must be a whole number from 1 to 64, but got 0"),
        ({"samples": 65}, "samples must be a whole number from 1 to 64, but got 65"),
        ({"samples": True}, "samples must be a whole number from 1 to 64, but got True"),
        ({"sections": ()}, "sections must be one or more of states, .*, but got none"),
        ({"sections": ("soul",)}, "sections must be of states, .*, but got 'soul'"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(fields, message):
    with pytest.raises(Refusal, match=message):
        Asked(**fields)


def test_what_is_asked_survives_json():
    asked = Asked(7, ("theory", "states"))
    assert Asked.from_json(asked.to_json()) == asked
    for odd in ({}, {"samples": 1, "sections": "states"}, {"samples": 1, "sections": ["states"], "more": 1}):
        with pytest.raises(Refusal):
            Asked.from_json(odd)
