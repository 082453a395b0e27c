"""A sentence with what networks say of each of its words, as a table that reads from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ui.words import markup, percent


class Cell(NamedTuple):
    """What one network says of one word: ``sure`` is the probability that it gives it, 0 to 1."""

    said: str
    sure: float
    loud: bool
    """Whether it stands out from what is said of most words."""
    note: str = ""
    """What more a person is told who points at it."""


def table(words: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], marked: int | None = None) -> str:
    """HTML: a column per word, a row per network; it scrolls sideways where it is wider than the page."""
    head = "".join(
        f'<th scope="col"{_MARKED if place == marked else ""}>{markup(word)}</th>' for place, word in enumerate(words)
    )
    body = "".join(
        f'<tr><th scope="row" style="{_NAME}">{markup(name)}</th>{"".join(_cell(one) for one in cells)}</tr>'
        for name, cells in rows
    )
    return (
        f'<div style="overflow-x:auto" tabindex="0" role="group" aria-label="What each network says of each word">'
        f'<table style="{_TABLE}"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


_TABLE = "border-collapse:separate;border-spacing:0.35rem 0.15rem;text-align:center;white-space:nowrap"
_NAME = "text-align:left;font-weight:600;padding-right:0.6rem"
_MARKED = ' style="border-bottom:2px solid currentColor"'


def _cell(one: Cell) -> str:
    title = f' title="{markup(one.note)}"' if one.note else ""
    if not one.loud:
        return f'<td{title} style="opacity:0.65">{markup(one.said)}</td>'
    sure = f'<br><small style="opacity:0.8">{percent(one.sure)}</small>'
    return f"<td{title}><strong>{markup(one.said)}</strong>{sure}</td>"
