from __future__ import annotations

import contextlib
import copy
import io
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch, watch
from diagnostics.store import Store
from diagnostics.watching.coverage import NotCovered
from tests.diagnostics.watching.loops import B, H, I, T, batches, lstm_profile, mean_square, model, norm_of, only, train


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
        wanted = norm_of(network)
        last = lstm_profile(network, x, y)
        w.step(optimizer)
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(wanted, rel=1e-12)
    assert records["state_grad"][0, 0, :, 1] == pytest.approx(last, rel=1e-12)
    assert w.self_check["rnn.weight_hh_l0"] < 1e-12
    assert "of the last of 3 backward passes" in str(w.table())


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
