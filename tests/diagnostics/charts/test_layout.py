from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.charts.labels import text_width
from diagnostics.charts.layout import LONG, arrange, segments

sentences = st.lists(st.text(alphabet="abcdefgilmMW.·", min_size=1, max_size=14), min_size=1, max_size=260)


@given(sentences, st.data())
def test_every_timestep_stands_in_exactly_one_place(tokens: list[str], data: st.DataObject) -> None:
    informative = data.draw(st.sets(st.integers(0, len(tokens) - 1), max_size=4))
    columns = data.draw(st.floats(20, 120))
    layout = arrange(tokens, "French", informative, columns)
    stripped = [step for strip in layout.strips for step in range(strip.first, strip.last + 1)]
    assert sorted([place.step for place in layout.places] + stripped) == list(range(len(tokens)))
    assert not informative & set(stripped)


@given(sentences, st.floats(20, 120))
def test_no_two_cells_overlap_and_none_leaves_its_line(tokens: list[str], columns: float) -> None:
    layout = arrange(tokens, "French", {0}, columns)
    for line in range(layout.lines):
        cells = sorted((p.left, p.left + p.width) for p in (*layout.places, layout.answer) if p.line == line)
        strips = [strip for strip in layout.strips if strip.line == line]
        assert len(strips) + bool(cells) == 1  # a strip has a line of its own
        assert all(end <= columns + 1e-9 for _, end in cells)
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(cells))


def test_words_run_in_reading_order() -> None:
    layout = arrange(["I", "grew", "up", "in", "France", "and", "I", "speak", "fluent", "___"], "French", {4}, 24.0)
    at = [(place.line, place.left) for place in layout.places]
    assert at == sorted(at)
    assert layout.lines > 1


def test_a_cell_is_wide_enough_for_its_word() -> None:
    layout = arrange(["i", "morning", "WWWW"], "x", set(), 80)
    assert all(
        place.width > text_width(word) for place, word in zip(layout.places, ["i", "morning", "WWWW"], strict=True)
    )


@pytest.mark.parametrize("length", [1, LONG, LONG + 1, 500, 5000])
def test_a_long_sentence_keeps_its_ends_and_what_matters(length: int) -> None:
    found = segments(length, {min(4, length - 1)})
    steps = np.concatenate([np.arange(first, last + 1) for first, last, _ in found])
    np.testing.assert_array_equal(steps, np.arange(length))
    with_text = sum(last - first + 1 for first, last, text in found if text)
    assert with_text == length if length <= LONG else with_text <= LONG
    assert found[0][2]
    assert found[-1][2]


def test_an_empty_sentence_has_no_segments() -> None:
    assert segments(0, set()) == []
