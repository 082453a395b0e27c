from __future__ import annotations

import contextlib
import copy
import io
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch, watch
from diagnostics.measures.entry_sizes import entry_sizes
from diagnostics.records import Run
from diagnostics.store import Store
from diagnostics.watching.coverage import NotCovered
from tests.diagnostics.watching.loops import B, H, I, T, batches, lstm_profile, mean_square, model


def train(
    network: nn.Module,
    w: Watch | None,
    steps: int,
    *,
    clip: str | None = None,
    with_loss: bool = True,
    rate: float = 0.1,
    before: Callable[[int, Tensor, Tensor], None] = lambda step, x, y: None,
) -> None:
    optimizer = torch.optim.SGD(network.parameters(), rate)
    for step, (x, y) in enumerate(batches(steps, next(network.parameters()).dtype)):
        before(step, x, y)
        loss = mean_square(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        if w is None:
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), float(clip.partition(":")[2]))
            optimizer.step()
        else:
            w.step(optimizer, clip=clip, loss=loss if with_loss else None)


def kinds(w: Watch) -> list[str]:
    """What happened, besides what the profile itself says."""
    return [event.kind for event in w.events if event.kind not in ("vanishing", "exploding")]


def only(w: Watch) -> Run:
    (run,) = w.runs
    return run


@pytest.mark.parametrize("every_step", [False, True])
def test_the_stored_profile_is_that_of_plain_autograd(every_step: bool) -> None:
    network = model(every_step=every_step)
    wanted: list[np.ndarray] = []
    with watch(network, every=2, store=False) as w:
        train(network, w, 5, before=lambda step, x, y: wanted.append(lstm_profile(network, x, y)))
    records = only(w).records
    assert records["profile_step"].tolist() == [0, 2, 4]
    assert records["step"].tolist() == [0, 1, 2, 3, 4]
    for row, step in enumerate((0, 2, 4)):
        assert records["state_grad"][row, 0, :, 1] == pytest.approx(wanted[step], rel=1e-12)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("clip", [None, "norm:0.05"])
def test_training_is_what_it_is_without_us(every: int, clip: str | None) -> None:
    alone, watched = model(dropout=0.5, num_layers=2), model(dropout=0.5, num_layers=2)
    torch.manual_seed(3)
    train(alone, None, 6, clip=clip)
    drawn = torch.get_rng_state()
    torch.manual_seed(3)
    with watch(watched, every=every, store=False) as w:
        train(watched, w, 6, clip=clip)
    assert torch.equal(torch.get_rng_state(), drawn)
    for one, other in zip(alone.parameters(), watched.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-14)


def test_validation_is_no_training_step() -> None:
    network = model()

    def validate(step: int, x: Tensor, y: Tensor) -> None:
        network.eval()
        with torch.no_grad():
            network(torch.randn(T + 5, 2, I, dtype=torch.float64))
        network.train()

    with watch(network, every=1, store=False) as w:
        train(network, w, 3, before=validate)
    assert only(w).records["profile_step"].tolist() == [0, 1, 2]
    assert only(w).spec["watched"]["timesteps"] == T


def test_after_several_backward_passes_the_profile_is_of_the_last_and_the_norm_of_all() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, every=1, store=False) as w:
        for x, y in batches(3):
            mean_square(network(x), y).backward()
        wanted = _norm(network)
        last = lstm_profile(network, x, y)
        w.step(optimizer)
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(wanted, rel=1e-12)
    assert records["state_grad"][0, 0, :, 1] == pytest.approx(last, rel=1e-12)
    assert w.self_check["rnn.weight_hh_l0"] < 1e-12
    assert "of the last of 3 backward passes" in str(w.table())


def _norm(network: nn.Module) -> float:
    return math.sqrt(sum(float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None))


