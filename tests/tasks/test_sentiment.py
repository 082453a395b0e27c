"""Sentiment: what decides, how long, where; that no single word tells the answer, and that counting them cannot."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.base import PAD, Batch
from tasks.sentiment import (
    ANSWERS,
    COUNTING_CEILING,
    FRONT,
    LINEAR_CEILING,
    TWICE,
    Sentiment,
    overhead,
)

DENIES = {"nothing", "little", "nobody", "few", "never", "rarely"}
AFFIRMS = {"much", "plenty", "everybody", "most", "always", "often"}
BLAMES = {"hate", "dislike", "regret", "mock", "hated", "disliked", "regretted", "mocked"}
BLAMES |= {"dull", "bad", "silly", "weak"}
PRAISES = {"like", "love", "enjoy", "admire", "liked", "loved", "enjoyed", "admired"}
PRAISES |= {"good", "great", "clever", "fresh"}


def make(gap: int = 8, front: int = 0) -> Sentiment:
    return Sentiment(gap, overhead(gap) + front, "many-to-one")


def sentences(task: Sentiment, batch: Batch) -> list[list[str]]:
    assert batch.lengths is not None
    page = np.array(task.vocabulary)[batch.inputs.T]
    return [list(row[:length]) for row, length in zip(page, batch.lengths, strict=True)]


def pairs(words: list[str]) -> list[tuple[int, str, str]]:
    """Where a pair begins, its answer by the meaning of its words, and both: found without the task's tables."""
    found = []
    for at in range(len(words) - 2):
        first, second = words[at], words[at + 2]
        if first in DENIES | AFFIRMS and second in BLAMES | PRAISES:
            content = (first in AFFIRMS) == (second in PRAISES)
            found.append((at, ANSWERS[content], f"{first} {second}"))
    return found


@pytest.mark.parametrize(("gap", "front"), [(2, 0), (3, 0), (5, 1), (8, 0), (20, 3), (60, 0)])
def test_every_sentence_says_what_its_answer_is(gap: int, front: int) -> None:
    task = make(gap, front)
    batch = task.batch(np.random.default_rng(gap), 1500)
    assert batch.lengths is not None
    twice = 0
    for b, words in enumerate(sentences(task, batch)):
        said = pairs(words)
        assert len(said) in (1, 2)
        assert {answer for _, answer, _ in said} == {task.readable(batch, b)[1]}
        assert said[-1][0] == batch.informative_steps[b, 0] == batch.informative_steps[b, 1] - 2
        assert 2 <= batch.lengths[b] - 1 - said[-1][0] <= gap
        assert task.deciding(batch.inputs[:, b]) == tuple(step for at, *_ in said for step in (at, at + 2))
        assert PAD not in words
        assert sum(word in DENIES | AFFIRMS for word in words) == len(said), "nothing else could be taken for a pair"
        twice += len(said) == 2
        if len(said) == 2:
            assert said[1][0] - said[0][0] == 4
            one, other = said[0][2].split(), said[1][2].split()
            assert (one[0] in DENIES) != (other[0] in DENIES)
            assert (one[1] in BLAMES) != (other[1] in BLAMES)
    assert abs(twice / 1500 - TWICE) < 4 * (TWICE * (1 - TWICE) / 1500) ** 0.5
    assert (batch.inputs[np.arange(task.length)[:, None] >= batch.lengths] == 0).all()
    assert task.vocabulary[0] == PAD


def test_lengths_vary_and_the_distance_takes_every_value() -> None:
    task = make(8)
    batch = task.batch(np.random.default_rng(0), 7000)
    assert batch.lengths is not None
    distance = batch.lengths - 1 - batch.informative_steps[:, 0]
    values, found = np.unique(distance, return_counts=True)
    assert values.tolist() == [2, 3, 4, 5, 6, 7, 8]
    usual = found[-1] - found[:-1].mean()
    assert usual / 7000 == pytest.approx(5 / 6 / 3, abs=0.03), "those of the usual geometry"
    assert found[:-1] == pytest.approx([(7000 - usual) / 7] * 6, abs=4.5 * 900**0.5)
    assert (batch.lengths.min(), batch.lengths.max()) == (3, overhead(8))


