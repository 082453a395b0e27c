import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.measures.entry_sizes import BINS, EDGES
from diagnostics.measures.what_if import by_norm
from diagnostics.records import COLUMNS, Records
from experiments.spec import Refusal, RunSpec
from experiments.train import Trainer, train
from models import pictures
from models.network import Network
from tests.experiments.recording import Memory, trained

torch.set_num_threads(1)

SMALL: dict[str, Any] = {"gap": 6, "hidden": 7, "embedding": 5, "batch": 6, "steps": 12}


def small(**fields: Any) -> RunSpec:
    return RunSpec.make(**{**SMALL, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"cell": "tanh"},
        {"cell": "lstm", "layers": 2, "inputs": "onehot"},
        {"cell": "gru", "task": "copy", "record_every": 5},
        {"cell": "lstm", "wiring": "many-to-many", "layers": 2},
        {"cell": "relu", "task": "adding"},
    ],
    ids=lambda fields: "-".join(str(v) for v in fields.values()),
)
def test_every_column_has_its_rows_and_its_shape(fields: dict[str, Any]) -> None:
    spec = small(**fields)
    memory = Memory()
    outcome = train(spec, memory)
    records = memory.records
    sizes = {"L": spec.layers, "T": spec.timesteps, "band": 3, "bin": BINS, "sum": 3}
    assert records["step"].tolist() == list(range(12))
    assert records["profile_step"].tolist() == list(range(0, 12, spec.record_every or 1))
    assert records["eval_step"].tolist() == list(range(13))
    for name, column in COLUMNS.items():
        if name in ("answer_grad", "grad_c"):
            wanted = spec.wiring == "many-to-many" if name == "answer_grad" else spec.cell == "lstm"
            assert (name in records) == wanted, name
        if name in records:
            assert records[name].dtype == np.dtype(column.dtype), name
            assert records[name].shape[1:] == tuple(sizes[axis] for axis in column.axes), name
            assert np.isfinite(records[name]).all(), name
    assert (np.diff(records["wall_s"]) >= 0).all()
    assert (outcome.state, outcome.steps_done, outcome.detail) == ("finished", 12, "")
    assert outcome.loss == records["eval_loss"][-1]
    assert outcome.success == records["eval_success"][-1]
    assert memory.facts is not None
    assert memory.facts.distance <= spec.timesteps
    assert {"torch", "numpy", "python", "device", "threads"} <= set(memory.info)
    assert all(isinstance(value, str) for value in memory.info.values())


@pytest.mark.parametrize("fields", [{"cell": "lstm"}, {"cell": "gru", "task": "copy", "optimizer": "rmsprop"}])
def test_the_same_spec_gives_the_same_bits(fields: dict[str, Any]) -> None:
    first, again = trained(small(**fields))[1], trained(small(**fields))[1]
    torch.manual_seed(7)  # nobody's global generator is asked
    np.random.seed(7)  # noqa: NPY002
    third = trained(small(**fields))[1]
    for name in set(first) - {"wall_s"}:
        assert first[name].tobytes() == again[name].tobytes() == third[name].tobytes(), name
    other = trained(small(**fields, seed=1))[1]
    assert not np.array_equal(first["loss"], other["loss"])


@pytest.mark.parametrize("fields", [{"cell": "lstm"}, {"cell": "gru", "wiring": "many-to-many"}])
def test_recording_leaves_training_as_it_is(fields: dict[str, Any]) -> None:
    often, seldom = (trained(small(**fields, record_every=n))[1] for n in (1, 100))
    assert often.rows("profile") == 12
    assert seldom.rows("profile") == 1
    for name in ("loss", "grad_norm_pre", "eval_loss"):
        assert often[name].tobytes() == seldom[name].tobytes(), name


# ---- against plain autograd in float64 ----