@pytest.mark.parametrize("calls", [2, 6])
def test_a_layer_that_is_called_anew_is_a_part_for_each_call(calls: int) -> None:
    torch.manual_seed(0)
    lstm, head = nn.LSTM(I, H).double(), nn.Linear(calls * H, 2).double()
    network = nn.ModuleDict({"lstm": lstm, "head": head})
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    ((x, y),) = batches(1, steps=9)
    with watch(network, every=1, store=False) as w:
        for _ in range(3):
            optimizer.zero_grad()
            ends = [lstm(x[: 9 - call] * (1 + call))[0][-1] for call in range(calls)]
            alone = [
                torch.autograd.grad(mean_square(head(torch.cat(ends, 1)), y), end, retain_graph=True) for end in ends
            ]
            at_the_loss = [B * np.median(one.norm(dim=1).numpy()) for (one,) in alone]
            mean_square(head(torch.cat(ends, 1)), y).backward()
            w.step(optimizer)
    names = ["lstm", *(f"lstm (call {call})" for call in range(2, min(calls, 4) + 1))]
    assert list(w.verdicts) == names
    assert [run.spec["watched"]["timesteps"] for run in w.runs] == [9 - call for call in range(len(names))]
    assert [run.records.rows("profile") for run in w.runs] == [3] * len(names)
    assert [run.records["grad_h"][-1, 0, -1] for run in w.runs] == pytest.approx(at_the_loss[: len(names)], rel=1e-12)
    said = "lstm is called 6 times in a training step without its state going from one call to the next"
    assert any(sentence.startswith(said) for sentence in w.covered) == (calls > 4)
    assert not any("is not watched" in sentence or "was not called" in sentence for sentence in w.covered)
    assert w.self_check["lstm.weight_hh_l0"] < 1e-12


def test_what_is_not_covered_is_what_is_not_covered_by_now() -> None:
    network = nn.ModuleDict({"one": nn.LSTM(I, H), "two": nn.GRU(I, H)}).double()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)

    def step(*names: str) -> None:
        optimizer.zero_grad()
        x, _ = next(batches(1))
        sum(network[name](x)[0][-1].square().sum() for name in names).backward()  # type: ignore[union-attr]
        w.step(optimizer)

    unseen = "two (torch.nn.GRU) was not called"
    with watch(network, every=1, store=False) as w:
        with pytest.warns(NotCovered, match=re.escape(unseen)):
            step("one")
        assert any(sentence.startswith(unseen) for sentence in w.covered)
        step("one", "two")
        assert not any(sentence.startswith(unseen) for sentence in w.covered)
    assert list(w.verdicts) == ["one", "two"]


def test_a_state_that_is_detached_between_training_steps_is_said() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    state = None
    with watch(network, every=1, store=False) as w:
        for x, y in batches(3):
            output, state = network.rnn(x, state)
            optimizer.zero_grad()
            mean_square(network.head(output[-1]), y).backward()
            w.step(optimizer)
            state = tuple(part.detach() for part in state)
    (said,) = [sentence for sentence in w.covered if "detached" in sentence]
    assert said.startswith(
        "rnn begins with a state that was detached from what came before (truncated backpropagation)"
    )


def test_a_truncated_sequence_is_one_profile_with_its_cuts() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    ((x, y),) = batches(1, steps=9)
    with watch(network, store=False) as w:
        state = None
        for chunk in x.split(3):
            output, state = network.rnn(chunk, state)
            mean_square(network.head(output[-1]), y).backward()
            state = tuple(part.detach() for part in state)
        with pytest.warns(NotCovered, match="rnn: the state is detached before timestep 3, 6 of 9"):
            w.step(optimizer)
    run = only(w)
    assert run.spec["watched"]["timesteps"] == 9
    assert run.spec["watched"]["cuts"] == [3, 6]
    assert w.verdict.headline == "Cut off"
    assert "scaled" not in " ".join(w.verdict.advice)


class HandWritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(I, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = c = torch.zeros(x.shape[1], H, dtype=x.dtype)
        for now in x:
            h, c = self.cell(now, (h, c))
        return self.head(h)


def test_a_loop_over_a_cell_has_the_same_profile() -> None:
    torch.manual_seed(0)
    network = HandWritten().double()
    whole = model()
    for name, values in network.cell.named_parameters():
        getattr(whole.rnn, f"{name}_l0").data = values.data
    whole.head = network.head
    ((x, y),) = batches(1)
    wanted = lstm_profile(whole, x, y)
    with watch(network, store=False) as w:
        train(network, w, 1)
    run = only(w)
    assert run.spec["cell"] == "lstm"
    assert run.records["state_grad"][0, 0, :, 1] == pytest.approx(wanted, rel=1e-12)


def test_what_a_person_marks_is_recorded() -> None:
    network = nn.ParameterDict({"weight": torch.randn(H, H, dtype=torch.float64)})
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, store=False) as w:
        h = torch.randn(B, H, dtype=torch.float64)
        for _ in range(T):
            h = w.state(torch.tanh(h @ network["weight"]))
        h.square().sum(dim=1).mean().backward()
        w.step(optimizer)
    assert only(w).spec["watched"]["timesteps"] == T


