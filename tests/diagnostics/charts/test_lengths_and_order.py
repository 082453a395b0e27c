"""The four charts on sentences of different lengths and on pairs of the same words."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import plotly.graph_objects as go
import pytest

from diagnostics.charts import moved, padding, pairs, side_by_side
from diagnostics.charts.series import INFINITE, NAN, VALUE, ZERO

BOTH = list(product(("light", "dark"), ("page", "projector")))


def annotations(figure: go.Figure) -> list[str]:
    return [one.text for one in figure.layout.annotations]


# Padding

WORDS = ("nothing", "to", "<b>like</b>", "PAD", "PAD")


def prepared(*gradients: list[float]) -> padding.Prepared:
    rows = tuple(padding.Row(f"net {i}", np.array(g), "negative 99 %") for i, g in enumerate(gradients))
    return padding.prepare([padding.Sentence("Short", WORDS, 3, (0, 2), rows)], ["r-1"])


def test_each_row_is_in_proportion_to_its_own_largest_and_zero_stays_zero() -> None:
    [panel] = prepared([2.0, 0.5, 1.0, 0.0, 0.0], [1e-9, 4e-9, 1e-300, 0.0, 1e-320]).panels
    one, other = panel.cells
    np.testing.assert_allclose(one.ratio, [1, 0.25, 0.5, 0, 0])
    np.testing.assert_array_equal(one.kind, [VALUE] * 3 + [ZERO] * 2)
    np.testing.assert_allclose(other.ratio[:2], [0.25, 1])
    np.testing.assert_array_equal(other.kind, [VALUE] * 3 + [ZERO, VALUE]), "however small, it is not zero"


def test_what_is_no_number_is_told_apart() -> None:
    [panel] = prepared([math.nan, math.inf, 3.0, 0.0, 0.0]).panels
    np.testing.assert_array_equal(panel.cells[0].kind, [NAN, INFINITE, VALUE, ZERO, ZERO])
    np.testing.assert_allclose(panel.cells[0].ratio[2], 1.0)
    assert {*prepared([0.0] * 5).panels[0].cells[0].kind.tolist()} == {ZERO}


def test_it_says_what_happens_at_padding() -> None:
    said = padding.describe(prepared([2.0, 0.5, 1.0, 0.0, 0.0], [1.0, 0.0, 3.0, 0.0, 2.0]))
    assert "net 0, negative 99 %: it hangs most on “nothing”; exactly 0 at all 2 positions of padding" in said
    assert "net 1, negative 99 %: it hangs most on “<b>like</b>”; not 0 at 1 of 2 positions of padding" in said


@pytest.mark.parametrize(("theme", "size"), BOTH)
def test_padding_is_drawn_hatched_with_its_zeros(theme: str, size: str) -> None:
    shown = prepared([2.0, 0.5, 0.001, 0.0, 0.0], [math.nan, math.inf, 1.0, 0.0, 0.0])
    figure = padding.draw(shown, theme=theme, size=size)  # type: ignore[arg-type]
    first, zeros, _, special = figure.data
    assert list(first.text) == ["1", ".25", ""]
    assert list(zeros.text) == ["0", "0"]
    assert set(zeros.marker.pattern.shape) == {"/"}
    assert list(special.text) == ["✕", "▲", "0", "0"]
    assert list(first.marker.line.width) == [
        pytest.approx(2.2 * (1 if size == "page" else 1.5)),
        0,
        first.marker.line.width[0],
    ]
    said = annotations(figure)
    assert "<b>nothing</b>" in said
    assert "<b>&lt;b&gt;like&lt;/b&gt;</b>" in said, "markup of a word is shown as it is"
    assert said.count("PAD") == 2
    assert figure.layout.meta["runs"] == ["r-1"]


def test_a_long_sentence_names_only_what_decides() -> None:
    tokens = tuple(f"w{i}" for i in range(60))
    row = padding.Row("net", np.ones(60), "positive 60 %")
    figure = padding.draw(padding.prepare([padding.Sentence("Long", tokens, 60, (7, 9), (row,))]))
    assert [text for text in annotations(figure) if "w" in text] == ["<b>w7</b>", "<b>w9</b>"]
    assert figure.data[0].text is None


# Moved


def test_moved_bars_are_the_shares_and_what_is_not_known_is_left_out() -> None:
    shares = [moved.Shares("a", 1.0, 0.5), moved.Shares("b", math.nan, math.nan), moved.Shares("<c>", 0.9, 0.95)]
    shown = moved.prepare(shares, 2, 0.5)
    assert [one.label for one in shown.shares] == ["a", "&lt;c&gt;"]
    for theme, size in BOTH:
        before, after = moved.draw(shown, theme=theme, size=size).data  # type: ignore[arg-type]
        assert list(before.y) == [1.0, 0.9]
        assert list(after.y) == [0.5, 0.95]
        assert after.name == "moved by 2 words"
        assert after.marker.pattern.shape == "/"
    assert moved.describe(shown) == (
        "The same sentences, moved. a: 100 % right, 50 % moved by 2 words. <c>: 90 % right, 95 % moved by 2 words. "
        "guessing gives 50 %."
    )


def test_where_nothing_is_moved_there_is_one_bar_each() -> None:
    shown = moved.prepare([moved.Shares("a", 0.02, 0.02)], 0, 0.5)
    [bars] = moved.draw(shown).data
    assert list(bars.textposition) == ["outside"], "too low for its number"
    assert "moved by" not in moved.describe(shown)


# Side by side


def test_equal_is_equal_to_the_last_bit_and_no_less() -> None:
    half = 0.5
    next_to = float(np.nextafter(half, 1))
    said = [side_by_side.Said("bag", half, half), side_by_side.Said("close", half, next_to)]
    shown = side_by_side.prepare(("Market falls", "Falls market"), "trading", said)
    assert [side_by_side.same(one) for one in shown.said] == [True, False]
    for theme, size in BOTH:
        figure = side_by_side.draw(shown, theme=theme, size=size)  # type: ignore[arg-type]
        told = annotations(figure)
        assert told.count("<b>equal, bit for bit</b>") == 1
        assert told.count("not equal") == 1
        assert repr(next_to) in told
        assert [bar.name for bar in figure.data] == ["Market falls", "Falls market"]
    words = side_by_side.describe(shown)
    assert words.count("the same number to the last bit") == 1


def test_what_is_no_number_has_no_bar() -> None:
    shown = side_by_side.prepare(("a", "b"), "c", [side_by_side.Said("broken", math.nan, math.inf)])
    figure = side_by_side.draw(shown)
    assert [list(bar.x) for bar in figure.data] == [[0.0], [0.0]]
    assert "nan" in annotations(figure)


# Pairs


def test_pairs_count_what_is_equal_and_what_is_right() -> None:
    one = np.array([0.9, 0.4, 0.7, math.nan])
    shown = pairs.prepare("trading", [pairs.Pairs("x", one, np.array([0.1, 0.4, 0.7, 0.2]))], ["r-1"])
    [cloud] = shown.clouds
    assert cloud.same == 2
    assert cloud.right == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert pairs.describe(shown) == "Every pair of held-out sentences. x: 2 of 4 pairs equal bit for bit, 62 % right."


def test_a_square_for_each_network() -> None:
    cloud = pairs.Pairs("x", np.array([0.9]), np.array([0.1]))
    for theme, size in BOTH:
        figure = pairs.draw(pairs.prepare("trading", [cloud, cloud, cloud]), theme=theme, size=size)  # type: ignore[arg-type]
        assert [trace.xaxis for trace in figure.data] == ["x", "x2", "x3"]
        domains = [figure.layout[f"xaxis{own}"].domain for own in ("", "2", "3")]
        assert all(left[1] < right[0] for left, right in pairwise(domains))


# Nothing yet


def test_without_weights_each_says_that_it_waits() -> None:
    empty = [
        (padding, padding.prepare([])),
        (moved, moved.prepare([], 1, 0.5)),
        (side_by_side, side_by_side.prepare(("a", "b"), "c", [])),
        (pairs, pairs.prepare("c", [])),
    ]
    for chart, nothing in empty:
        assert "Waiting" in annotations(chart.draw(nothing))[0]  # type: ignore[arg-type]
        assert "Waiting" in chart.describe(nothing)  # type: ignore[arg-type]
