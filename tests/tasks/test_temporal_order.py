from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks

BITS = {"temporal_order": 2, "temporal_order_3": 3}
TENTHS = {"temporal_order": (0.1, 0.5), "temporal_order_3": (0.1, 0.3, 0.6)}
both = pytest.mark.parametrize("name", BITS)


@both
@settings(max_examples=25)
@given(length=st.integers(10, 1000), seed=st.integers(0, 2**32))
def test_positions_and_classes(name: str, length: int, seed: int) -> None:
    task = tasks.build(name, length)
    batch = task.batch(np.random.default_rng(seed), 8)
    assert batch.inputs.shape == (length, 8)
    for b in range(8):
        words = task.readable(batch, b)[0]
        relevant = [t for t, word in enumerate(words) if word in "XY"]
        assert relevant == batch.informative_steps[b].tolist()
        for t, tenth in zip(relevant, TENTHS[name], strict=True):
            assert round(10 * tenth) * length <= 10 * t < (round(10 * tenth) + 1) * length
        order = "".join(words[t] for t in relevant)
        assert batch.targets[b] == int(order.replace("X", "0").replace("Y", "1"), 2)
        assert task.readable(batch, b)[1] == " then ".join(order)


@both
def test_every_step_of_a_window_is_used(name: str) -> None:
    steps = tasks.build(name, 100).batch(np.random.default_rng(0), 3000).informative_steps
    for column, tenth in zip(steps.T, TENTHS[name], strict=True):
        begin = round(100 * tenth)
        assert np.unique(column).tolist() == list(range(begin, begin + 10))


@both
def test_chance_values(name: str) -> None:
    task = tasks.build(name, 50)
    classes = 2 ** BITS[name]
    assert task.outputs == classes
    assert task.chance_loss == pytest.approx(math.log(classes))
    assert 1 - task.chance_success == {2: 0.75, 3: 0.875}[BITS[name]]
    counts = np.bincount(task.batch(np.random.default_rng(0), 8000).targets, minlength=classes)
    expected = 8000 / classes
    assert ((counts - expected) ** 2 / expected).sum() < 27  # chi-square, at most 7 degrees of freedom, p ≈ 3e-4


@both
def test_the_distance_is_the_farthest_and_the_example_is_there(name: str) -> None:
    task = tasks.build(name, 57)
    assert task.distance == 57 - 1 - 6
    seen = task.batch(np.random.default_rng(0), 2000).informative_steps[:, 0].min()
    assert task.distance == 56 - seen