def test_a_scaled_loss_leaves_the_same_numbers_and_a_skipped_step_no_profile() -> None:
    def trained(scaler: torch.amp.GradScaler | None) -> Watch:
        network = model(dtype=torch.float32)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        with watch(network, every=1, store=False) as w:
            for step, (x, y) in enumerate(batches(4, torch.float32)):
                loss = mean_square(network(x), y)
                optimizer.zero_grad()
                (loss if scaler is None else scaler.scale(loss)).backward()
                if scaler is not None and step == 2:
                    network.head.bias.grad[0] = math.inf  # type: ignore[index]
                if scaler is None and step == 2:
                    torch._foreach_mul_([p.grad for p in network.parameters()], 0.0)  # type: ignore[arg-type]
                w.step(optimizer, scaler=scaler, clip="norm:0.5", loss=loss)
        return w

    plain, scaled = trained(None), trained(torch.amp.GradScaler("cpu", init_scale=1024.0))
    one, other = only(plain).records, only(scaled).records
    assert other["profile_step"].tolist() == [0, 1, 3]
    kept = [0, 1, 3]
    assert other["grad_norm_pre"][kept] == pytest.approx(one["grad_norm_pre"][kept], rel=1e-5)
    assert other["grad_norm_post"][kept] == pytest.approx(one["grad_norm_post"][kept], rel=1e-5)
    assert other["state_grad"] == pytest.approx(one["state_grad"][kept], rel=1e-4)
    (skipped,) = [event for event in scaled.events if event.kind == "step_skipped"]
    assert skipped.step == 2
    assert "at a loss scale of 1024 the gradient overflowed in 1 entry" in skipped.sentence
    assert only(scaled).state == "finished"
    assert "the loss scale undone" in repr(scaled)


def test_whoever_unscales_and_clips_by_hand_is_measured_before_and_after() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    with watch(network, every=1, clip="norm:0.01", store=False) as w:
        for x, y in batches(3):
            optimizer.zero_grad()
            scaler.scale(mean_square(network(x), y)).backward()
            raw = _norm(network) / 256
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
            w.step(optimizer, scaler=scaler)
    records = only(w).records
    assert records["grad_norm_pre"][-1] == pytest.approx(raw, rel=1e-12)
    assert records["grad_norm_post"] == pytest.approx(np.full(3, 0.01), rel=1e-3)
    assert kinds(w) == []


def test_clipped_knows_what_was_there_before() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    raw = []
    with watch(network, every=2, store=False) as w:
        for x, y in batches(3):
            optimizer.zero_grad()
            loss = mean_square(network(x), y)
            loss.backward()
            raw.append(_norm(network))
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
            w.clipped("norm:0.01", loss=loss)
            optimizer.step()
    records = only(w).records
    assert records["grad_norm_pre"] == pytest.approx(np.array(raw), rel=1e-12)
    assert records["grad_norm_post"] == pytest.approx(np.full(3, 0.01), rel=1e-3)
    assert only(w).spec["clip"] == "norm:0.01"
    assert kinds(w) == []


def by_hand(w: Watch, network: nn.Module, when: str, harm: Callable[[nn.Module], None] = lambda network: None) -> None:
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    for x, y in batches(2, next(network.parameters()).dtype):
        optimizer.zero_grad(set_to_none=False)
        if when == "before":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        mean_square(network(x), y).backward()
        harm(network)
        if when == "after":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        w.clipped("norm:0.01")
        optimizer.step()


def test_clipping_before_backward_is_found() -> None:
    network = model()
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    with watch(network, store=False) as w:
        by_hand(w, network, "before")
    assert kinds(w) == ["clip_not_applied"]
    assert "it got the raw gradient" in w.events[-1].sentence


def test_clipping_that_erases_or_breaks_the_gradient_is_found() -> None:
    huge = model(dtype=torch.float32)
    with watch(huge, store=False) as w:
        handle = huge.head.weight.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
        by_hand(w, huge, "after")
        handle.remove()
    assert kinds(w) == ["clip_erased"]
    infinite = model(dtype=torch.float32)
    with watch(infinite, store=False) as w:
        handle = infinite.head.weight.register_hook(lambda gradient: torch.full_like(gradient, math.inf))
        by_hand(w, infinite, "after")
        handle.remove()
    assert kinds(w) == ["clip_made_nan", "non_finite"]


