"""Charts of a stop's own, shown like every other figure and taken along in the report of the stop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.charts.gallery import INSPECTION_FIGURES
from ui import figures, look
from ui.learn.stop import Seen

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.inspection import Inspection

SHOWN = "learn-charts"
"""The charts of each stop that were shown last, by their key."""


@dataclass(frozen=True)
class Chart:
    """A chart as it is shown: ``make(theme, size)`` gives the figure and what it shows in words."""

    key: str
    title: str
    how_to_read: str
    make: Callable[[str, str], tuple[go.Figure, str]]


def charts_of(slug: str) -> dict[str, Chart]:
    """The charts of a stop that were shown last, by their key; the same object each time."""
    everything: dict[str, dict[str, Chart]] = st.session_state.setdefault(SHOWN, {})
    return everything.setdefault(slug, {})


def chart(
    slug: str,
    key: str,
    title: str,
    how_to_read: str,
    version: Hashable,
    make: Callable[[str, str], tuple[go.Figure, str]],
) -> None:
    """Show a chart; it is made again only where ``version`` is a new one (or the theme or the size)."""
    charts_of(slug)[key] = Chart(key, title, how_to_read, make)
    theme, size = look.theme(), look.size()
    figures.present(
        f"figure-{key}-learn-{slug}", version, title, how_to_read, f"gradreach-{slug}-{key}", lambda: make(theme, size)
    )


def inspected(slug: str, key: str, named: Sequence[tuple[str, Inspection]]) -> None:
    """Show the figure ``key`` of ``INSPECTION_FIGURES`` of what was found inside some runs, each with its name."""
    info = INSPECTION_FIGURES[key]

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = info.prepared(named)
        return info.draw(prepared, theme=theme, size=size), info.accessible_name(prepared)

    version = tuple((name, one.run_id, one.step, one.samples, one.sections) for name, one in named)
    chart(slug, key, info.title, info.how_to_read, version, make)


def version_of(seen: Sequence[Seen]) -> Hashable:
    """A version for a chart of runs: new whenever one of them has recorded more, or has ended."""
    return tuple(
        (one.run.id, one.run.name, one.run.state, *(one.run.records.rows(s) for s in ("step", "eval", "profile")))
        for one in seen
    )
