"""The gradient along one sentence's words: what is prepared, and that it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.charts.along_words import NOTHING, Prepared, Told, describe, draw, prepare

WORDS = ("They", "know", "that", "Jordan", "lives", "in", "<Oslo>", ".")
FORWARD = np.array([0.02, 0.1, 0.2, 0.4, *[np.nan] * 4])
BACKWARD = np.array([*[np.nan] * 3, 0.05, 0.04, 0.01, 0.0, 1e-9])
ONE_WAY = np.array([1e-5, 0.1, 0.3, 0.5, *[0.0] * 4])


def both(**how: object) -> Prepared:
    told = [Told("forward", FORWARD, 0), Told("backward", BACKWARD, 1), Told("one way", ONE_WAY, 2)]
    return prepare(WORDS, told, 3, title="T", answer_label="person", needed=4, **how)  # type: ignore[arg-type]


def test_each_line_is_divided_by_its_own_value_at_the_answer_and_zeros_stay_zeros() -> None:
    forward, backward, one_way = both().lines
    np.testing.assert_allclose(forward.ratio, FORWARD / 0.4)
    np.testing.assert_allclose(backward.ratio, BACKWARD / 0.05)
    assert [len(part) for part in forward.rails] == [0, 0, 0], "words that a line is not about are no marks"
    np.testing.assert_array_equal(backward.rails.zeros, [6])
    np.testing.assert_array_equal(one_way.rails.zeros, [4, 5, 6, 7])
    assert both().decades == (-8, 0)
    assert both().words[6] == "&lt;Oslo&gt;"


def test_it_says_what_reaches_the_word_that_decides() -> None:
    said = describe(both())
    assert "forward: of the gradient at Jordan, They 0.05." in said
    assert "backward: of the gradient at Jordan, lives 0.8, . 2" in said
    assert "one way: of the gradient at Jordan, They 2" in said
    assert "lives 0, . 0." in said


@pytest.mark.parametrize("at", [0.0, np.nan, np.inf])
def test_a_line_without_a_value_at_the_answer_says_so(at: float) -> None:
    norms = FORWARD.copy()
    norms[3] = at
    prepared = prepare(WORDS, [Told("forward", norms, 0)], 3, title="T", answer_label="person")
    assert "forward: the gradient at the answer is" in describe(prepared)
    assert sum(map(len, prepared.lines[0].rails)) == 4
    draw(prepared)


def test_what_is_not_finite_is_marked_at_its_word() -> None:
    norms = np.array([np.inf, 0.1, 0.0, 0.4, *[np.nan] * 4])
    rails = prepare(WORDS, [Told("forward", norms, 0)], 3, title="T", answer_label="").lines[0].rails
    assert [part.tolist() for part in rails] == [[2], [0], []]


def test_it_is_drawn_in_both_themes_and_sizes_with_every_word_and_the_bridge() -> None:
    for theme in ("light", "dark"):
        for size in ("page", "projector"):
            figure = draw(both(bridge=4, sides=("read", "written")), theme=theme, size=size)  # type: ignore[arg-type]
            assert list(figure.layout.xaxis.ticktext) == [
                "They", "know", "that", "<b>Jordan</b>", "<b>lives</b>", "in", "&lt;Oslo&gt;", "."
            ]  # fmt: skip
            texts = [note.text for note in figure.layout.annotations]
            assert {"read ", " written", "<b>person</b>", "what it says", "1 %"} <= set(texts)
            assert (
                len({(data.line.dash, data.marker.symbol) for data in figure.data if data.mode == "lines+markers"}) == 3
            )


def test_many_words_stand_upright_and_get_room() -> None:
    words = tuple(f"word{i}" for i in range(40))
    level, upright = (
        draw(prepare(words[:n], [Told("a", np.ones(n), 0)], n - 1, title="T", answer_label="x")) for n in (5, 40)
    )
    assert (level.layout.xaxis.tickangle, upright.layout.xaxis.tickangle) == (0, -90)
    assert upright.layout.height > level.layout.height


def test_without_a_line_it_says_so() -> None:
    prepared = prepare(WORDS, [], 3, title="T", answer_label="person")
    assert NOTHING in describe(prepared)
    assert NOTHING.split()[-1] in draw(prepared).layout.annotations[0].text


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="answer must be a word from 0 to 7, but got 8"):
        prepare(WORDS, [], 8, title="T", answer_label="")
    with pytest.raises(ValueError, match=r"norms must have the shape \(8,\), but got \(3,\)"):
        prepare(WORDS, [Told("a", np.ones(3), 0)], 1, title="T", answer_label="")