def test_clipping_by_us_scales_what_float32_cannot_square() -> None:
    network = model(dtype=torch.float32)
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    ((x, y),) = batches(1, torch.float32)
    with watch(network, store=False) as w:
        handle = network.head.weight.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
        mean_square(network(x), y).backward()
        handle.remove()
        w.step(optimizer, clip="norm:1.0")
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(1e30 * math.sqrt(2 * H), rel=1e-6)
    assert records["grad_norm_post"][0] == pytest.approx(1.0, rel=1e-5)
    assert kinds(w) == []


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, I, sparse=True)
        self.rnn = nn.GRU(I, H)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(H, 9, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embedding(x))[0][-1])


@pytest.mark.parametrize("clip", ["norm:0.01", "value:0.001"])
def test_sparse_gradients_and_parameters_without_one(clip: str) -> None:
    torch.manual_seed(0)
    network = Embedded()
    network.rnn.weight_ih_l0.requires_grad_(False)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    symbols = torch.tensor([[1, 2, 2, 8]] * T)
    with watch(network, store=False) as w:
        network(symbols).square().sum(dim=1).mean().backward()
        dense = [p.grad.to_dense().clone() for p in network.parameters() if p.grad is not None]
        w.step(optimizer, clip=clip)
        after = [p.grad.to_dense().clone() for p in network.parameters() if p.grad is not None]
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(
        math.sqrt(sum(float(g.square().sum()) for g in dense)), rel=1e-5
    )
    assert records["grad_norm_post"][0] == pytest.approx(
        math.sqrt(sum(float(g.square().sum()) for g in after)), rel=1e-5
    )
    assert records["zero_count"][0] == sum(int((g == 0).sum()) for g in dense)
    if clip.startswith("value"):
        assert max(float(g.abs().max()) for g in after) <= 0.001001


def test_several_optimizers_of_one_backward_pass_are_given_together() -> None:
    network = model()
    one, other = (torch.optim.SGD(part.parameters(), 0.1) for part in (network.rnn, network.head))
    with watch(network, store=False) as w:
        for x, y in batches(2):
            network.zero_grad()
            mean_square(network(x), y).backward()
            wanted = _norm(network)
            w.step([one, other], clip="norm:0.01")
        assert only(w).records["grad_norm_pre"][-1] == pytest.approx(wanted, rel=1e-12)
        network.zero_grad()
        mean_square(network(x), y).backward()
        w.step(one)
        before = network.head.weight.detach().clone()
        with pytest.warns(RuntimeWarning, match=r"w\.step was called with another optimizer and no backward pass"):
            w.step(other)
        assert not torch.equal(network.head.weight, before)
    assert only(w).records["step"].tolist() == [0, 1, 2]


def test_an_optimizer_whose_parameters_are_new_is_no_second_call() -> None:
    network = model()
    with watch(network, every=1, store=False) as w:
        for round in range(3):  # a head of its own for each task, its optimiser made anew
            head = nn.Linear(H, 2).double()
            optimizer = torch.optim.SGD([*(network.rnn.parameters() if round == 0 else ()), *head.parameters()], 0.1)
            for x, y in batches(2):
                network.zero_grad()
                optimizer.zero_grad()
                mean_square(head(network.rnn(x)[0][-1]), y).backward()
                w.step(optimizer)
    assert only(w).records["profile_step"].tolist() == [*range(6)]


@pytest.mark.parametrize("freeze", [False, True])
def test_two_networks_against_each_other_are_trained_without_a_word(freeze: bool) -> None:
    """A generator's backward pass goes through the watched critic, whose gradients are zeroed before it is used."""
    critic, generator = model(), nn.Linear(I, I).double()
    of_critic, of_generator = (torch.optim.SGD(one.parameters(), 0.01) for one in (critic, generator))
    with watch(critic, every=1, store=False) as w:
        for x, y in batches(4):
            of_critic.zero_grad()
            mean_square(critic(generator(x).detach()), y).backward()
            w.step(of_critic)
            critic.requires_grad_(not freeze)
            of_generator.zero_grad()
            (-mean_square(critic(generator(x)), y)).backward()
            of_generator.step() if freeze else w.step(of_generator)
            critic.requires_grad_(True)
    assert only(w).records.rows("step") == (4 if freeze else 8)
    assert "backward passes" not in w.meaning


