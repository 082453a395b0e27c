from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diagnostics.charts import next_probabilities as chart

HELLO = ("h", "e", "l", "o")


def made(n: int = 4, v: int = 4, **changes: Any) -> chart.Prepared:
    p = np.random.default_rng(0).dirichlet(np.ones(v), size=n)
    words = tuple(HELLO[i] if v == 4 else f"w{i}" for i in range(v))
    given: dict[str, Any] = {
        "read": [words[i % v] for i in range(n)],
        "probability": p,
        "marked": [(i + 1) % v for i in range(n)],
        "vocabulary": words,
        "title": "What is expected next",
        "meaning": "the target",
    }
    return chart.prepare(**{**given, **changes})


def test_a_column_is_what_is_expected_after_what_was_read() -> None:
    found = made()
    assert found.rows == HELLO
    assert found.probability.shape == (4, 4)
    assert found.probability.sum(axis=0) == pytest.approx(np.ones(4))
    assert found.marked.tolist() == [1, 2, 3, 0]
    assert found.of_marked[2] == found.probability[3, 2]


def test_of_many_words_the_likeliest_have_rows_and_the_others_share_one() -> None:
    p = np.full((3, 50), 0.001)
    p[0, 40], p[1, 7], p[2, 30] = 0.951, 0.951, 0.951
    found = made(3, 50, probability=p, marked=[40, 49, 30])
    assert len(found.rows) == chart.MOST_ROWS
    assert found.rows[-1] == "35 others"
    assert {"w7", "w30", "w40"} <= set(found.rows)
    assert found.probability.sum(axis=0) == pytest.approx(p.sum(axis=1))
    assert found.marked[1] == len(found.rows) - 1  # it is among the others,
    assert found.of_marked[1] == 0.001  # with its own probability
    assert found.marked_words[1] == "w49"


def test_only_so_many_columns_are_shown() -> None:
    found = made(60)
    assert len(found.read) == chart.MOST_COLUMNS
    assert "the first 40 of 60" in found.origin.caption


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("n", "v"), [(1, 2), (4, 4), (40, 50)])
def test_it_draws(theme: Any, n: int, v: int) -> None:
    found = made(n, v)
    figure = chart.draw(found, theme=theme, size="projector")
    assert len(figure.to_json()) < 150_000
    assert figure.data[1].y.tolist() == found.marked.tolist()
    assert len(figure.layout.annotations) == (len(found.rows) * n if n <= 12 else 0)
    assert "is likeliest with" in chart.describe(found)


def test_nothing_and_nan_are_said() -> None:
    empty = made(0, 4, probability=np.zeros((0, 4)))
    assert "Nothing was read" in chart.describe(empty)
    assert "Nothing was read" in chart.draw(empty).layout.annotations[0].text
    broken = made(2, 4, probability=np.full((2, 4), np.nan))
    assert {note.text for note in chart.draw(broken).layout.annotations} == {"✕"}
    with pytest.raises(ValueError, match="of one length, but got 3, 4 and 4"):
        made(4, read=["h", "e", "l"])


def test_markup_in_a_text_stays_text() -> None:
    found = made(1, 2, vocabulary=("<b>", "&"), read=["<b>"], probability=np.array([[0.5, 0.5]]), marked=[1])
    assert found.rows == ("&lt;b&gt;", "&amp;")
