"""Published tasks, with the settings in full: what a correct build learns, and what it must not."""

import math

import numpy as np
import pytest
import torch

from diagnostics.records import Array
from experiments.spec import RunSpec
from experiments.train import train
from tests.experiments.recording import Memory

pytestmark = pytest.mark.gates
torch.set_num_threads(1)


class Until(Memory):
    """Stops a run once its held-out loss is below a level."""

    def __init__(self, loss: float) -> None:
        super().__init__()
        self._level = loss
        self.reached = False

    def add(self, columns: dict[str, Array]) -> None:  # type: ignore[override]
        super().add(columns)
        self.reached |= bool("eval_loss" in columns and np.min(columns["eval_loss"]) < self._level)

    def stop_requested(self) -> bool:
        return self.reached


ADDING = {"task": "adding", "hidden": 64, "batch": 50, "clip": "norm:1.0", "record_every": 100, "eval_every": 50}


def test_adding_at_100_steps_is_learned_by_a_gru() -> None:
    memory = Until(0.01)
    spec = RunSpec.make(**ADDING, cell="gru", gap=100, gate_bias=0.0, learning_rate=3e-3, steps=3000)
    train(spec, memory)
    assert memory.reached, memory.records["eval_loss"].min()


def test_adding_at_100_steps_is_learned_by_an_lstm() -> None:
    memory = Until(0.01)
    spec = RunSpec.make(**ADDING, cell="lstm", gap=100, gate_bias=1.0, learning_rate=3e-3, steps=5000)
    train(spec, memory)
    assert memory.reached, memory.records["eval_loss"].min()


def test_adding_at_100_steps_is_not_learned_by_tanh() -> None:
    memory = Memory()
    train(RunSpec.make(**ADDING, cell="tanh", gap=100, learning_rate=1e-3, steps=5000), memory)
    assert memory.records["eval_loss"].min() > 0.15


def test_adding_at_30_steps_is_learned_by_tanh() -> None:
    """The positive control of the one before."""
    memory = Until(0.01)
    train(RunSpec.make(**ADDING, cell="tanh", gap=30, learning_rate=1e-3, steps=15_000), memory)
    assert memory.reached, memory.records["eval_loss"].min()


def test_temporal_order_at_50_steps_is_learned_by_an_lstm() -> None:
    memory = Until(0.01)
    spec = RunSpec.make(
        task="temporal_order",
        gap=50,
        cell="lstm",
        gate_bias=1.0,
        inputs="onehot",
        hidden=64,
        batch=50,
        learning_rate=3e-3,
        steps=2000,
        record_every=100,
        eval_every=50,
    )
    outcome = train(spec, memory)
    assert 1 - outcome.success < 0.01


def test_copying_over_100_steps_is_not_learned_by_tanh() -> None:
    memory = Memory()
    spec = RunSpec.make(
        task="copy",
        gap=100,
        cell="tanh",
        inputs="onehot",
        hidden=64,
        batch=50,
        learning_rate=3e-3,
        steps=1000,
        record_every=100,
        eval_every=100,
    )
    train(spec, memory)
    baseline = 10 * math.log(8) / 120
    assert memory.facts is not None
    assert memory.facts.chance_loss == pytest.approx(baseline, rel=1e-6)
    late = memory.records["eval_loss"][memory.records["eval_step"] >= 500]
    np.testing.assert_allclose(late, baseline, rtol=0.01)