@pytest.mark.parametrize("gap", [2, 8, 40])
def test_enough_sentences_of_every_batch_end_where_the_example_does(gap: int) -> None:
    task, rng = make(gap, 1), np.random.default_rng(gap)
    for _ in range(50):
        batch = task.batch(rng, 64)
        assert batch.lengths is not None
        ends = batch.lengths - 1 == task.answer_steps[0]
        assert ends.mean() > 0.15
    many = task.batch(rng, 3000)
    assert many.lengths is not None
    ends = many.lengths - 1 == task.answer_steps[0]
    assert ends.mean() > 0.25
    assert (many.informative_steps[ends, 0] == task.informative[0]).mean() > 0.6
    assert task.length - 1 > task.answer_steps[0], "so that padding is seen behind it"


def test_the_lectures_sentence_is_one_of_them() -> None:
    task = make(5)  # few enough sentences to meet it
    page, length = task.said("There is nothing to like in this movie.")
    drawn = task.batch(np.random.default_rng(0), 400_000)
    found = np.flatnonzero((drawn.inputs == page[:, None]).all(axis=0))
    assert len(found)
    assert {(task.readable(drawn, int(b))[1], int(drawn.lengths[b])) for b in found} == {("negative", length)}  # type: ignore[index]
    facts = task.facts(np.random.default_rng(0))
    assert "nothing to like in this movie" in " ".join(facts.tokens)
    assert facts.tokens[facts.loss_step + 1 :] == (PAD,) * 4
    assert PAD not in facts.tokens[: facts.loss_step + 1]
    assert [facts.tokens[step] for step in facts.informative_steps] == ["nothing", "like"]


@pytest.mark.parametrize("gap", [2, 3, 4, 5, 6, 7])
def test_the_example_ends_in_whole_phrases(gap: int) -> None:
    facts = make(gap).facts(np.random.default_rng(0))
    after = " ".join(facts.tokens[9 : facts.loss_step + 1])
    assert after in ("", "overall", "again", "somehow", "so far", "this year", "for now") or after.startswith(
        "in this movie"
    )


# What does not tell the answer


def counts(task: Sentiment, batch: Batch) -> np.ndarray:
    """How often each word of the vocabulary stands in each sentence, PAD left out: ``[B, V]``."""
    found = np.zeros((batch.size, len(task.vocabulary)))
    np.add.at(found, (np.arange(batch.size)[:, None], batch.inputs.T), 1)
    found[:, 0] = 0
    return found


@pytest.fixture(scope="module")
def large() -> tuple[Sentiment, Batch, np.ndarray]:
    task = make(8)
    batch = task.batch(np.random.default_rng(3), 60_000)
    return task, batch, counts(task, batch)


def test_no_word_says_anything_about_the_answer(large: tuple[Sentiment, Batch, np.ndarray]) -> None:
    _, batch, found = large
    sign = 2.0 * batch.targets - 1
    present = found > 0
    z = (sign @ present) / np.sqrt(np.maximum(present.sum(0), 1))
    assert np.abs(z).max() < 4.5
    assert abs(sign.sum()) < 4.5 * batch.size**0.5
    assert (present.sum(0)[1:] > 50).mean() > 0.8, "most words were there to be looked at"


def test_neither_does_the_length_nor_where_it_is_said(large: tuple[Sentiment, Batch, np.ndarray]) -> None:
    _, batch, _ = large
    assert batch.lengths is not None
    sign = 2.0 * batch.targets - 1
    for quantity in (batch.lengths, batch.informative_steps[:, 0]):
        for value in np.unique(quantity):
            there = quantity == value
            assert abs(sign[there].sum()) < 4.5 * there.sum() ** 0.5


def test_naive_bayes_guesses(large: tuple[Sentiment, Batch, np.ndarray]) -> None:
    _, batch, found = large
    train, test = slice(0, 40_000), slice(40_000, None)
    log = [np.log(found[train][batch.targets[train] == side].sum(0) + 1.0) for side in (0, 1)]
    log = [one - np.log(np.exp(one).sum()) for one in log]
    said = found[test] @ (log[1] - log[0]) > 0
    right = (said == batch.targets[test]).mean()
    assert abs(right - 0.5) < 0.06, right