def test_parameters_outside_of_the_model_are_clipped_with_it() -> None:
    network, scale = model(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.SGD([*network.parameters(), scale], 0.1)
    ((x, y),) = batches(1)
    with watch(network, store=False) as w:
        mean_square(network(x) * scale, y).backward()
        assert scale.grad is not None
        wanted = math.hypot(_norm(network), float(scale.grad.norm()))
        w.step(optimizer, clip="norm:1.0")
    assert only(w).records["grad_norm_pre"][0] == pytest.approx(wanted, rel=1e-12)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"every": 0}, r"every must be a whole number from 1, but got 0"),
    ({"every": True}, r"every must be a whole number from 1, but got True"),
    ({"distance": -1}, r"distance must be a whole number from 0, but got -1"),
    ({"timesteps": 0}, r"timesteps must be a whole number from 1, but got 0"),
    ({"name": "a\nb"}, r"name must not contain control characters or lone surrogates, but got U\+000A"),
    ({"name": 3}, r"name must be text, but got int 3"),
    ({"reduction": "none"}, r'reduction must be "mean" or "sum", how the loss joins the samples, but got \'none\''),
    ({"clip": "norm"}, r'clip must be "none", "norm:THRESHOLD" or "value:THRESHOLD", but got \'norm\''),
    ({"clip": "norm:0"}, r"clip must have a threshold from 1e-12 to 1e\+12, but got 'norm:0'"),
    ({"store": 3}, r"store must be a folder, a Store, None or False, but got int 3"),
    ({"on_event": 3}, r"on_event must be a function or a dict of functions by kind, but got 3"),
    ({"on_event": {"boom": print}}, r"on_event must have keys out of vanishing, .*, but got 'boom'"),
    ({"on_event": {"vanishing": 3}}, r"on_event\['vanishing'\] must be a function, but got 3"),
]


@pytest.mark.parametrize(("setting", "sentence"), REFUSED)
def test_a_wrong_setting_is_a_sentence(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        watch(model(), **setting)


@pytest.mark.parametrize("what", [[nn.Linear(1, 1)], lambda x: x, None])
def test_what_is_no_module_is_refused(what: Any) -> None:
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, whose modules can be watched, but got"):
        watch(what)


def test_a_cell_that_the_model_does_not_have_is_refused_and_the_model_is_free_again() -> None:
    network = model()
    with pytest.raises(ValueError, match="nothing"), watch(network, cells=["nothing"], store=False):
        pass
    with watch(network, store=False):
        pass


def test_what_w_step_is_given_is_checked() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, store=False) as w:
        with pytest.raises(ValueError, match="LBFGS calls the model several times within its step"):
            w.step(torch.optim.LBFGS(network.parameters()))
        with pytest.raises(TypeError, match="optimizer must be a torch optimizer or a list of them, but got 3"):
            w.step(3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="but got an empty list"):
            w.step([])
        with pytest.raises(ValueError, match="loss must be one number, but got a tensor of shape"):
            w.step(optimizer, loss=torch.ones(3))
        with pytest.raises(ValueError, match="clip must be"):
            w.step(optimizer, clip="5")
        with pytest.raises(ValueError, match="scale must be a number above 0, but got 0"):
            w.clipped(scale=0)


def test_a_watch_is_used_once_and_within_its_block() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    w = watch(network, store=False)
    with pytest.raises(
        RuntimeError, match=r"w\.step must be called inside of the with block of its watch, which has not"
    ):
        w.step(optimizer)
    with w:
        with pytest.raises(RuntimeError, match="this one has begun: call watch"), w:
            pass
        with (
            pytest.raises(
                RuntimeError, match=r"a model can be watched by one watch at a time, but it \(LSTM\) is watched"
            ),
            watch(network.rnn, store=False),
        ):
            pass
    with pytest.raises(RuntimeError, match=r"w\.clipped must be called inside .*, which has ended"):
        w.clipped()
    with pytest.raises(RuntimeError, match="this one has ended: call watch"), w:
        pass
    with watch(network, store=False):
        pass


