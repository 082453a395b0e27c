"""Words right by their place: what is counted, and that it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.charts.by_place import LEAST, NOTHING, describe, draw, prepare

ASKED = np.array([[True] * 20, [True] * 10 + [False] * 10, [True] * (LEAST - 1) + [False] * (21 - LEAST)])
TOLD = np.array([[True] * 20, [True] * 5 + [False] * 15, [True] * 20])
OWN = np.array([[True] * 15 + [False] * 5, [False] * 20, [True] * 20])


def test_only_what_is_asked_is_counted_and_places_of_too_few_are_left_out() -> None:
    prepared = prepare(ASKED, {"told": TOLD, "own": OWN}, title="T")
    np.testing.assert_array_equal(prepared.places, [1, 2])
    np.testing.assert_array_equal(prepared.counted, [20, 10])
    told, own = prepared.lines
    np.testing.assert_allclose(told.share, [1.0, 0.5])
    np.testing.assert_allclose(own.share, [0.75, 0.0])
    # Wilson's interval of 5 in 10, from its own table: 0.2366 to 0.7634.
    np.testing.assert_allclose((told.low[1], told.high[1]), (0.2366, 0.7634), atol=5e-5)
    assert describe(prepared).endswith("told: 100 % at place 1, 50 % at place 2. own: 75 % at place 1, 0 % at place 2.")


def test_it_is_drawn_in_both_themes_and_sizes_each_line_with_a_dash_and_a_symbol_of_its_own() -> None:
    prepared = prepare(ASKED, {"told": TOLD, "own": OWN}, title="T")
    for theme in ("light", "dark"):
        for size in ("page", "projector"):
            figure = draw(prepared, theme=theme, size=size)  # type: ignore[arg-type]
            assert [data.name for data in figure.data] == ["told", "own"]
            assert len({(data.line.dash, data.marker.symbol) for data in figure.data}) == 2
            assert list(figure.layout.xaxis.tickvals) == [1, 2]


def test_without_a_sentence_it_says_so() -> None:
    prepared = prepare(ASKED[:, :0], {"told": TOLD[:, :0]}, title="T")
    assert NOTHING in describe(prepared)
    assert draw(prepared).layout.annotations


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"right must have the shape \(3, 20\), but got \(2, 20\) for 'told'"):
        prepare(ASKED, {"told": TOLD[:2]}, title="T")
