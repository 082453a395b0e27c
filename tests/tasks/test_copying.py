from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tests.tasks.losses import cross_entropy


@settings(max_examples=25)
@given(gap=st.integers(1, 1000), seed=st.integers(0, 2**32))
def test_layout(gap: int, seed: int) -> None:
    task = tasks.build("copy", gap)
    batch = task.batch(np.random.default_rng(seed), 3)
    assert task.length == gap + 20
    blank, marker = task.vocabulary.index("·"), task.vocabulary.index("▶")
    symbols, wait, cue, end = np.split(batch.inputs, [10, 10 + gap - 1, 10 + gap])
    assert ((symbols >= 0) & (symbols < 8)).all()
    assert (wait == blank).all()
    assert (cue == marker).all()
    assert (end == blank).all()
    assert len(cue) == 1
    assert len(end) == 10
    assert (batch.targets[:-10] == blank).all()
    assert (batch.targets[-10:] == symbols).all()
    assert task.answer_steps == tuple(range(gap + 10, gap + 20))
    assert task.distance == gap + 10


@pytest.mark.parametrize(("gap", "loss"), [(100, 0.17329), (500, 0.03999), (1000, 0.02039)])
def test_chance_loss_is_the_published_one(gap: int, loss: float) -> None:
    assert tasks.build("copy", gap).chance_loss == pytest.approx(loss, abs=5e-6)


def test_chance_loss_by_simulation() -> None:
    task = tasks.build("copy", 30)
    batch = task.batch(np.random.default_rng(0), 500)
    probability = np.zeros((task.length, 500, task.outputs))
    probability[:-10, :, 8] = 1.0
    probability[-10:, :, :8] = 1 / 8
    assert cross_entropy(probability, batch.targets) == pytest.approx(task.chance_loss, rel=1e-12)


def test_symbols_are_equally_likely_and_independent_of_each_other() -> None:
    symbols = tasks.build("copy", 1).batch(np.random.default_rng(0), 8000).inputs[:10]
    counts = np.array([np.bincount(row, minlength=8) for row in symbols])
    assert ((counts - 1000) ** 2 / 1000).sum() < 120  # chi-square with 70 degrees of freedom, p ≈ 2e-4
    pairs = np.bincount(symbols[0] * 8 + symbols[1], minlength=64)
    assert ((pairs - 125) ** 2 / 125).sum() < 110  # 63 degrees of freedom, p ≈ 2e-4


def test_readable() -> None:
    task = tasks.build("copy", 3)
    tokens, answer = task.readable(task.batch(np.random.default_rng(0), 2), 1)
    assert tokens[10:13] == ("·", "·", "▶")
    assert answer == " ".join(tokens[:10])


def test_the_last_answer_hangs_on_the_last_symbol() -> None:
    facts = tasks.build("copy", 7).facts(np.random.default_rng(0))
    assert (facts.informative_steps, facts.loss_step, facts.distance) == ((9,), 26, 17)