def marks_of(network: nn.Module) -> dict[str, Any]:
    """Everything about a model that a watch could leave behind."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        found[name] = (
            type(module),
            sorted(module.__dict__),
            [len(getattr(module, hook)) for hook in hooks],
            module.forward.__func__,  # type: ignore[union-attr]
            module.training,
        )
    for name, p in network.named_parameters():
        after = getattr(p, "_post_accumulate_grad_hooks", None)
        found[f"parameter {name}"] = len(p._backward_hooks or {}), len(after or {}), p.requires_grad
    return found


@pytest.mark.parametrize("trouble", [None, ValueError("it is late"), KeyboardInterrupt(), SystemExit(3)])
def test_the_model_is_as_before_however_the_block_is_left(trouble: BaseException | None) -> None:
    network = model(num_layers=2)
    before = marks_of(network)

    def fail(step: int, x: Tensor, y: Tensor) -> None:
        if step == 2 and trouble is not None:
            network(x)  # a forward pass that nobody answers
            raise trouble

    w = watch(network, every=1, store=False)
    with w if trouble is None else pytest.raises(type(trouble)), contextlib.nullcontext() if trouble is None else w:
        train(network, w, 4, before=fail)
    assert marks_of(network) == before
    run = only(w)
    expected = {
        type(None): ("finished", ""),
        ValueError: ("failed", "ValueError: it is late"),
        KeyboardInterrupt: ("stopped", "stopped at step 2 by KeyboardInterrupt"),
        SystemExit: ("stopped", "stopped at step 2 by SystemExit"),
    }
    assert (run.state, run.detail) == expected[type(trouble)]
    assert len(run.records["profile_step"]) == (4 if trouble is None else 2)


def test_a_loss_that_is_not_finite_is_divergence_and_training_goes_on() -> None:
    network = model()

    def spoil(step: int, x: Tensor, y: Tensor) -> None:
        if step == 3:
            x[2, 1] = math.inf

    with watch(network, every=3, store=False) as w:
        train(network, w, 5, before=spoil, rate=0.0)
    run = only(w)
    assert run.state == "diverged"
    assert run.detail.startswith("diverged at step 3: the loss is nan; the first value that was not finite:")
    assert w.verdict.kind == "diverged"
    (event,) = [event for event in w.events if event.kind == "non_finite"]
    assert (event.step, event.layer, event.timestep) == (3, 0, 2)
    assert "timestep 2" in event.sentence


def test_an_update_that_leaves_no_numbers_ends_the_recording() -> None:
    network = model()
    with watch(network, every=2, store=False) as w:
        train(network, w, 4, rate=1e308, with_loss=False)
    run = only(w)
    assert run.state == "diverged"
    assert "the update left" in run.detail
    assert len(run.records["step"]) == int(run.detail.split("step ")[1].split(":")[0]) + 1
    assert "loss" not in run.detail.replace("the loss is", "")


def test_a_loss_that_nobody_tells_is_not_known() -> None:
    network = model()
    with watch(network, store=False) as w:
        train(network, w, 3, with_loss=False)
    run = only(w)
    assert np.isnan(run.records["loss"]).all()
    assert run.spec["watched"]["loss"] is False
    assert w.verdict.kind != "diverged"


@pytest.mark.parametrize("known", [True, False])
def test_a_loss_at_some_steps_is_a_warning(known: bool) -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, store=False) as w:
        for step, (x, y) in enumerate(batches(3)):
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                w.step(optimizer, loss=float(step) if (step != 1) == known else None)
            assert [str(one.message)[:30] for one in caught] == (
                ["loss must be given at every tr"] if step == 1 else []
            )
    wanted = [0.0, 0.0, 2.0] if known else [math.nan] * 3
    assert only(w).records["loss"] == pytest.approx(wanted, nan_ok=True)


def lengths(
    w: Watch, network: nn.Module, steps: Sequence[int], before: Callable[[int], None] = lambda step: None
) -> None:
    """Train on batches of these lengths."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for step, length in enumerate(steps):
        before(step)
        ((x, y),) = batches(1, steps=length)
        optimizer.zero_grad()
        mean_square(network(x), y).backward()
        w.step(optimizer)


def test_a_batch_that_is_too_short_has_the_next_one_stand_in() -> None:
    with watch(network := model(), every=2, store=False) as w:
        lengths(w, network, (5, 4, 4, 8, 4, 5))
    # Step 2 was too short and so was 4: the next that is long enough stands in.
    assert only(w).records["profile_step"].tolist() == [0, 3, 5]
    assert only(w).facts.tokens == ("end−4", "end−3", "end−2", "end−1", "end")  # type: ignore[union-attr]
    assert "rnn: 2 passes with fewer than 5 timesteps gave no profile." in w.covered
    assert any(
        "1 pass had more timesteps than the profile, up to 8; of them the last 5 that are walked" in one
        for one in w.covered
    )


