"""The machinery on a grammar small enough to list by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.grammar import CLAUSE_PARTS, CLAUSES, LONGEST_CLAUSE
from tasks.sentences import Filler, Phrasebook, frames, phrases


def test_phrases_are_spelled_out() -> None:
    assert phrases("ran / to the|past the / old| / mill", "sat") == (
        ("ran", "to", "the", "old", "mill"),
        ("ran", "to", "the", "mill"),
        ("ran", "past", "the", "old", "mill"),
        ("ran", "past", "the", "mill"),
        ("sat",),
    )


def small() -> tuple[Phrasebook, tuple[str, ...]]:
    parts = {"who": phrases("I|we", "the dog"), "did": phrases("ran|sat", "ran home"), "when": phrases("at noon")}
    words = tuple(sorted({word for listed in parts.values() for phrase in listed for word in phrase}))
    return Phrasebook(parts, {word: token for token, word in enumerate(words)}), words


def test_frames_list_every_way_to_a_length_and_count_its_texts() -> None:
    book, _ = small()
    table = frames(book, ["who did when?"], 4)
    # Without "when": the dog ran home. With it: I|we ran|sat at noon.
    assert sorted(table.count.tolist()) == [1.0, 4.0]
    assert table.sheaves.shape == (2, 3)
    assert table.chance.sum() == pytest.approx(1)
    assert len(frames(book, ["who did when?"], 1).count) == 0


def test_frames_with_a_filler_take_only_room_that_can_be_filled() -> None:
    book, _ = small()
    room = np.array([0.0, 0, 0, 7, 9])
    table = frames(book, ["who fill did"], 6, room)
    # 6 = 1 + 4 + 1, 1 + 3 + 2 or 2 + 3 + 1; room 2 cannot be filled.
    assert sorted(zip(table.fill_start.tolist(), table.fill_room.tolist(), table.count.tolist(), strict=True)) == [
        (1, 3, 2 * 1 * 7.0),
        (1, 4, 2 * 2 * 9.0),
        (2, 3, 1 * 2 * 7.0),
    ]


def test_every_phrase_of_a_sheaf_is_as_likely_and_stands_where_it_should() -> None:
    book, words = small()
    page = np.full((4000, 4), -1)
    rows = np.arange(4000)
    who = book.draw(np.random.default_rng(0), rows, np.full(4000, 1), np.full(4000, book.sheaf["who", 1]))
    did = book.draw(np.random.default_rng(1), rows, np.full(4000, 2), np.full(4000, book.sheaf["did", 2]))
    book.write(page, [who, did])
    assert (page[:, 0] == -1).all()
    assert {" ".join(words[t] for t in row[2:]) for row in page[:5]} == {"ran home"}
    share = (page[:, 1] == words.index("we")).mean()
    assert share == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)


@pytest.fixture(scope="module")
def filler() -> Filler:
    words = sorted({word for listed in CLAUSE_PARTS.values() for phrase in listed for word in phrase})
    return Filler(Phrasebook(CLAUSE_PARTS, {word: token for token, word in enumerate(words)}), CLAUSES, LONGEST_CLAUSE)


@settings(max_examples=50)
@given(rooms=st.lists(st.just(0) | st.integers(3, 600), min_size=1, max_size=20), seed=st.integers(0, 2**32))
def test_any_room_of_three_or_more_is_split_exactly(filler: Filler, rooms: list[int], seed: int) -> None:
    pieces = filler.split(np.random.default_rng(seed), np.array(rooms))
    assert pieces.sum(axis=1).tolist() == rooms
    kept = pieces[pieces > 0]
    assert ((kept >= 3) & (kept <= LONGEST_CLAUSE + 1)).all()
    for row in pieces:
        assert not row[np.flatnonzero(row == 0)[0] :].any() if (row == 0).any() else True


def test_rooms_of_one_and_two_have_no_filler_and_all_others_have(filler: Filler) -> None:
    counts = filler.counts(500)
    assert (counts[:3] == 0).all()
    assert (counts[3:] > 0).all()


def test_counts_are_those_of_the_clauses(filler: Filler) -> None:
    counts = filler.counts(6)
    one = {n: filler.counts(n)[n] for n in (3, 4, 5)}
    # Six tokens: one piece of six, or two of three; one of four leaves a two, which nothing fills.
    assert counts[6] > one[3] ** 2
    assert counts[3] == len(
        {
            phrase
            for phrase in [
                *((who + did) for who in CLAUSE_PARTS["subject"] for did in CLAUSE_PARTS["indoors"]),
                *CLAUSE_PARTS["happening"],
                *CLAUSE_PARTS["change"],
            ]
            if len(phrase) == 2
        }
    )


def test_the_last_piece_is_as_long_as_others_on_average(filler: Filler) -> None:
    pieces = filler.split(np.random.default_rng(0), np.full(3000, 100))
    last = pieces[np.arange(3000), (pieces > 0).sum(axis=1) - 1]
    assert abs(last.mean() - pieces[pieces > 0].mean()) < 1.0


def test_clauses_of_a_wanted_length_fill_it_and_are_many(filler: Filler) -> None:
    for size in range(2, LONGEST_CLAUSE + 1):
        page = np.full((300, LONGEST_CLAUSE + 2), -1)
        rows = np.arange(300)
        filler._book.write(
            page, [filler.draw(np.random.default_rng(size), rows, np.ones(300, int), np.full(300, size))]
        )
        assert (page[:, 1 : 1 + size] >= 0).all()
        assert (page[:, 0] == -1).all()
        assert (page[:, 1 + size :] == -1).all()
        if size >= 5:
            assert len(np.unique(page, axis=0)) > 200


def test_drawing_many_at_once_is_drawing_them_one_by_one() -> None:
    """The same numbers from the generator, one slot after the other, in plain Python."""
    book, words = small()
    sheaves = np.random.default_rng(0).integers(len(book.count), size=200)
    rows, starts = np.arange(200) // 2, np.arange(200) % 2 * 5
    page, expected = np.full((100, 10), -1), np.full((100, 10), -1)
    book.write(
        page, [book.draw(np.random.default_rng(s), *part) for s, part in enumerate(halves(rows, starts, sheaves))]
    )
    for s, part in enumerate(halves(rows, starts, sheaves)):
        rng = np.random.default_rng(s)
        for (row, start, sheaf), chance in zip(zip(*part, strict=True), rng.random(100), strict=True):
            at = book._begin[sheaf] + int(chance * book.count[sheaf]) * book._size[sheaf]
            phrase = book._flat[at : at + book._size[sheaf]]
            expected[row, start : start + len(phrase)] = phrase
    assert (page == expected).all()
    assert page.max() < len(words)


def halves(*arrays: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return [tuple(array[:100] for array in arrays), tuple(array[100:] for array in arrays)]


def test_regions_are_split_as_if_each_were_alone(filler: Filler) -> None:
    room = np.random.default_rng(0).integers(3, 90, size=50)
    room[7] = 0
    rng, left, columns = np.random.default_rng(1), room.tolist(), []
    while any(left):
        chances = rng.random(len(left))
        column = []
        for m, chance in enumerate(chances):
            ends = filler._piece_chance[:, min(left[m], filler._piece_chance.shape[1] - 1)]
            column.append(Filler.SHORTEST + sum(chance >= end for end in ends) if left[m] else 0)
            left[m] -= column[-1]
        columns.append(column)
    assert filler.split(np.random.default_rng(1), room).tolist() == np.transpose(columns).tolist()