def test_the_best_sum_of_a_number_per_word_stays_below_its_ceiling(
    large: tuple[Sentiment, Batch, np.ndarray],
) -> None:
    """Even sums that were made for it: two thirds, and the ceiling is tight."""
    task, batch, found = large
    right = []
    for deny, praise, threshold in ((0, 1, 0), (1, 1, 1), (-1, 1, 0), (1, -1, 0), (-1, -1, -1)):
        side = {**dict.fromkeys(DENIES, deny), **dict.fromkeys(AFFIRMS, -deny)}
        side |= {**dict.fromkeys(PRAISES, praise), **dict.fromkeys(BLAMES, -praise)}
        numbers = np.array([side.get(word, 0) for word in task.vocabulary])
        right += [((way * (found @ numbers) > threshold) == batch.targets).mean() for way in (1, -1)]
    chance = np.linalg.lstsq(np.c_[found, np.ones(len(found))], 2.0 * batch.targets - 1, rcond=None)[0]
    right.append(((np.c_[found, np.ones(len(found))] @ chance > 0) == batch.targets).mean())
    assert max(right) < LINEAR_CEILING + 0.01
    assert max(right) > LINEAR_CEILING - 0.02, "it can be reached"
    assert pytest.approx(2 / 3) == LINEAR_CEILING


def test_what_is_said_twice_has_a_twin_of_the_same_words_with_the_other_answer() -> None:
    task = make(8)
    batch = task.batch(np.random.default_rng(5), 3000)
    twins = 0
    for b, words in enumerate(sentences(task, batch)):
        said = pairs(words)
        if len(said) < 2:
            continue
        one, other = said[0][0] + 2, said[1][0] + 2
        words[one], words[other] = words[other], words[one]
        exchanged = {answer for _, answer, _ in pairs(words)}
        assert exchanged == {ANSWERS[1 - batch.targets[b]]}
        twins += 1
    assert twins > 800
    assert pytest.approx(5 / 6) == COUNTING_CEILING


# Moved


@pytest.mark.parametrize("front", [1, 3])
def test_the_held_out_words_that_decide_stand_where_none_did_in_training(front: int) -> None:
    task = make(8, front)
    trained = task.batch(np.random.default_rng(0), 20_000)
    held = task.held_out(0, 5000)
    where = set(trained.informative_steps.ravel().tolist())
    assert not where & set(held.informative_steps.ravel().tolist())
    # Not only the last pair: at no timestep does a word stand that decides anywhere in training.
    decides = np.isin(task.vocabulary, list(DENIES | AFFIRMS | BLAMES | PRAISES))
    seen = decides[trained.inputs].any(axis=1)
    assert not seen[decides[held.inputs].any(axis=1)].any()


@pytest.mark.parametrize("front", [0, 1, 2, 5])
def test_moved_is_the_same_sentence_later(front: int) -> None:
    task, plain = make(8, front), make(8)
    held, before = task.held_out(7, 300), plain.held_out(7, 300)
    assert held.lengths is not None
    assert before.lengths is not None
    np.testing.assert_array_equal(held.inputs[front:], before.inputs[: task.length - front])
    np.testing.assert_array_equal(held.lengths, before.lengths + front)
    np.testing.assert_array_equal(held.informative_steps, before.informative_steps + front)
    np.testing.assert_array_equal(held.targets, before.targets)
    assert set(np.array(task.vocabulary)[held.inputs[:front]].ravel().tolist()) == (set(FRONT) if front else set())
    assert held.inputs.tobytes() == task.held_out(7, 300).inputs.tobytes()
    trained = plain.batch(np.random.default_rng(0), 50_000).inputs
    known = set(np.unique(trained).tolist())
    assert set(np.unique(held.inputs).tolist()) <= known, "every word was met in training"


def test_what_has_no_room_is_refused() -> None:
    task = make(8, 2)
    batch = task.batch(np.random.default_rng(0), 500)
    with pytest.raises(ValueError, match=r"^by must be from 0 to 2, so that .* in 21 timesteps, but got 3$"):
        task.moved(np.random.default_rng(0), batch, 3)


# What a person types


@pytest.mark.parametrize("end", ["", ".", "!", "?"])
def test_a_typed_sentence_is_read_as_the_task_writes_them(end: str) -> None:
    task = make(8)
    page, length = task.said(f"  The film NEVER felt dull to me{end} ")
    assert [task.vocabulary[token] for token in page[:length]] == ["the", "film", "never", "felt", "dull", "to", "me"]
    assert (page[length:] == 0).all()
    assert page.shape == (task.length,)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("", r"^a sentence must have from 1 to 19 words, but got 0$"),
        ("the " * 20, r"^a sentence must have from 1 to 19 words, but got 20$"),
        ("there is nothing to eat", r"^every word must be one that the network was trained on, but got 'eat'$"),
        ("PAD", r"^every word must be one that the network was trained on, but got 'pad'$"),
        ("x" * 500, r"but got 'x{30}'$"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(sentence: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(8).said(sentence)