@pytest.mark.parametrize(
    ("steps", "settled", "recorded"),
    [
        ((5, *[30] * 12), 30, [*range(1, 13)]),  # the first was too short to stand for them
        ((30, *[5] * 12), 5, [*range(13)]),  # and here too long
        ((4, 9, 5, 8, 6, 7, 9, 4, 5, 8), 7, [1, 3, 5, 6, 9]),  # half of them have as many
        ((3, 9, 9), 9, [1, 2]),  # and training ends before there are ten
    ],
)
def test_the_profile_has_the_timesteps_that_half_of_the_first_batches_have(
    steps: Sequence[int], settled: int, recorded: list[int]
) -> None:
    network = model()
    wanted = []

    def plain(step: int) -> None:
        ((x, y),) = batches(1, steps=steps[step])
        wanted.append(lstm_profile(network, x, y))

    with watch(network, every=1, store=False) as w:
        lengths(w, network, steps, plain)
    run = only(w)
    assert run.state == "finished"
    assert run.spec["watched"]["timesteps"] == settled
    assert run.records["profile_step"].tolist() == recorded
    assert run.records["step"].tolist() == [*range(len(steps))]
    for row, step in enumerate(recorded):
        assert run.records["state_grad"][row, 0, :, 1] == pytest.approx(wanted[step][-settled:], rel=1e-12)
    assert w.run_ids == (run.id,)
    assert not w._profiles._misses
    assert w.newest["rnn"].records["state_grad"].shape[2] == settled
    facts = run.facts
    assert facts is not None
    assert (facts.loss_step, facts.distance) == (settled - 1, settled - 1)
    assert facts.tokens[0] == (f"end−{settled - 1}" if max(steps) > settled else "t=0")


def test_a_profile_with_other_timesteps_takes_the_place_of_the_first_in_the_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with watch(network := model(), every=1, store=store) as w:
        lengths(w, network, (5,))
        (before,) = w.run_ids
        lengths(w, network, [9] * 12)
        (after,) = w.run_ids
        assert after != before
        assert [row.state for row in store.runs(include_deleted=True)] == ["running"]
    (row,) = store.runs(include_deleted=True)
    assert (row.id, row.state, row.comparison) == (after, "finished", w.comparison)
    assert store.check() == []


def test_batches_that_grow_later_on_are_told_of() -> None:
    said = r"rnn: the first batches had up to 5 timesteps, .* far longer ones, of which only 5 timesteps are recorded"
    with watch(network := model(), every=1, store=False) as w:
        lengths(w, network, [5] * 10)
        assert only(w).facts.tokens[0] == "t=0"  # type: ignore[union-attr]
        with pytest.warns(NotCovered, match=said):
            lengths(w, network, [9] * 10)
    assert only(w).records["profile_step"].tolist() == [*range(20)]
    assert only(w).facts.tokens[0] == "end−4"  # type: ignore[union-attr]
    assert any("10 passes had more timesteps than the profile, up to 9" in one for one in w.covered)


def test_batches_that_grow_step_by_step_are_told_of_and_those_that_vary_are_not() -> None:
    with watch(network := model(), every=1, store=False) as w:
        lengths(w, network, [4, 9, 5, 8, 6, 7, 9, 4, 5, 8] * 3)
    with watch(network := model(), every=1, store=False) as w, pytest.warns(NotCovered, match="by now there are far"):
        lengths(w, network, range(3, 33))


def test_a_part_that_is_gone_is_told_of() -> None:
    network = model()
    with watch(network, every=1, store=False) as w:
        lengths(w, network, [5] * 3)
        network.rnn = nn.LSTM(I, H).double()
        with pytest.warns(NotCovered, match=r"rnn: no gradient has come back to it for 10 recorded training steps"):
            lengths(w, network, [5] * 12)
    assert only(w).records["profile_step"].tolist() == [0, 1, 2]
    assert any("leave it, and watch anew" in sentence for sentence in w.covered)


