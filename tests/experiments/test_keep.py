from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.store.weights import AT_MOST_BYTES
from experiments.keep import KEPT_AT_MOST, Keeper, steps_to_keep
from experiments.spec import RunSpec
from experiments.train import Trainer, train
from tests.experiments.recording import Memory

SMALL = {"task": "france", "gap": 5, "hidden": 4, "embedding": 4, "batch": 4, "device": "cpu"}


@given(steps=st.integers(1, 10**6), size=st.integers(1, 2 * AT_MOST_BYTES))
def test_the_steps_span_the_run_within_the_room(steps, size):
    kept = steps_to_keep(steps, size)
    assert len(kept) * size <= AT_MOST_BYTES
    assert len(kept) <= KEPT_AT_MOST
    assert list(kept) == sorted(set(kept))
    if size <= AT_MOST_BYTES:
        assert kept[-1] == steps
    if 2 * size <= AT_MOST_BYTES:
        assert kept[0] == 0
        gaps = np.diff(kept)
        assert gaps.max() - gaps.min() <= 1


def test_examples():
    assert steps_to_keep(500, 1000) == tuple(range(0, 501, 50))
    assert steps_to_keep(3, 1000) == (0, 1, 2, 3)
    assert steps_to_keep(500, AT_MOST_BYTES // 3) == (0, 250, 500)
    assert steps_to_keep(500, AT_MOST_BYTES) == (500,)
    assert steps_to_keep(500, AT_MOST_BYTES + 1) == ()


def test_nothing_is_kept_twice_and_nothing_at_all_where_it_is_too_large():
    kept: list[int] = []
    keeper = Keeper((0, 5), lambda: ({}, {}), lambda step, weights, ratio: kept.append(step))
    for step in (0, 1, 2):
        keeper.after(step)
    keeper.after(2, at_end=True)
    keeper.after(2, at_end=True)
    assert kept == [0, 2]
    Keeper((), lambda: ({}, {}), lambda step, weights, ratio: kept.append(step)).after(7, at_end=True)
    assert kept == [0, 2]


def test_a_run_keeps_what_it_had_at_each_step():
    spec = RunSpec.make(**SMALL, cell="gru", steps=20)
    memory = Memory()
    train(spec, memory)
    assert list(memory.weights) == list(range(0, 21, 2))
    trainer = Trainer(spec)
    before: dict[str, np.ndarray] = {}
    for step in range(21):
        if step in memory.weights:
            ratios = {
                name: np.linalg.norm((values - before[name]).astype("f8")) / np.linalg.norm(before[name].astype("f8"))
                for name, values in (memory.weights[step] if step else {}).items()
            }
            assert memory.update_ratios[step] == pytest.approx(ratios, rel=1e-5)
            state = trainer.network.state_dict()
            assert list(memory.weights[step]) == list(state)
            for name, values in memory.weights[step].items():
                assert values.dtype == np.float32
                assert torch.equal(torch.from_numpy(values), state[name])
        before = trainer.weights()
        trainer.step(step)


def test_a_run_that_is_stopped_keeps_where_it_stopped():
    memory = Memory(stop_after=7)
    outcome = train(RunSpec.make(**SMALL, cell="tanh", steps=100), memory)
    assert (outcome.state, list(memory.weights)) == ("stopped", [0, 7])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cell": "relu", "init": "scaled:100", "learning_rate": 100.0, "optimizer": "sgd", "clip": "none"}, "loss is"),
        ({"cell": "identity", "learning_rate": 100.0, "optimizer": "sgd", "clip": "none", "gap": 60}, ""),
    ],
)
def test_a_run_that_diverges_keeps_the_last_finite_weights(fields, said):
    memory = Memory()
    outcome = train(RunSpec.make(**{**SMALL, **fields}, steps=50), memory)
    assert outcome.state == "diverged"
    assert said in outcome.detail
    assert list(memory.weights)[-1] == outcome.steps_done - 1
    for weights in memory.weights.values():
        assert all(np.isfinite(values).all() for values in weights.values())


def test_an_update_that_leaves_something_not_finite_is_taken_back():
    trainer = Trainer(RunSpec.make(**SMALL, cell="tanh", optimizer="sgd", learning_rate=1.0, clip="none"))
    before = trainer.weights()
    trainer._update_parameters = lambda: trainer.flat.parameters.detach().fill_(torch.nan)
    _, detail = trainer.step(0)
    assert "which left embedding.weight not finite" in detail
    after = trainer.weights()
    assert all(np.array_equal(after[name], values) for name, values in before.items())
    assert trainer.kept()[1] == {}  # of an update that was taken back there is nothing to say
