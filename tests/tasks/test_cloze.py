"""France and Clouds: where the words stand, what they may be, and that only the cue tells the answer."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks.clouds import PLACES
from tasks.cloze import BLANK, OPENER, Cloze
from tasks.france import LANGUAGES

# Anything that would give a country or its language away, well beyond the twelve in use.
GIVEAWAYS = frozenset(
    re.findall(
        r"\w+",
        """
Africa America Arabic Asia Australia Austria Belgium Berlin Brazil Britain China Chinese Dutch England English Europe
Finland Finnish Iceland India Ireland Lisbon London Madrid Mexico Norway Norwegian Paris Rome Romania Russia Russian
Scotland Swiss Switzerland Tokyo Turk Dane Swede Pole Greeks Ukraine Vienna Wales Warsaw pizza pasta sushi baguette
""",
    )
)


def make(name: str, gap: int, length: int | None = None, wiring: str | None = None) -> Cloze:
    task = tasks.build(name, gap, length, wiring)
    assert isinstance(task, Cloze)
    return task


def words_of(task: Cloze, batch: tasks.Batch) -> np.ndarray:
    """``[B, T]`` plain words, as in the vocabulary."""
    return np.array(task.vocabulary)[batch.inputs.T]


def cues_of(name: str) -> dict[str, str]:
    """Each cue and its answer."""
    return LANGUAGES if name == "france" else {cue: place for place, cues in PLACES.items() for cue in cues}


def assert_geometry(name: str, gap: int, length: int, size: int) -> None:
    task = make(name, gap, length)
    batch = task.batch(np.random.default_rng(gap), size)
    page, cues = words_of(task, batch), cues_of(name)
    at = length - 1 - gap
    assert batch.inputs.shape == (length, size)
    assert (batch.informative_steps == at).all()
    assert task.informative == (at,)
    assert task.distance == gap
    assert (page[:, -1] == BLANK).all()
    is_cue, is_answer = np.isin(page, list(cues)), np.isin(page, list(cues.values()))
    assert (is_cue.sum(axis=1) == 1).all(), "one cue in each sentence"
    assert is_cue[:, at].all(), "exactly gap tokens before the blank"
    assert not is_answer.any()
    assert (page[:, :-1] != BLANK).all()
    openers = {" ".join(row) for row in page[:, at - OPENER : at]}
    assert openers <= {" ".join(words) for words in task_openers(name)}
    assert [task.answers[target] for target in batch.targets] == [cues[word] for word in page[:, at]]


def task_openers(name: str) -> tuple[tuple[str, ...], ...]:
    from tasks import clouds, france

    return {"france": france.OPENERS, "clouds": clouds.OPENERS}[name]


@pytest.mark.parametrize("gaps", [range(2, 60), range(60, 160), range(160, 280), range(280, 400), range(400, 501)])
def test_the_country_stands_exactly_at_every_gap(gaps: range) -> None:
    for gap in gaps:
        assert_geometry("france", gap, gap + 5, 6)


def test_the_thing_stands_exactly_at_every_gap() -> None:
    for gap in range(2, 41):
        assert_geometry("clouds", gap, gap + 5, 12)


@settings(max_examples=40)
@given(name=st.sampled_from(["france", "clouds"]), gap=st.integers(2, 40), more=st.integers(0, 150))
def test_a_longer_length_puts_words_before_the_opener(name: str, gap: int, more: int) -> None:
    assert_geometry(name, gap, gap + 5 + more, 4)


@pytest.mark.parametrize(("name", "gap"), [("france", 500), ("clouds", 40)])
def test_the_longest_length_works(name: str, gap: int) -> None:
    assert_geometry(name, gap, tasks.LONGEST, 2)


@pytest.mark.parametrize("name", ["france", "clouds"])
def test_vocabulary_is_moderate_and_all_of_it_can_be_read(name: str) -> None:
    task = make(name, 40)
    assert len(task.vocabulary) <= 250
    assert task.vocabulary[0] == BLANK
    assert all(re.fullmatch(r"[A-Za-z]+|\.|___", word) for word in task.vocabulary)
    assert len(task.answers) == 12


@pytest.mark.parametrize("name", ["france", "clouds"])
def test_nothing_but_the_cues_and_answers_names_a_country_language_or_place(name: str) -> None:
    task, cues = make(name, 40), cues_of(name)
    others = {word.lower() for word in task.vocabulary} - {word.lower() for word in (*cues, *cues.values())}
    both = {word.lower() for table in (LANGUAGES, cues_of("clouds")) for pair in table.items() for word in pair}
    allowed = {"school"} if name == "france" else set()  # an answer of Clouds, harmless in "I started school in"
    assert others & (both | {word.lower() for word in GIVEAWAYS}) == allowed


def test_every_country_has_one_language_and_every_language_one_country() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) >= 12
    things = [thing for pair in PLACES.values() for thing in pair]
    assert len(things) == len(set(things))
    assert {len(pair) for pair in PLACES.values()} == {2}, "as many things for each place, so places are as likely"


@pytest.mark.parametrize(
    ("name", "gap", "size"),
    [("france", gap, 64) for gap in (2, 3, 4, 5, 7, 10)]
    + [("france", gap, 256) for gap in (3, 4, 6, 10, 20, 40, 100, 500)]
    + [("clouds", gap, 64) for gap in (2, 3, 4, 10, 40)],
)
def test_no_two_sentences_of_a_batch_are_alike(name: str, gap: int, size: int) -> None:
    task = make(name, gap)
    for seed in range(5):
        assert len(np.unique(task.batch(np.random.default_rng(seed), size).inputs, axis=1).T) == size


def test_where_the_gap_leaves_no_room_sentences_repeat_and_none_is_lost() -> None:
    # France at gap 2: 11 openers, 12 countries and 5 words between; a batch of 2,000 has to repeat itself.
    batch = make("france", 2).batch(np.random.default_rng(0), 2000)
    assert batch.size == 2000
    assert 650 <= len(np.unique(batch.inputs, axis=1).T) <= 660


def test_fillers_differ_too_not_only_countries_and_openers() -> None:
    batch = make("france", 40).batch(np.random.default_rng(0), 256)
    assert len(np.unique(batch.inputs[5:], axis=1).T) == 256


@pytest.mark.parametrize(("name", "gap"), [("france", 2), ("france", 40), ("clouds", 4), ("clouds", 40)])
def test_answers_are_equally_likely(name: str, gap: int) -> None:
    task, rng = make(name, gap), np.random.default_rng(11)
    counts = sum(np.bincount(task.batch(rng, 64).targets, minlength=12) for _ in range(100))
    expected = 6400 / 12
    assert ((counts - expected) ** 2 / expected).sum() < 34  # chi-square with 11 degrees of freedom, p ≈ 4e-4


@pytest.mark.parametrize(("name", "gap", "length"), [("france", 6, None), ("france", 40, 60), ("clouds", 12, None)])
def test_the_words_around_the_cue_say_nothing_about_the_answer(name: str, gap: int, length: int | None) -> None:
    """Naive Bayes on every word and its place but the cue's, fitted on 6,400 sentences, gets chance on others."""
    task = make(name, gap, length)
    rng = np.random.default_rng(21)

    def sample(batches: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = [task.batch(rng, 64) for _ in range(batches)]
        tokens = np.concatenate([batch.inputs for batch in drawn], axis=1)  # [T, B]
        return np.delete(tokens, task.informative[0], axis=0), np.concatenate([batch.targets for batch in drawn])

    (words, answers), (new_words, new_answers) = sample(100), sample(60)
    size = len(task.vocabulary)
    bags = np.stack([np.bincount(words[:, answers == a].ravel(), minlength=size) + 1.0 for a in range(12)])
    by_bag = np.log(bags / bags.sum(axis=1, keepdims=True))[:, new_words].sum(axis=1)  # [12, B]
    places = np.ones((12, len(words), size))
    np.add.at(places, (answers[None], np.arange(len(words))[:, None], words), 1.0)
    logs = np.log(places / places.sum(axis=2, keepdims=True))
    by_place = logs[:, np.arange(len(words))[:, None], new_words].sum(axis=1)
    deviation = (1 / 12 * 11 / 12 / len(new_answers)) ** 0.5
    for scores in (by_bag, by_place):
        assert (scores.argmax(axis=0) == new_answers).mean() == pytest.approx(1 / 12, abs=4 * deviation)


def test_the_same_classifier_finds_the_cue_so_it_could_have_found_a_leak() -> None:
    task, rng = make("france", 6), np.random.default_rng(21)
    old, new = task.batch(rng, 600), task.batch(rng, 300)
    bags = np.stack(
        [np.bincount(old.inputs[:, old.targets == a].ravel(), minlength=len(task.vocabulary)) + 1.0 for a in range(12)]
    )
    scores = np.log(bags / bags.sum(axis=1, keepdims=True))[:, new.inputs].sum(axis=1)
    assert (scores.argmax(axis=0) == new.targets).mean() > 0.7


@pytest.mark.parametrize("name", ["france", "clouds"])
def test_many_to_many_predicts_every_next_word_and_the_answer_at_the_blank(name: str) -> None:
    one, many = make(name, 12), make(name, 12, wiring="many-to-many")
    answers, words = one.batch(np.random.default_rng(2), 9), many.batch(np.random.default_rng(2), 9)
    assert (answers.inputs == words.inputs).all()
    assert (words.targets[:-1] == words.inputs[1:]).all()
    assert [many.vocabulary[token] for token in words.targets[-1]] == [one.answers[a] for a in answers.targets]
    assert (one.outputs, many.outputs) == (12, len(many.vocabulary))
    assert many.readable(words, 3) == one.readable(answers, 3)


@pytest.mark.parametrize("name", ["france", "clouds"])
def test_chance(name: str) -> None:
    one, many = make(name, 4), make(name, 4, wiring="many-to-many")
    assert one.chance_loss == pytest.approx(math.log(12))
    assert one.chance_success == many.chance_success == 1 / 12
    assert math.isnan(many.chance_loss), "no closed form: the entropy of the filler is in it"
    assert "next word" in many.loss_name


@pytest.mark.parametrize("gap", [2, 3, 4, 5, 6, 7, 10, 20, 40, 100, 500])
def test_punctuation_and_capitals_are_those_of_written_english(gap: int) -> None:
    task = make("france", gap, min(gap + 5 + gap % 7, 505))
    batch = task.batch(np.random.default_rng(gap), 64)
    for b in range(64):
        tokens, answer = task.readable(batch, b)
        text = " ".join(tokens)
        assert answer in LANGUAGES.values()
        assert text[0].isupper()
        assert not text.startswith(".")
        assert not re.search(r"\. \.|\b(and|while) (\.|and\b|while\b)|\. ___", text)
        assert all(after[0].isupper() for before, after in pairwise(tokens) if before == ".")
        assert not re.search(r"(?<!\. )\b(We|My|The|Every|One|It|So)\b", text[1:])
        assert not re.search(r"\b(\w+) \1\b(?<!again again)", text.lower())


@pytest.mark.parametrize("gap", [2, 3, 4, 5, 6, 10, 20, 40])
def test_clouds_is_one_sentence(gap: int) -> None:
    task = make("clouds", gap)
    batch = task.batch(np.random.default_rng(gap), 64)
    for b in range(64):
        text = " ".join(task.readable(batch, b)[0])
        assert "." not in text
        assert not re.search(r"\b(and|while|when) (and|while|when|are|stay|belong|fill)\b", text)
        assert text.endswith(("in the ___", "the ___") if gap > 2 else "___")


@pytest.mark.parametrize(("name", "cue", "answer"), [("france", "France", "French"), ("clouds", "clouds", "sky")])
@pytest.mark.parametrize("wiring", ["many-to-one", "many-to-many"])
def test_people_are_shown_the_sentence_that_the_task_is_named_after(
    name: str, cue: str, answer: str, wiring: str
) -> None:
    for seed in range(5):
        facts = tasks.build(name, 10, wiring=wiring).facts(np.random.default_rng(seed))
        assert facts.tokens[facts.informative_steps[0]] == cue
        assert facts.answer == answer