def test_who_asked_a_run_to_stop_has_it_stopped_where_it_is_begun_anew(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with watch(network := model(), every=1, store=store) as w:
        lengths(w, network, (5,))
        store.request_stop(*w.run_ids)
        lengths(w, network, [9] * 9)
        assert store.row(*w.run_ids).stop_requested


def test_batches_that_are_never_long_enough_are_told_of_and_not_watched_at_every_step() -> None:
    said = "10 training steps in a row had fewer timesteps than the profile has, 9"
    network = model()
    with watch(network, every=2, timesteps=9, store=False) as w, pytest.warns(RuntimeWarning, match=said):
        lengths(w, network, (9, *[4] * 30))
    assert only(w).records["profile_step"].tolist() == [0]


def test_timesteps_waits_for_a_batch_that_is_long_enough() -> None:
    with watch(network := model(), every=1, timesteps=6, store=False) as w:
        lengths(w, network, (5, 6, 9))
    assert only(w).records["profile_step"].tolist() == [1, 2]
    assert only(w).records["step"].tolist() == [0, 1, 2]
    assert only(w).facts.tokens[0] == "end−5"  # type: ignore[union-attr]


def test_a_distance_beyond_the_first_timestep_is_said() -> None:
    network = model()
    with watch(network, distance=40, store=False) as w:
        train(network, w, 1)
    assert only(w).spec["watched"]["timesteps"] == T
    assert any(f"distance must be at most the {T - 1} steps from the loss" in sentence for sentence in w.covered)


def test_marks_are_nothing_outside_of_the_block() -> None:
    w = watch(model(), store=False)
    h, c = torch.ones(2, 3), torch.zeros(2, 3)
    assert w.state(h) is h
    assert w.state(h, c=c) == (h, c)
    assert w.scan(h[None], h[None])[0] is not None


def test_a_watched_model_can_be_copied_and_saved() -> None:
    network = model()
    x = next(batches(1))[0]
    with watch(network, every=1, store=False) as w:
        train(network, w, 1)
        copied = copy.deepcopy(network)
        kept = io.BytesIO()
        torch.save(network, kept)
        train(network, w, 1)
    kept.seek(0)
    saved = torch.load(kept, weights_only=False)
    assert torch.equal(copied(x), saved(x))
    assert type(copied.rnn).forward is nn.LSTM.forward
    assert "forward" not in copied.rnn.__dict__
    assert "forward" not in saved.rnn.__dict__


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_sizes_of_the_entries_are_those_before_clipping(by_hand: bool) -> None:
    network = model(dtype=torch.float32)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    wanted = []
    with watch(network, every=2, store=False) as w:
        for x, y in batches(5, torch.float32):
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            flat = np.concatenate([p.grad.flatten().numpy() for p in network.parameters() if p.grad is not None])
            wanted.append(entry_sizes(flat))
            if by_hand:
                torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
                w.clipped("norm:0.01")
                optimizer.step()
            else:
                w.step(optimizer, clip="norm:0.01")
    assert only(w).records["grad_sizes"] == pytest.approx(np.array(wanted[::2]), rel=1e-12)
    assert len(w.figure("what_if_value").data) > 0


def test_a_model_without_recurrence_says_so_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)

    def steps(w: Watch) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.ones(2, 3)).mean().backward()
            w.step(optimizer)

    with watch(network, every=1, store=False) as w, pytest.warns(NotCovered) as caught:
        steps(w)
    assert len(caught) == 1
    assert w.runs == ()
    assert w.reach == {}
    assert str(caught[0].message) in w.covered
    with pytest.raises(ValueError, match="there is no verdict, because nothing has been recorded: "):
        _ = w.verdict
    with pytest.raises(ValueError, match="there is no figure, because nothing has been recorded: "):
        w.figure()


def test_importing_the_name_brings_nothing_heavy() -> None:
    code = "import sys, diagnostics; print([m for m in ('torch', 'numpy', 'plotly') if m in sys.modules]); "
    code += "from diagnostics import watch; print('plotly' in sys.modules, 'streamlit' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False False"]


ALONE = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
ours = ("models", "tasks", "experiments", "ui")
assert not any(importlib.util.find_spec(name) for name in ours), "there is more here than the library"
import torch
from torch import nn
from diagnostics import watch

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(2, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])

net = Net()
optimizer = torch.optim.Adam(net.parameters())
with watch(net, every=2, name="alone", store=sys.argv[2]) as w:
    for _ in range(4):
        loss = net(torch.randn(6, 3, 2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        w.step(optimizer, clip="norm:1.0", loss=loss)
print(w.table(), w.reach, w.verdict.sentence)
assert w.figure("profile").data
loaded = [name for name in ("streamlit", "pydantic", *ours) if name in sys.modules]
assert not loaded, loaded
"""


def test_the_library_needs_nothing_else_of_ours(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "diagnostics").symlink_to(Path(__file__).parents[3] / "diagnostics")
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "library"), str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = Store.open(tmp_path / "runs").runs()
    assert (row.name, row.state, row.steps_done) == ("alone", "finished", 4)
