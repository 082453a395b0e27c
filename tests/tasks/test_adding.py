from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks


@settings(max_examples=25)
@given(gap=st.integers(2, 1000), seed=st.integers(0, 2**32))
def test_one_mark_in_each_half_and_the_sum_is_the_answer(gap: int, seed: int) -> None:
    task = tasks.build("adding", gap)
    batch = task.batch(np.random.default_rng(seed), 6)
    values, marks = np.moveaxis(batch.inputs, 2, 0)
    assert set(np.unique(marks)) <= {0.0, 1.0}
    assert (marks[: gap // 2].sum(axis=0) == 1).all()
    assert (marks[gap // 2 :].sum(axis=0) == 1).all()
    assert ((values >= 0) & (values <= 1)).all()
    steps = [np.flatnonzero(column) for column in marks.T]
    assert (np.array(steps) == batch.informative_steps).all()
    np.testing.assert_allclose(batch.targets, [values[s, b].sum() for b, s in enumerate(steps)], rtol=1e-6)


def test_chance_values_in_closed_form_and_by_simulation() -> None:
    task = tasks.build("adding", 100)
    assert task.chance_loss == 1 / 6
    assert task.chance_success == pytest.approx(0.19)
    batch = task.batch(np.random.default_rng(0), 40_000)
    ones = np.ones((40_000, 1))
    squared = (ones[:, 0] - batch.targets) ** 2
    assert squared.mean() == pytest.approx(1 / 6, abs=4 * squared.std() / 200)
    assert task.success(ones, batch) == pytest.approx(0.19, abs=4 * (0.19 * 0.81) ** 0.5 / 200)


def test_marks_are_uniform_over_their_halves() -> None:
    steps = tasks.build("adding", 20).batch(np.random.default_rng(0), 10_000).informative_steps
    counts = np.bincount(steps.ravel(), minlength=20)
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square with 18 degrees of freedom, p ≈ 8e-5


def test_just_outside_the_tolerance_is_wrong() -> None:
    task = tasks.build("adding", 10)
    batch = task.batch(np.random.default_rng(0), 4)
    off = np.array([0.099, -0.099, 0.101, -0.101])
    assert task.success((batch.targets + off)[:, None], batch) == 0.5


def test_readable() -> None:
    task = tasks.build("adding", 8)
    batch = task.batch(np.random.default_rng(0), 2)
    tokens, answer = task.readable(batch, 0)
    assert [t for t, token in enumerate(tokens) if token.startswith("+")] == batch.informative_steps[0].tolist()
    assert float(answer) == pytest.approx(sum(float(token) for token in tokens if token.startswith("+")), abs=0.011)
