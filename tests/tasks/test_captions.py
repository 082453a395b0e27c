from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import tasks
from tasks import captions as made
from tasks import scenes
from tasks.base import UNASKED
from tasks.captions import END, START, VOCABULARY, Said, T, text, true_of, turned, words
from tasks.scenes import Thing
from tests.tasks.losses import cross_entropy

task = tasks.build("captions", 1)


def said_by(batch: tasks.Batch) -> list[Said]:
    return [made.captions()[tuple(int(t) for t in column if t != UNASKED)] for column in batch.targets.T]


def test_there_are_540_captions_of_3_7_or_8_words() -> None:
    known = made.captions()
    assert Counter(len(tokens) - 1 for tokens in known) == {3: 12, 7: 264, 8: 264}
    texts = {text(tokens) for tokens in known}
    assert len(texts) == 540
    assert {"a red circle", "a red circle left of a blue square", "a green triangle below a green square"} <= texts
    assert all(tokens[-1] == END for tokens in known)


def test_both_captions_of_a_scene_are_true_and_turn_into_each_other() -> None:
    for said in made.captions().values():
        assert said.turned.turned == said
        assert (said.turned == said) == (said.second < 0)
    things = (Thing("circle", "red", 6, 15), Thing("square", "blue", 25, 16))
    assert [text(one) for one in true_of(things)] == [
        "a red circle left of a blue square",
        "a blue square right of a red circle",
    ]
    assert true_of(things[:1]) == (words(Said(0)),)
    assert true_of((things[0], Thing("square", "blue", 8, 15))) == ()
    diagonal = true_of((Thing("circle", "red", 6, 6), Thing("square", "blue", 25, 25)))
    assert {text(one) for one in diagonal} == {
        "a red circle left of a blue square",
        "a blue square right of a red circle",
        "a red circle above a blue square",
        "a blue square below a red circle",
    }
    for wrong in ((), things * 2):
        with pytest.raises(ValueError, match=f"things must be one or two, but got {len(wrong)}"):
            true_of(wrong)


def test_inputs_are_the_caption_moved_by_one_and_padding_is_asked_nothing() -> None:
    batch = task.batch(np.random.default_rng(0), 200)
    assert set(batch.lengths.tolist()) == {4, 8, 9}
    for index, length in enumerate(batch.lengths):
        tokens = batch.targets[:length, index]
        assert tokens[-1] == END
        assert (batch.inputs[:length, index] == [START, *tokens[:-1]]).all()
        assert (batch.inputs[length:, index] == 0).all()
        assert (batch.targets[length:, index] == UNASKED).all()
    assert VOCABULARY[0] == "PAD"
    assert batch.pictures.shape == (200, 3, 32, 32)
    assert batch.pictures.dtype == np.float32
    assert task.pictures == 32


def nearest_ink(picture: np.ndarray) -> np.ndarray:
    """For each pixel the colour whose direction among red, green and blue is nearest."""
    inks = np.array([(0.86, 0.16, 0.12), (0.12, 0.62, 0.25), (0.13, 0.36, 0.86), (0.96, 0.78, 0.08)])
    inks /= np.linalg.norm(inks, axis=1, keepdims=True)
    return np.einsum("kc,crs->krs", inks, picture / np.linalg.norm(picture, axis=0)).argmax(axis=0)


