import numpy as np
import pytest
import torch
from torch import Tensor

import tasks
from diagnostics.records import Records
from diagnostics.recurrence import reference
from experiments.backward import Backward, mean_loss
from experiments.making import build
from experiments.spec import Refusal, RunSpec
from experiments.train import train
from models.cells import CELLS
from models.network import Network
from tests.experiments.recording import Memory

T_MANY = {"task": "copy", "gap": 6}
T_ONE = {"task": "delayed_recall", "gap": 8}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def set_up(cell: str, **fields: object) -> tuple[Network, Tensor, Tensor, str]:
    spec = RunSpec.make(cell=cell, hidden=6, batch=3, layers=2, **fields)
    task = tasks.build(spec.task, spec.gap, spec.length, spec.wiring)
    batch = task.batch(np.random.default_rng(0), 3)
    network = build(spec, task, 3).double()
    return network, torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets), task.loss


def gradient(network: Network) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def twin(network: Network, inputs: Tensor, targets: Tensor, loss: str, K: int) -> Tensor:
    """Plain autograd through one graph of the whole sequence, with ``detach`` at the borders."""
    network.zero_grad()
    x = network.embedding(inputs) if network.embedding is not None else None
    assert x is not None
    T = len(x)
    for layer in network.recurrent.layers:
        weights = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
        h = x.new_zeros(x.shape[1], layer.weight_hh.shape[1])
        state, outputs = (h, h), []
        for t in range(T):
            if t and (T - t) % K == 0:
                state = (state[0].detach(), state[1].detach())
            one = x[t : t + 1]
            if layer.cell.kind == "lstm":
                out, state, _ = reference.lstm(one, state, *weights)
            elif layer.cell.kind == "gru":
                out, h, _ = reference.gru(one, state[0], *weights)
                state = (h, h)
            else:
                out, h, _ = reference.rnn(one, state[0], *weights, layer.cell.name)
                state = (h, h)
            outputs.append(out)
        x = torch.cat(outputs)
    if network.every_step:
        mean_loss(loss, network.head(x), targets).backward()
    else:
        mean_loss(loss, network.head(x[-1]), targets).backward()
    return gradient(network)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", [T_ONE, T_MANY], ids=["one", "many"])
@pytest.mark.parametrize("K", [1, 3, 4])
def test_the_truncated_gradient_is_that_of_autograd_with_detach(cell: str, task: dict[str, object], K: int) -> None:
    network, inputs, targets, loss = set_up(cell, **task)
    expected = twin(network, inputs, targets, loss, K).clone()
    network.zero_grad()
    back = Backward(network, inputs, targets, lambda o, t: mean_loss(loss, o, t), K)
    torch.testing.assert_close(gradient(network), expected, rtol=1e-10, atol=1e-14)
    whole = mean_loss(loss, network(inputs).outputs, targets)
    torch.testing.assert_close(back.loss, whole.detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("task", [T_ONE, T_MANY], ids=["one", "many"])
def test_a_chunk_of_the_whole_sequence_is_no_truncation_bit_for_bit(cell: str, task: dict[str, object]) -> None:
    runs = []
    for truncate in (None, "T", 1_000):
        length = RunSpec.make(cell=cell, **task).timesteps
        memory = Memory()
        asked = length if truncate == "T" else truncate
        train(RunSpec.make(cell=cell, hidden=6, batch=4, steps=4, truncate=asked, **task), memory)
        runs.append(memory.records)
    for other in runs[1:]:
        for name in set(other) - {"wall_s"}:
            np.testing.assert_array_equal(other[name], runs[0][name], err_msg=name)


def recorded(**fields: object) -> Records:
    memory = Memory()
    train(RunSpec.make(hidden=8, batch=4, steps=3, **fields), memory)
    return memory.records


@pytest.mark.parametrize("task", [T_ONE, T_MANY], ids=["one", "many"])
def test_what_is_not_recorded_changes_nothing_else(task: dict[str, object]) -> None:
    network, inputs, targets, loss = set_up("lstm", **task)
    gradients, losses = [], []
    for record in (True, False):
        network.zero_grad()
        back = Backward(network, inputs, targets, lambda o, t: mean_loss(loss, o, t), 3, record=record)
        gradients.append(gradient(network).clone())
        losses.append(float(back.loss))
        assert back.traces[0].h.shape[0] == (len(inputs) if record else 3)
    assert torch.equal(*gradients)
    assert losses[0] == losses[1]


def test_a_truncated_step_that_breaks_between_two_records_is_recorded_whole() -> None:
    memory = Memory()
    spec = RunSpec.make(
        cell="relu", init="scaled:6", clip="none", optimizer="sgd", learning_rate=50.0, gap=20, hidden=8, batch=4,
        steps=200, record_every=150, truncate=5,
    )  # fmt: skip
    outcome = train(spec, memory)
    assert outcome.state == "diverged"
    assert outcome.steps_done - 1 not in (0, 150)
    assert memory.records["profile_step"][-1] == outcome.steps_done - 1
    assert memory.records["state_grad"].shape[2] == spec.timesteps
    assert "the first value that was not finite: " in outcome.detail


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_the_profile_is_exactly_zero_beyond_the_border(cell: str) -> None:
    records = recorded(cell=cell, truncate=5, **T_ONE)
    median = records["state_grad"][:, 0, :, 1]
    assert (median[:, -5:] > 0).all()
    assert not median[:, :-5].any()
    assert not records["input_grad"][:, :-5].any()
    assert (records["state_norm"][:, 0] > 0).all()


def test_the_last_answers_gradient_ends_where_its_chunk_begins() -> None:
    records = recorded(cell="tanh", truncate=5, **T_MANY)
    assert (records["state_grad"][:, 0, :, 1] > 0).all()  # every timestep has a loss in its own chunk
    last = records["answer_grad"][:, 0, :, 1]
    assert (last[:, -5:] > 0).all()
    assert not last[:, :-5].any()


@pytest.mark.parametrize(("cell", "gate_bias"), [("gru", 0.0), ("tanh", None)])
def test_only_a_chunk_beyond_the_gap_can_learn_across_it(cell: str, gate_bias: float | None) -> None:
    """Gates that begin closed: else the carried state would still hold the word, and the last chunk could read it."""
    base = RunSpec.make(
        task="delayed_recall",
        gap=12,
        cell=cell,
        gate_bias=gate_bias,
        hidden=24,
        batch=32,
        steps=300,
        learning_rate=1e-2,
    )
    assert train(base.changed(truncate=13), Memory()).success > 0.95
    assert train(base.changed(truncate=6), Memory()).success < 0.65


def test_absurd_chunks_are_refused_in_a_sentence() -> None:
    with pytest.raises(Refusal, match=r"^truncate must be at least 1, but got 0$"):
        RunSpec.make(truncate=0)
    with pytest.raises(Refusal, match=r"^truncate must be a whole number, but got 2\.5$"):
        RunSpec.make(truncate=2.5)
    with pytest.raises(Refusal, match=r"^truncate must be at most "):
        RunSpec.make(truncate=10**9)


def test_a_truncated_run_says_so_in_its_name() -> None:
    assert "truncated at 7" in RunSpec.make(truncate=7).label()
    assert "truncated" not in RunSpec.make().label()
