"""Sentences that people type, and sentences of different lengths that are put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.slots import packed, table
from tasks.typed import typed

WORDS = ("PAD", "Jordan", "lives", "in", "Sie", "sie", ".", ",", "heiße")


def test_words_and_marks_are_found_whatever_their_capitals_unless_the_vocabulary_has_both() -> None:
    assert typed("jordan LIVES in  Jordan, in\nJordan.", WORDS, 20) == (1, 2, 3, 1, 7, 3, 1, 6)
    assert typed("Sie sie", WORDS, 2) == (4, 5)
    assert typed("Heiße", WORDS, 1) == (8,)


@pytest.mark.parametrize("end", ["", ".", "!", "?", " !", "?!", " . . ."])
def test_marks_that_end_a_sentence_are_left_out_where_the_vocabulary_has_none(end: str) -> None:
    bare = tuple(word for word in WORDS if word != ".")
    assert typed(f"Jordan lives{end}", bare, 2) == (1, 2)
    with pytest.raises(ValueError, match=r"^“!” is not among the 7 words that this network knows$"):
        typed("Jordan! lives", bare, 3)


def test_a_full_stop_that_the_vocabulary_has_is_a_word() -> None:
    assert typed("Jordan lives.!", WORDS, 3) == (1, 2, 6)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("?!", "the sentence must have at least one word, but has none"),
        ("", "the sentence must have at least one word, but has none"),
        (" \n\t ", "the sentence must have at least one word, but has none"),
        ("Jordan lives in Jordan", "the sentence must have at most 3 words, but has 4"),
        ("x" * 2001, "the sentence must have at most 2000 characters, but has 2001"),
        ("Jordan livs", "“livs” is not among the 8 words that this network knows; did you mean “lives”?"),
        ("Jordan 🙂", "“🙂” is not among the 8 words that this network knows"),
        ("PAD", "“PAD” is not among the 8 words that this network knows"),
        ("y" * 40, f"“{'y' * 23}…” is not among the 8 words that this network knows"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + sentence.replace("?", r"\?") + "$"):
        typed(text, WORDS, 3)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tokens = typed(text, WORDS, 10)
    except ValueError:
        return
    assert tokens
    assert all(0 < token < len(WORDS) for token in tokens)


def test_columns_are_closed_up_and_what_goes_along_goes_along() -> None:
    rows = table([("a",), (), ("b", "c")], {"a": 1, "b": 2, "c": 3})
    np.testing.assert_array_equal(rows, [[1, 0], [0, 0], [2, 3]])
    page, moved, words = packed([rows, rows[::-1]], 4, [10 * rows, 100 * rows[::-1] + 7])
    np.testing.assert_array_equal(page, [[1, 2, 3, 0], [0, 0, 0, 0], [2, 3, 1, 0]])
    np.testing.assert_array_equal(moved, [[10, 207, 307, 0], [0, 0, 0, 0], [20, 30, 107, 0]])
    np.testing.assert_array_equal(words, [3, 0, 3])
    assert packed([rows], 5)[0].shape == (3, 5)
    with pytest.raises(ValueError, match="length must be at least 3, but got 2"):
        packed([rows, rows[::-1]], 2)