def cut_states(network: Network, cell: str, x: Tensor) -> tuple[list[tuple[Tensor, ...]], Tensor]:
    """One layer run with torch's own cells, with a leaf-like copy of every state handed over; and the output."""
    H = network.head.in_features
    layer = network.recurrent.layers[0]
    weights = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
    state: tuple[Tensor, ...] = (torch.zeros(x.shape[1], H).double(),) * (2 if cell == "lstm" else 1)
    handed, outputs = [], []
    for x_t in x:
        if cell == "lstm":
            state = torch.lstm_cell(x_t, list(state), *weights)
        elif cell == "gru":
            state = (torch.gru_cell(x_t, *state, *weights),)
        else:
            state = (torch.rnn_tanh_cell(x_t, *state, *weights),)
        state = tuple(part.clone() for part in state)
        for part in state:
            part.retain_grad()
        handed.append(state)
        outputs.append(state[0])
    return handed, torch.stack(outputs)


def percentiles(samples: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.percentile(samples, [5, 50, 95], axis=-1), 0, -1)


@pytest.mark.parametrize("wiring", ["many-to-one", "many-to-many"])
@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_a_profile_equals_plain_autograd_in_float64(cell: str, wiring: str) -> None:
    spec = small(cell=cell, wiring=wiring, clip="norm:0.01")
    twin = Trainer(spec)
    batch = twin.task.batch(twin._batches, spec.batch)
    row, _ = Trainer(spec).step(0)

    network = twin.network.double()
    words, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    assert network.embedding is not None

    def plain(answers: slice) -> tuple[list[np.ndarray], np.ndarray, Tensor]:
        """Per-sample norms of the state gradient's parts [T,B] and of the input's, and the flat gradient."""
        network.zero_grad()
        assert network.embedding is not None
        x = network.embedding(words)
        x.retain_grad()
        handed, output = cut_states(network, cell, x)
        logits = network.head(output[answers])
        wanted = targets[answers] if wiring == "many-to-many" else targets[None]
        functional.cross_entropy(logits.flatten(0, 1), wanted.flatten()).backward()
        parts = [
            np.stack([torch.zeros(spec.batch) if s[i].grad is None else s[i].grad.norm(dim=-1).numpy() for s in handed])
            for i in range(len(handed[0]))
        ]
        assert x.grad is not None
        flat = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        return [spec.batch * part for part in parts], spec.batch * x.grad.norm(dim=-1).numpy(), flat

    parts, inputs, flat = plain(slice(None) if wiring == "many-to-many" else slice(-1, None))
    close = {"rtol": 2e-4, "atol": 1e-9}
    np.testing.assert_allclose(row["state_grad"][0], percentiles(np.sqrt(sum(p**2 for p in parts))), **close)
    np.testing.assert_allclose(row["grad_h"][0], np.median(parts[0], axis=-1), **close)
    if cell == "lstm":
        np.testing.assert_allclose(row["grad_c"][0], np.median(parts[1], axis=-1), **close)
    np.testing.assert_allclose(row["input_grad"], percentiles(inputs), **close)
    assert row["grad_norm_pre"] == pytest.approx(float(flat.norm()), rel=1e-5)
    assert row["grad_norm_post"] == pytest.approx(0.01, rel=1e-3)
    assert row["clip_factor"] == pytest.approx(0.01 / float(flat.norm()), rel=1e-3)
    assert row["zero_count"] > 0  # words that the batch has not
    if wiring == "many-to-many":
        parts, _, _ = plain(slice(-1, None))
        np.testing.assert_allclose(row["answer_grad"][0], percentiles(np.sqrt(sum(p**2 for p in parts))), **close)


