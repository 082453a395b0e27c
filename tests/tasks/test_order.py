"""Order: pairs of the same words with different answers; nothing but the order tells them."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.base import Batch
from tasks.order import ANIMALS, ANSWERS, EXCHANGE, Order, overhead


def make(gap: int = 8) -> Order:
    return Order(gap, overhead(gap), "many-to-one")


def page(task: Order, batch: Batch) -> np.ndarray:
    return np.array(task.vocabulary)[batch.inputs.T]


@pytest.mark.parametrize("gap", [4, 5, 6, 7, 9, 30, 120])
def test_what_comes_first_decides(gap: int) -> None:
    task = make(gap)
    batch = task.batch(np.random.default_rng(gap), 800)
    for b, words in enumerate(page(task, batch)):
        decides = [at for at, word in enumerate(words) if word in EXCHANGE or word in ANIMALS]
        assert decides == batch.informative_steps[b].tolist()
        assert decides[0] == 0
        assert 3 <= decides[1] <= 5
        assert (words[0] in EXCHANGE) != (words[decides[1]] in EXCHANGE)
        assert ANSWERS[batch.targets[b]] == ("trading" if words[0] in EXCHANGE else "something else")
    assert batch.lengths is None
    assert task.distance == gap


def test_the_samples_come_in_pairs_of_the_same_words() -> None:
    task = make(9)
    batch = task.batch(np.random.default_rng(0), 600)
    one, other = batch.inputs[:, ::2], batch.inputs[:, 1::2]
    assert (one != other).sum(axis=0).tolist() == [2] * 300
    np.testing.assert_array_equal(np.sort(one, axis=0), np.sort(other, axis=0))
    np.testing.assert_array_equal(batch.targets[::2], 1 - batch.targets[1::2])
    np.testing.assert_array_equal(batch.informative_steps[::2], batch.informative_steps[1::2])
    assert 0.4 < batch.targets[::2].mean() < 0.6, "which comes first is tossed for"


def test_whatever_only_counts_words_is_right_on_exactly_half() -> None:
    """For any function of the counts: its answers on the two of a pair are the same, and one of them is right."""
    task, rng = make(9), np.random.default_rng(1)
    batch = task.held_out(0, 512)
    counts = np.zeros((512, len(task.vocabulary)))
    np.add.at(counts, (np.arange(512)[:, None], batch.inputs.T), 1)
    for _ in range(50):
        hidden = np.tanh(counts @ rng.normal(size=(counts.shape[1], 8)))
        said = (hidden @ rng.normal(size=8) > 0).astype(np.int64)
        # Rows that are equal may be rounded otherwise: the same answer is looked up by the counts themselves.
        table = dict(zip(map(bytes, counts.astype(np.uint8)), said.tolist(), strict=True))
        answers = np.array([table[row] for row in map(bytes, counts.astype(np.uint8))])
        assert task.success(np.eye(2)[answers], batch) == 0.5


def test_exchanging_twice_gives_the_sentence_back() -> None:
    task = make(12)
    batch = task.batch(np.random.default_rng(2), 64)
    back = task.exchanged(task.exchanged(batch))
    np.testing.assert_array_equal(back.inputs, batch.inputs)
    np.testing.assert_array_equal(back.targets, batch.targets)
    np.testing.assert_array_equal(task.exchanged(batch).targets, 1 - batch.targets)


def test_an_odd_batch_leaves_one_alone() -> None:
    batch = make(6).batch(np.random.default_rng(0), 7)
    assert batch.size == 7
    assert batch.inputs.shape == (7, 7)
    assert batch.targets.shape == (7,)


def test_the_lectures_sentence_is_the_shortest() -> None:
    task = make(4)
    facts = task.facts(np.random.default_rng(0))
    assert " ".join(facts.tokens) == "Market falls into bear territory"
    assert facts.answer == "trading"
    assert facts.informative_steps == (0, 3)
    said = {" ".join(words) for words in page(task, task.batch(np.random.default_rng(0), 4000))}
    assert {"market falls into bear territory", "bear falls into market territory"} <= said
