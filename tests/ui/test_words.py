"""Names made safe, and numbers said."""

from __future__ import annotations

import html
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui import words


@given(st.text())
def test_markup_reads_as_the_text_and_can_be_sent(text: str) -> None:
    made = words.markup(text)
    assert html.unescape(made) == words.shown(text)
    assert "<" not in made
    made.encode()


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("*_`[]()<>:$~#|!\\")))
def test_markdown_has_nothing_left_that_means_something(text: str) -> None:
    made = words.markdown(text)
    meant = [c for i, c in enumerate(made) if c in "*_`[]<>$~|:" and (i == 0 or made[i - 1] != "\\")]
    assert meant == []


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (math.nan, ""), (0.2, "a moment left"), (42, "42 s left"), (600, "10 min left")]
)
def test_time_left(seconds: float | None, said: str) -> None:
    assert words.left(seconds) == said


def test_numbers_that_are_none() -> None:
    assert [words.number(v) for v in (math.nan, math.inf, -math.inf, 0.12345)] == ["–", "∞", "−∞", "0.12"]
    assert words.percent(math.nan) == "–"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.filename("../<x>.csv") == "x-.csv"
    assert words.filename("…") == "gradreach"