def test_the_state_gradient_does_not_depend_on_the_batch_size() -> None:
    """The batch mean is undone: a batch of copies of one sample has that sample's gradient."""
    alone, many = (Trainer(small(batch=size)) for size in (1, 6))
    one = alone.task.batch(np.random.default_rng(0), 1)
    rows = []
    for trainer, size in ((alone, 1), (many, 6)):
        copies = type(one)(
            np.repeat(one.inputs, size, 1), np.repeat(one.targets, size), np.repeat(one.informative_steps, size, 0)
        )
        trainer.task.batch = lambda *_, copies=copies: copies  # type: ignore[method-assign]
        rows.append(trainer.step(0)[0])
    np.testing.assert_allclose(rows[0]["state_grad"], rows[1]["state_grad"], rtol=1e-4)
    np.testing.assert_allclose(rows[0]["input_grad"], rows[1]["input_grad"], rtol=1e-4)


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_the_first_update_is_that_of_a_plain_torch_loop(cell: str) -> None:
    """Forward, loss, clipping and Adam together, against torch.nn and torch.nn.utils."""
    spec = small(cell=cell, clip="norm:0.05", learning_rate=0.01)
    trainer = Trainer(spec)
    twin = Trainer(spec)
    batch = twin.task.batch(twin._batches, spec.batch)
    layer = (nn.LSTM if cell == "lstm" else nn.RNN)(5, 7)
    with torch.no_grad():
        for ours, theirs in zip(twin.network.recurrent.parameters(), layer.parameters(), strict=True):
            theirs.copy_(ours)
    assert twin.network.embedding is not None
    embedding = nn.Embedding.from_pretrained(twin.network.embedding.weight.detach().clone(), freeze=False)
    head = nn.Linear(7, twin.task.outputs)
    head.load_state_dict({name: p.detach().clone() for name, p in twin.network.head.named_parameters()})
    parameters = [*embedding.parameters(), *layer.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters, lr=0.01)
    output, _ = layer(embedding(torch.from_numpy(batch.inputs)))
    functional.cross_entropy(head(output[-1]), torch.from_numpy(batch.targets)).backward()
    nn.utils.clip_grad_norm_(parameters, 0.05)
    adam.step()
    trainer.step(0)
    # Adam's first step has the size of the rate whatever the gradient: where an entry's sign is rounding noise the
    # two may differ by twice the rate, so entries are compared where the gradient is not noise.
    for ours, theirs in zip(trainer.network.parameters(), parameters, strict=True):
        assert theirs.grad is not None
        sure = (theirs.grad.abs() > 1e-6) | (theirs.grad == 0)
        torch.testing.assert_close(ours[sure], theirs[sure], rtol=1e-4, atol=1e-5)


# ---- ends ----


def wild(**fields: Any) -> RunSpec:
    return small(cell="relu", init="scaled:6", clip="none", optimizer="sgd", learning_rate=50.0, gap=20, **fields)


@pytest.mark.parametrize("wiring", ["many-to-one", "many-to-many"])
def test_divergence_is_a_result_and_everything_before_is_kept(wiring: str) -> None:
    spec = wild(steps=200, wiring=wiring, record_every=50)
    outcome, records, verdict = trained(spec)
    assert outcome.state == "diverged"
    assert records["step"].tolist() == list(range(outcome.steps_done)), "the diverged step is recorded and counted"
    assert outcome.detail.startswith(f"diverged at step {outcome.steps_done - 1}: ")
    assert np.isfinite(records["loss"][:-1]).all()
    assert records["profile_step"][-1] == outcome.steps_done - 1
    assert not np.isfinite(records["state_grad"][-1]).all()
    assert verdict.kind == "diverged"


def test_a_loss_that_is_not_finite_stops_before_the_update() -> None:
    trainer = Trainer(small())
    with torch.no_grad():
        trainer.network.head.bias[0] = math.inf
    before = trainer.flat.parameters.detach().clone()
    row, trouble = trainer.step(3)
    size = trainer.spec.batch * trainer.task.outputs
    assert trouble == (
        "diverged at step 3: the loss is nan; the first value that was not finite: "
        f"{trainer.spec.batch} of {size} entries of the network's outputs (infinite)"
    )
    assert torch.equal(trainer.flat.parameters, before)
    assert math.isnan(float(row["loss"]))
    assert row["nan_count"] > 0
    assert row["profile_step"] == 3


