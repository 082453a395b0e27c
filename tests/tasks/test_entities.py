"""Named entities: who is tagged what, how far ahead it is decided, and that the past says nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks.base import UNASKED
from tasks.entities import AMBIGUOUS, FUTURE, KNOWN, LOCATION, NONE, PEOPLE, PERSON, PLACES, TAGS, Entities, overhead

GAPS = (1, 2, 3, 4, 5, 6, 9, 17, 60)


def make(gap: int) -> Entities:
    task = tasks.build("entities", gap)
    assert isinstance(task, Entities)
    return task


def told(task: Entities, batch: tasks.Batch, sample: int) -> list[tuple[str, int]]:
    """The words of a sample with their tags."""
    assert batch.lengths is not None
    words = batch.lengths[sample]
    pairs = zip(batch.inputs[:words, sample], batch.targets[:words, sample], strict=True)
    return [(task.vocabulary[word], int(tag)) for word, tag in pairs]


@pytest.mark.parametrize("gap", GAPS)
def test_the_decider_stands_exactly_gap_words_after_the_name_and_tells_its_tag(gap: int) -> None:
    task = make(gap)
    batch = task.batch(np.random.default_rng(gap), 300)
    assert batch.lengths is not None
    assert task.length == overhead(gap) == gap + 14
    names = {word for name in (*PEOPLE, *PLACES) for word in name} | set(AMBIGUOUS)
    for sample in range(batch.size):
        said = told(task, batch, sample)
        decider = int(batch.informative_steps[sample, 0])
        word, tag = said[decider - gap]
        assert word in names
        assert said[decider][0] in FUTURE[tag]
        assert all(tag == NONE and word not in names for word, tag in said[decider - gap + 1 : decider + 1])
        assert said[-1] == (".", NONE)
        assert all((word in names) == (tag != NONE) for word, tag in said)
        for name, tag in said:
            assert tag == PERSON or (name,) not in PEOPLE
            assert tag == LOCATION or (name,) not in PLACES
    assert len(set(batch.lengths.tolist())) > 4, "lengths vary"
    beyond = np.arange(task.length)[:, None] >= batch.lengths
    assert (batch.inputs[beyond] == 0).all()
    assert ((batch.targets == UNASKED) == beyond).all()


@pytest.mark.parametrize("gap", GAPS)
def test_given_the_past_alone_the_tag_is_a_coin_to_the_last_digit(gap: int) -> None:
    """The same draws with the one tag and with the other: until the decider, the words are the same.

    The tag is a fair coin and independent of these draws, so that P(person | past) = 1/2 for every past there is.
    """
    task = make(gap)
    one, other = (task.sentences(np.random.default_rng(5), np.full(400, tag)) for tag in (PERSON, LOCATION))
    samples, at = task.decided(one)
    assert len(samples) == pytest.approx(400 * (1 - KNOWN), abs=4.5 * (400 * KNOWN * (1 - KNOWN)) ** 0.5)
    np.testing.assert_array_equal(samples, task.decided(other)[0])
    for sample, name in zip(samples, at, strict=True):
        np.testing.assert_array_equal(one.inputs[: name + gap, sample], other.inputs[: name + gap, sample])
        assert one.inputs[name + gap, sample] != other.inputs[name + gap, sample]
        assert (one.targets[name, sample], other.targets[name, sample]) == (PERSON, LOCATION)
    tags = task.batch(np.random.default_rng(0), 4000)
    drawn = tags.targets[tags.informative_steps[:, 0] - gap, np.arange(4000)]
    assert (drawn == PERSON).mean() == pytest.approx(0.5, abs=4.5 * 0.5 / 4000**0.5)


def test_chance_is_ln_2_for_each_name_that_the_future_decides_and_nothing_for_other_words() -> None:
    task = make(7)
    batch = task.batch(np.random.default_rng(1), 20_000)
    undecided = len(task.decided(batch)[0])
    measured = undecided * np.log(2) / (batch.targets != UNASKED).sum()
    assert task.chance_loss == pytest.approx(measured, rel=0.02)
    assert task.chance_success == 0.5


def test_success_looks_at_the_names_that_the_future_decides_and_at_nothing_else() -> None:
    task = make(3)
    batch = task.batch(np.random.default_rng(2), 200)
    right = np.eye(len(TAGS))[np.maximum(batch.targets, 0)]
    assert task.success(right, batch) == task.all_words(right, batch) == 1.0
    samples, at = task.decided(batch)
    wrong = right.copy()
    wrong[at[:30], samples[:30]] = np.roll(wrong[at[:30], samples[:30]], 1, axis=1)
    assert task.success(wrong, batch) == pytest.approx(1 - 30 / len(samples))
    assert task.all_words(wrong, batch) == pytest.approx(1 - 30 / (batch.targets != UNASKED).sum())
    elsewhere = np.zeros_like(right)
    elsewhere[at, samples] = right[at, samples]
    assert task.success(elsewhere, batch) == 1.0
    assert np.isnan(task.success(right[:, :0], batch.part(slice(0, 0))))


@pytest.mark.parametrize("gap", GAPS)
def test_the_example_is_jordan_who_lives_in_jordan(gap: int) -> None:
    task = make(gap)
    facts = task.facts(np.random.default_rng(0))
    assert facts.distance == -gap
    assert facts.loss_step - facts.distance == facts.informative_steps[0]
    assert (facts.tokens[facts.loss_step], facts.answer) == ("Jordan", "person")
    assert facts.tokens[facts.informative_steps[0] :][:4] == ("lives", "in", "Jordan", ".")
    assert set(facts.tokens[facts.informative_steps[0] + 4 :]) == {"PAD"}


def test_most_names_that_the_future_decides_stand_where_profiles_look() -> None:
    task = make(4)
    batch = task.batch(np.random.default_rng(3), 2000)
    asked = batch.targets[task.answer_steps[-1]] != UNASKED
    _, at = task.decided(batch)
    assert (at == task.answer_steps[-1]).sum() > 0.5 * asked.sum()
