"""The prepared data of the profile before training."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.charts import untrained
from diagnostics.measures.untrained import Untrained, Way
from diagnostics.measures.untrained import untrained as measured


def made(cell: str, *median: float) -> tuple[str, Untrained]:
    values = np.array(median)
    return cell, Untrained(Way(cell), values / 2, values, values * 2)


def test_every_line_is_divided_by_its_own_value_at_the_loss() -> None:
    one, other = untrained.prepare([made("tanh", 4.0, 2.0, 1.0), made("gru", 0.1, 0.1, 0.05)], hidden=8).lines
    np.testing.assert_allclose(one.median, [1, 0.5, 0.25])
    np.testing.assert_allclose(one.high, [2, 1, 0.5])
    np.testing.assert_allclose(other.median, [1, 1, 0.5])
    assert one.style.colour != other.style.colour


def test_zeros_infinities_and_nan_stand_on_rails() -> None:
    [line] = untrained.prepare([made("relu", 1.0, 0.0, np.inf, np.nan)], hidden=8).lines
    assert [list(places) for places in line.rails] == [[1], [2], [3]]
    [dead] = untrained.prepare([made("relu", 0.0, 0.0)], hidden=8).lines
    assert list(dead.rails.zeros) == [0, 1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_drawn_and_said_without_a_word_that_matters(theme) -> None:
    prepared = untrained.prepare([("LSTM", measured(Way("lstm"), 8, 12))], hidden=8)
    figure = untrained.draw(prepared, theme=theme)
    assert untrained.TITLE in figure.layout.title.text
    assert "LSTM" in untrained.describe(prepared)
    assert "receives" not in untrained.describe(prepared)
    assert "before any update" in untrained.describe(prepared)


def test_without_a_cell_it_says_what_to_do() -> None:
    assert "Choose" in untrained.draw(untrained.prepare([], hidden=8)).layout.annotations[0].text