def test_an_update_that_is_not_finite_names_the_first_parameter() -> None:
    trainer = Trainer(small(optimizer="sgd", clip="none"))
    with torch.no_grad():
        trainer.network.recurrent.layers[0].weight_hh.fill_(3e38)  # finite; its product with the gradient is not
        trainer.network.recurrent.layers[0].weight_ih.zero_()
        trainer.network.recurrent.layers[0].bias_ih.zero_()
        trainer.network.recurrent.layers[0].bias_hh.zero_()
    row, trouble = trainer.step(0)
    assert math.isfinite(float(row["loss"]))
    assert trouble.startswith("diverged at step 0: the gradient held ")
    assert ", which left embedding.weight not finite; the first value that was not finite: " in trouble
    assert trouble.endswith("entries of the gradient with respect to h, timestep 8 (infinite)")


def test_an_update_that_overflows_by_itself_is_found_in_the_parameter() -> None:
    trainer = Trainer(small(optimizer="sgd", clip="none", learning_rate=100.0))
    trainer.step(0)
    before = trainer.flat.parameters.detach().clone()
    with torch.no_grad():
        trainer.network.head.bias[:] = 3.4e38  # finite, and the softmax does not see what all answers share
        trainer.network.head.bias[0] = 3.402e38
    assert torch.isfinite(trainer.flat.parameters).all()
    trainer._update_parameters = lambda: trainer.network.head.bias.data.mul_(2)
    _, trouble = trainer.step(1)
    assert "the update overflowed, which left head.bias not finite; the first value that was not finite: " in trouble
    assert "entries of head.bias after the update (infinite); in the step before the gradient's norm" in trouble
    assert torch.equal(trainer.flat.parameters[:10], before[:10])


@pytest.mark.parametrize("layer", [0, 1])
def test_a_state_that_overflows_is_found_by_layer_and_timestep(layer: int) -> None:
    trainer = Trainer(small(cell="relu", layers=2, optimizer="sgd", clip="none", gap=20))
    with torch.no_grad():
        below, this = trainer.network.recurrent.layers[0], trainer.network.recurrent.layers[layer]
        for tensor in (below.bias_ih, this.bias_ih):
            tensor.fill_(1.0)
        this.weight_hh.copy_(1e10 * torch.eye(len(this.weight_hh)))
    states = [
        trace.h
        for trace in trainer.network(torch.from_numpy(trainer.task.batch(np.random.default_rng(0), 4).inputs)).traces
    ]
    first = int((~torch.isfinite(states[layer]).flatten(1).all(1)).nonzero()[0])
    assert torch.isfinite(states[0]).all() or layer == 0
    _, trouble = trainer.step(0)
    assert "entries of the state h" in trouble
    assert f"layer {layer + 1} of 2, timestep {first} " in trouble


def test_a_run_stops_while_its_cnn_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_learnt", {})
    memory, said = Memory(stop_after=3), []
    outcome = train(RunSpec.make(task="captions", gap=1, hidden=4, steps=20), memory, said.append)
    assert (outcome.state, outcome.steps_done, outcome.detail) == ("stopped", 0, "stopped at step 0 of 20")
    assert memory.asked == 3
    assert said == [pictures.TRAINING]
    assert memory.parts == []


def test_a_run_stops_when_it_is_asked_to_and_keeps_what_it_has() -> None:
    memory = Memory(stop_after=3)
    outcome = train(small(steps=1000), memory)
    assert (outcome.state, outcome.steps_done, outcome.detail) == ("stopped", 3, "stopped at step 3 of 1000")
    assert memory.records["step"].tolist() == [0, 1, 2]
    assert memory.records["eval_step"].tolist() == [0, 3]
    assert memory.asked == 3


