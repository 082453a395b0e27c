"""Translation: the German of the grammar, what is never trained on, how a pair is laid out, and what success is."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks.base import UNASKED
from tasks.bilingual import END, HELD_OUT_SHARE, LONGER, MOST_WORDS, START, grammar, sentence
from tasks.bilingual_shapes import LONGEST, shapes
from tasks.slots import PADDING
from tasks.translation import Translation

# Written down by hand: verb-final clauses, separable verbs, modals, the second place, genders and cases.
KNOWN = {
    "hello , I am Usman": "hallo , ich bin Usman",
    "good morning , my name is Anna": "guten Morgen , ich heiße Anna",
    "I see the book": "ich sehe das Buch",
    "she reads my old newspaper today": "sie liest heute meine alte Zeitung",
    "they read a new book": "sie lesen ein neues Buch",
    "the teacher throws away an old letter": "der Lehrer wirft einen alten Brief weg",
    "you throw away the map every day": "du wirfst jeden Tag die Karte weg",
    "tomorrow my brother looks at the small letter": "morgen sieht mein Bruder den kleinen Brief an",
    "in the evening we can buy a newspaper": "am Abend können wir eine Zeitung kaufen",
    "he wants to copy my letter now": "er will jetzt meinen Brief abschreiben",
    "I know that you find my map": "ich weiß , dass du meine Karte findest",
    "David thinks that our neighbours bring along the new book": (
        "David glaubt , dass unsere Nachbarn das neue Buch mitbringen"
    ),
    "she says that Usman throws away my small map in the evening": (
        "sie sagt , dass Usman am Abend meine kleine Karte wegwirft"
    ),
    "we hope that I must look at a book every day": "wir hoffen , dass ich jeden Tag ein Buch ansehen muss",
}


def make(gap: int) -> Translation:
    task = tasks.build("translation", gap)
    assert isinstance(task, Translation)
    return task


def sides(task: Translation, batch: tasks.Batch, sample: int) -> tuple[list[str], list[str], list[str]]:
    """The English words, what the decoder reads, and what it is to answer."""
    assert batch.lengths is not None
    read = [task.vocabulary[token] for token in batch.inputs[:, sample]]
    asked = batch.targets[:, sample] != UNASKED
    answers = [task.vocabulary[token] for token in batch.targets[asked, sample]]
    return read[: batch.lengths[sample]], [word for word in read[task.bridge :] if word != "PAD"], answers


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    """Many sentences of every length, trained on or held out, with their German."""
    task = make(MOST_WORDS)
    found = {}
    for batch in (task.batch(np.random.default_rng(0), 60_000), task.held_out(0, 12_000)):
        for sample in range(batch.size):
            english, _, german = sides(task, batch, sample)
            found[" ".join(english)] = " ".join(german[:-1])
    return found


def german_of(english: str) -> str | None:
    words = grammar()
    pair = words.parsed([words.tokens[word] for word in english.split()])
    return None if pair is None else " ".join(words.vocabulary[token] for token in pair.german[0] if token)


@pytest.mark.parametrize("english", list(KNOWN))
def test_the_lecture_s_sentence_and_others_come_out_in_good_german(english: str) -> None:
    assert german_of(english) == KNOWN[english]


@pytest.mark.parametrize(
    "english", ["she read the book", "I sees the book", "the book", "I want see the map", "hello , I am", "my my my"]
)
def test_what_is_no_sentence_of_the_grammar_has_no_german(english: str) -> None:
    assert german_of(english) is None


def test_every_sentence_that_is_drawn_is_read_as_what_it_is(everything: dict[str, str]) -> None:
    for english in sorted(everything)[::97]:
        assert german_of(english) == everything[english]


@pytest.mark.parametrize("gap", [5, 6, 8, 11, 15])
def test_a_pair_is_laid_out_on_both_sides_of_the_bridge(gap: int) -> None:
    task = make(gap)
    for batch in (task.batch(np.random.default_rng(1), 200), task.held_out(1, 200)):
        assert task.bridge == gap
        assert task.length == 2 * gap + LONGER + 1
        assert batch.inputs.shape == batch.targets.shape == (task.length, 200)
        assert batch.lengths is not None
        assert (batch.targets[:gap] == UNASKED).all()
        assert (batch.inputs[gap] == task.vocabulary.index(START)).all()
        different = 0
        for sample in range(200):
            english, read, german = sides(task, batch, sample)
            assert 1 <= len(english) <= gap
            assert set(english) <= set(grammar().english)
            assert read == [START, *german[:-1]], "the decoder reads the right words, one step late"
            assert german[-1] == END
            assert END not in german[:-1]
            assert (batch.inputs[len(english) : gap, sample] == PADDING).all()
            assert 0 <= batch.informative_steps[sample, 0] < len(english)
            different += len(english) != len(german) - 1
        assert different > 15, "lengths in and out differ"


def test_a_sentence_that_is_held_out_is_trained_on_at_no_gap() -> None:
    held = {}
    for gap in (5, 8, 15):
        task = make(gap)
        rng = np.random.default_rng(2)
        trained = {" ".join(sides(task, batch, s)[0]) for batch in [task.batch(rng, 8000)] for s in range(8000)}
        batch = task.held_out(3, 2000)
        held[gap] = {" ".join(sides(task, batch, sample)[0]) for sample in range(2000)}
        assert not trained & held[gap]
        assert "hello , I am Usman" in held[gap]
        for other in held:
            assert not trained & held[other]
        # Usman is met all the same, in other sentences: a name can be copied only by who has seen it.
        assert any("Usman" in one for one in trained)


def test_one_sentence_in_eight_is_held_out() -> None:
    english = np.unique(grammar().compose(shapes(MOST_WORDS).draw(np.random.default_rng(4), 40_000)).english, axis=0)
    share = grammar().is_held_out(english).mean()
    assert share == pytest.approx(1 / HELD_OUT_SHARE, abs=4.5 * (0.125 * 0.875 / len(english)) ** 0.5)


def test_one_english_sentence_has_one_german_one(everything: dict[str, str]) -> None:
    task = make(MOST_WORDS)
    batch = task.batch(np.random.default_rng(9), 20_000)
    for sample in range(batch.size):
        english, _, german = sides(task, batch, sample)
        assert everything.get(" ".join(english), " ".join(german[:-1])) == " ".join(german[:-1])


def test_words_really_change_places(everything: dict[str, str]) -> None:
    """In most sentences the verb, or its particle, stands at the German end and near the English beginning."""
    words = grammar()
    verbs = {words.vocabulary[token] for table in (words.final, words.modal_finite) for token in table.ravel()}
    verbs |= {words.vocabulary[token] for token in words.particle if token}
    last = [german.split()[-1] for german in everything.values()]
    assert np.mean([word in verbs for word in last]) > 0.5


def test_success_is_of_whole_sentences_and_words_are_counted_apart() -> None:
    task = make(7)
    batch = task.held_out(0, 100)
    right = np.eye(task.outputs)[np.maximum(batch.targets, 0)]
    assert task.success(right, batch) == task.words_right(right, batch) == 1.0
    wrong = right.copy()
    wrong[task.bridge, :25] = np.roll(wrong[task.bridge, :25], 1, axis=1)
    assert task.success(wrong, batch) == 0.75
    assert task.words_right(wrong, batch) == pytest.approx(1 - 25 / (batch.targets != UNASKED).sum())
    wrong[batch.targets == UNASKED] = np.nan
    assert task.success(wrong, batch) == 0.75, "what is not asked does not count"
    assert task.success(np.full_like(right, np.nan), batch) == 0.0


@pytest.mark.parametrize("gap", [5, 6, 9])
def test_always_giving_the_likeliest_sentence_gets_what_chance_says(gap: int) -> None:
    drawn = grammar().compose(shapes(gap).draw(np.random.default_rng(6), 60_000))
    _, counts = np.unique(drawn.german, axis=0, return_counts=True)
    chance = make(gap).chance_success
    assert counts.max() / 60_000 == pytest.approx(chance, abs=4.5 * (chance / 60_000) ** 0.5)


@pytest.mark.parametrize("gap", [5, 8, 12, 15])
def test_half_of_the_sentences_are_as_long_as_may_be(gap: int) -> None:
    lengths = make(gap).batch(np.random.default_rng(8), 2000).lengths
    assert lengths is not None
    assert (lengths == gap).mean() == pytest.approx(LONGEST, abs=4.5 * 0.5 / 2000**0.5)
    assert len(set(lengths.tolist())) > 1


@pytest.mark.parametrize("gap", range(5, 16))
def test_the_example_ends_where_profiles_look_and_so_do_many_sentences(gap: int) -> None:
    task = make(gap)
    facts = task.facts(np.random.default_rng(0))
    assert facts.loss_step == task.answer_steps[-1]
    assert facts.distance == task.distance == facts.loss_step - facts.informative_steps[0]
    german = facts.answer.replace(",", " ,").split()
    assert len(german) == facts.loss_step - gap + 1
    assert "PAD" not in facts.tokens[: facts.loss_step], "no padding on the way across the bridge"
    batch = task.batch(np.random.default_rng(1), 500)
    asked = batch.targets[facts.loss_step] != UNASKED
    assert asked.mean() > 0.3
    assert batch.lengths is not None
    assert (batch.lengths[asked] == gap).mean() > 0.5, "nor in most of the sentences that a profile is of"


def test_a_sentence_reads_as_people_write_it() -> None:
    assert sentence([START, "hallo", ",", "ich", "bin", "Usman", END, "PAD"]) == "Hallo, ich bin Usman"