def test_the_captions_are_true_of_the_pictures() -> None:
    """Read off the pixels: the colours' middles stand to each other as the caption says."""
    for batch in (task.batch(np.random.default_rng(1), 150), task.held_out(0, 150)):
        for said, picture in zip(said_by(batch), batch.pictures, strict=True):
            middles = {}
            for kind in (kind for kind in (said.first, said.second) if kind >= 0):
                inked = (nearest_ink(picture) == kind // 3) & (np.ptp(picture, axis=0) > 0.3)
                rows, columns = np.nonzero(inked)
                assert len(rows) > 15
                middles[kind] = columns.mean(), rows.mean()
            if said.second >= 0 and said.first // 3 != said.second // 3:
                (x, y), (u, v) = middles[said.first], middles[said.second]
                away = (u - x, x - u, v - y, y - v)
                assert int(np.argmax(away)) == said.relation
                assert away[said.relation] > 8


def test_one_relation_of_each_pair_is_never_drawn_in_training_and_nothing_else_is_measured() -> None:
    def scene(said: Said) -> tuple[int, int, int]:
        first = said if said.first < said.second else said.turned
        return first.first, first.relation, first.second

    drawn = {scene(said) for said in said_by(task.batch(np.random.default_rng(2), 6000)) if said.second >= 0}
    held = {scene(said) for said in said_by(task.held_out(0, 3000)) if said.second >= 0}
    assert len(held) == 66
    assert not drawn & held
    assert len(drawn) == 264 - 66
    assert all(made.never_drawn(a, b) == relation for a, relation, b in held)
    offered = {
        scene(made.captions()[true_of(things)[0]])
        for things in (made.random_scene(np.random.default_rng(seed)) for seed in range(200))
        if len(things) == 2
    }
    assert offered <= held
    assert len(offered) > 50
    seen = {frozenset((a, b)) for a, _, b in drawn}
    assert len(seen) == 66, "every two things are drawn together, in the other relations"


def test_random_scenes_are_captioned_by_what_is_true_of_them_alone() -> None:
    for seed in range(60):
        things = made.random_scene(np.random.default_rng(seed))
        assert len(true_of(things)) == len(things)


def test_how_often_scenes_come() -> None:
    said = said_by(task.batch(np.random.default_rng(3), 8000))
    alone = np.mean([one.second < 0 for one in said])
    assert alone == pytest.approx(0.25, abs=4.5 * math.sqrt(0.25 * 0.75 / 8000))
    for values, ways in (
        ([one.first for one in said], 12),
        ([one.relation for one in said if one.second >= 0], 4),
        ([one.second for one in said if one.second >= 0], 12),
    ):
        counts = np.bincount(values, minlength=ways)
        expected = len(values) / ways
        assert ((counts - expected) ** 2 / expected).sum() < ways - 1 + 5 * math.sqrt(2 * (ways - 1))


def spoken(batch: tasks.Batch, tokens: np.ndarray) -> np.ndarray:
    return np.eye(task.outputs)[np.where(tokens < 0, 0, tokens)]


def test_success_is_of_whole_captions_and_either_true_one_counts() -> None:
    batch = task.batch(np.random.default_rng(4), 300)
    right = spoken(batch, batch.targets)
    assert task.success(right, batch) == 1.0
    other = turned(batch.targets)
    either = np.where(other >= 0, other, batch.targets)
    assert (either != batch.targets).any()
    assert task.success(spoken(batch, either), batch) == 1.0, "where they part, the word of the other caption is right"
    one_wrong = right.copy()
    one_wrong[0, :30] = np.eye(task.outputs)[END]
    assert task.success(one_wrong, batch) == pytest.approx(0.9)
    padding = right.copy()
    padding[batch.targets == UNASKED] = np.nan
    assert task.success(padding, batch) == pytest.approx(1.0), "padding is asked nothing"
    nan = right.copy()
    nan[2, :60] = np.nan
    assert task.success(nan, batch) == pytest.approx(0.8)


def test_where_captions_part_only_once_the_other_words_are_no_longer_right() -> None:
    batch = task.asked([words(Said(0, 0, 7))], np.zeros((1, 3, 32, 32), np.float32))
    other = turned(batch.targets)[:, 0]
    assert [VOCABULARY[token] for token in other if token >= 0] == ["a", "blue"]
    same = task.asked([words(Said(0, 2, 1))], np.zeros((1, 3, 32, 32), np.float32))
    assert [VOCABULARY[t] for t in turned(same.targets)[:, 0] if t >= 0] == ["a", "red", "square"]


def test_chance_is_what_the_grammar_alone_gives() -> None:
    """In closed form: ln 12 for the first thing, ln 4 for the relation, ln 11 for the second, and one or two."""
    entropy = math.log(12) + 0.75 * (math.log(4) + math.log(11)) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    mean_length = 0.25 * 4 + 0.75 * (8 + 9) / 2
    assert task.chance_loss == pytest.approx(entropy / mean_length, rel=1e-12)


def test_chance_by_simulation() -> None:
    """A blind network that knows the shares of all captions, on scenes that training never drew."""
    share = {tokens: 0.25 / 12 if said.second < 0 else 0.75 / 528 for tokens, said in made.captions().items()}
    after: dict[tuple[int, ...], np.ndarray] = {}
    for tokens, p in share.items():
        for step, token in enumerate(tokens):
            after.setdefault(tokens[:step], np.zeros(task.outputs))[token] += p
    batch = task.held_out(1, 4000)
    probability = np.full((T, batch.size, task.outputs), 1 / task.outputs)
    for index, column in enumerate(batch.targets.T):
        tokens = tuple(int(t) for t in column if t != UNASKED)
        for step in range(len(tokens)):
            found = after[tokens[:step]]
            probability[step, index] = found / found.sum()
    asked = batch.targets != UNASKED
    loss = cross_entropy(probability[asked], batch.targets[asked])
    assert loss == pytest.approx(task.chance_loss, rel=0.02)
    found = task.success(probability, batch)
    p = task.chance_success
    assert 0 < p < 0.05
    assert found == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / 4000))


@pytest.mark.parametrize("gap", [1, 5, 8])
def test_the_gap_says_until_when_the_picture_is_looked_at(gap: int) -> None:
    own = tasks.build("captions", gap)
    assert own.looks == 9 - gap
    facts = own.facts(np.random.default_rng(0))
    assert facts.informative_steps == (8 - gap,)
    assert (facts.distance, facts.loss_step) == (gap, 8)
    assert facts.tokens[0] == "<START>"
    assert facts.tokens[5] == "of"
    assert facts.answer.split()[:8] == list(facts.tokens[1:])


def test_what_a_network_learns_to_see_with_is_what_the_captions_name() -> None:
    pictures, shown = task.labelled(np.random.default_rng(6), 100)
    batch = task.batch(np.random.default_rng(6), 100)
    assert (pictures == batch.pictures).all()
    assert shown.shape == (100, scenes.KINDS)
    for row, said in zip(shown, said_by(batch), strict=True):
        assert set(np.flatnonzero(row)) == {kind for kind in (said.first, said.second) if kind >= 0}
