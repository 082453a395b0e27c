from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tests.tasks.losses import cross_entropy


@settings(max_examples=25)
@given(gap=st.integers(1, 1000), seed=st.integers(0, 2**32), many=st.booleans())
def test_layout(gap: int, seed: int, many: bool) -> None:
    task = tasks.build("delayed_recall", gap, wiring="many-to-many" if many else "many-to-one")
    batch = task.batch(np.random.default_rng(seed), 5)
    assert task.length == gap + 1
    assert task.distance == gap
    assert set(np.unique(batch.inputs[0])) <= {0, 1}
    assert ((batch.inputs[1:] >= 2) & (batch.inputs[1:] < 100)).all()
    if many:
        assert (batch.targets[:-1] == 2).all()
    assert ((batch.targets[-1] if many else batch.targets) == batch.inputs[0]).all()
    assert task.readable(batch, 2)[1] == task.readable(batch, 2)[0][0]


def test_all_hundred_symbols_are_used_and_both_answers_are_as_likely() -> None:
    batch = tasks.build("delayed_recall", 40).batch(np.random.default_rng(0), 2500)
    assert len(np.unique(batch.inputs)) == 100
    counts = np.bincount(batch.inputs[1:].ravel(), minlength=100)[2:]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 155  # 97 degrees of freedom, p ≈ 2e-4
    assert abs(batch.targets.mean() - 0.5) < 4 * 0.5 / 50


def test_chance_values() -> None:
    one = tasks.build("delayed_recall", 40)
    assert (one.chance_loss, one.chance_success) == (pytest.approx(math.log(2)), 0.5)
    many = tasks.build("delayed_recall", 40, wiring="many-to-many")
    batch = many.batch(np.random.default_rng(0), 300)
    probability = np.zeros((41, 300, 3))
    probability[:-1, :, 2] = 1.0
    probability[-1, :, :2] = 0.5
    assert cross_entropy(probability, batch.targets) == pytest.approx(many.chance_loss, rel=1e-12)