def test_the_first_point_is_handed_over_at_once_and_the_rest_in_groups() -> None:
    memory = Memory()
    train(small(steps=300), memory)
    assert memory.parts[0]["step"].tolist() == [0]
    assert memory.parts[0]["eval_step"].tolist() == [0]
    assert len(memory.parts) < 100
    assert isinstance(memory.records, Records)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory = Memory()
    with pytest.raises(Refusal, match=r"device must be one that this machine has \(auto, cpu.*\), but got 'cuda'"):
        train(small(device="cuda"), memory)
    assert memory.facts is None


def test_auto_takes_a_gpu_only_where_it_is_worth_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.device import choose

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose("auto", 64 * 64).type == "cpu"
    assert choose("auto", 256 * 256).type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto", 256 * 256).type == "cpu"


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "rmsprop", "adam"])
def test_every_optimiser_learns_a_short_dependency(optimizer: str) -> None:
    rate = {"sgd": 1.0, "momentum": 0.3, "rmsprop": 3e-3, "adam": 1e-2}[optimizer]
    spec = RunSpec.make(
        task="delayed_recall",
        gap=2,
        cell="tanh",
        hidden=16,
        batch=32,
        steps=150,
        optimizer=optimizer,
        learning_rate=rate,
    )
    outcome, records, _ = trained(spec)
    assert outcome.success > 0.9
    assert records["eval_loss"][-1] < records["eval_loss"][0]


def test_the_sizes_of_the_entries_are_those_before_clipping_and_say_what_cutting_does() -> None:
    """Clipped by value at an edge, the recorded sums give the norm after clipping that was measured."""
    records = trained(small(cell="gru", clip="value:0.001"))[1]
    count, total, squares = np.moveaxis(records["grad_sizes"], -1, 0)
    k = int(np.flatnonzero(np.float32(0.001) == EDGES)[0])
    after = squares[:, : k + 1].sum(1) + float(EDGES[k]) ** 2 * count[:, k + 1 :].sum(1)
    np.testing.assert_allclose(np.sqrt(squares.sum(1)), records["grad_norm_pre"], rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(after), records["grad_norm_post"], rtol=1e-6)
    assert (records["grad_norm_post"] < 0.9 * records["grad_norm_pre"]).any()
    assert (total[:, k + 1 :].sum(1) > 0).any()


def test_a_step_recorded_because_it_broke_has_no_sizes() -> None:
    outcome, records, _ = trained(wild(steps=200, record_every=50))
    assert outcome.state == "diverged"
    assert np.isnan(records["grad_sizes"][-1]).all()
    assert np.isfinite(records["grad_sizes"][0]).all()


def test_at_most_128_profiles_have_the_sizes_evenly_spread() -> None:
    for steps, every in ((128, 1), (129, 2), (500, 4), (500, 20)):
        trainer = Trainer(small(steps=steps, record_every=1 if every < 20 else 20))
        assert trainer._sized_every == every
    records = trained(small(steps=140, eval_every=70, record_every=1, hidden=4))[1]
    known = np.isfinite(records["grad_sizes"]).all(axis=(1, 2))
    assert records["profile_step"][known].tolist() == list(range(0, 140, 2))


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_asked_of_the_norms_of_a_clipped_run_what_if_gives_what_clipping_did(cell: str) -> None:
    free = trained(small(cell=cell, clip="none"))[1]["grad_norm_pre"]
    threshold = float(np.median(free))
    records = trained(small(cell=cell, clip=f"norm:{threshold!r}"))[1]
    answer = by_norm(records["grad_norm_pre"], np.array([threshold]))
    did = records["clip_factor"]
    assert 0 < answer.share[0] == np.mean(did < 1) < 1
    assert answer.least_factor[0] == pytest.approx(did.min(), rel=1e-6)
    assert answer.median_factor[0] == pytest.approx(np.median(did[did < 1]), rel=1e-6)
