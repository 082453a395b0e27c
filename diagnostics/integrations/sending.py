"""What the forwarders share: the same numbers under the same names everywhere, and figures in words where need be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.watching.results import scalars

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch

# What every one of the places takes in a name, and stores as it is.
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_./-]+")
_DIRECTIONS = {" →": "_forward", " ←": "_backward"}


def plain(name: str) -> str:
    """``name`` in letters that every place takes; a direction's arrow becomes its word."""
    for arrow, word in _DIRECTIONS.items():
        name = name.replace(arrow, word)
    return _FORBIDDEN.sub("_", name)


def numbers(w: Watch) -> dict[str, float]:
    """Reach, decay and norms by the name they are sent under, e.g. ``gradreach/lstm/reach``."""
    return {plain(name): value for name, value in scalars(w).items()}


def last_step(w: Watch) -> int:
    """The newest training step that was watched, 0 where there is none."""
    return max((int(run.records["step"][-1]) for run in w.newest.values()), default=0)


def figure_name(key: str) -> str:
    """The name that a figure is sent under."""
    return f"gradreach/{key}"


def drawn(w: Watch, figures: Sequence[str]) -> dict[str, Any]:
    """The figures by their names. Raises ``ValueError`` naming the keys that apply where one does not."""
    if isinstance(figures, str):
        raise ValueError(f"figures must be a list of keys such as ['profile'], but got {figures!r}")
    return {figure_name(key): w.figure(key) for key in figures}


def page(w: Watch, name: str, figure: Any) -> str:
    """A figure as one HTML page that fetches nothing, with the verdict below."""
    from diagnostics.export.html import figure_html  # plotly only where a figure is asked for

    return figure_html(figure, name, note=w.verdict.sentence)


def in_words(w: Watch) -> str:
    """The verdict and the table as Markdown."""
    return f"{w.verdict.headline}. {w.verdict.sentence}\n\n```\n{w.table()}\n```"
