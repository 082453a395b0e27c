"""All figures of a comparison, drawn: what reports, bundles and the command line have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import plotly.graph_objects as go

from diagnostics.charts.gallery import FIGURES
from diagnostics.charts.series import all_watched
from diagnostics.export.figures import figure_json
from diagnostics.measures.seeds import Group, any_seeds, groups, singles
from diagnostics.records import Run

HEIGHT_PX = 480
"""Height of a figure whose layout names none."""


@dataclass(frozen=True)
class Drawing:
    """One drawn figure. ``key`` is fit for file names and ids of elements; ``figure_key`` is that of the table."""

    key: str
    figure_key: str
    title: str
    """What figure it is, and of which run where it is of one alone."""
    name: str
    """What a screen reader says."""
    how_to_read: str
    figure: go.Figure

    @property
    def height_px(self) -> int:
        """Height in CSS pixels."""
        return int(self.figure.layout.height or HEIGHT_PX)

    @cached_property
    def json(self) -> str:
        """The figure as plotly's JSON."""
        return figure_json(self.figure)


def drawings(
    runs: Sequence[Run], theme: Literal["light", "dark"] = "light", *, over_seeds: bool | None = None
) -> list[Drawing]:
    """Every figure of ``runs`` in the gallery's order; one per run where the figure shows a single run, or its seeds.

    A run without a gradient profile has no figure of its own; where no run has recorded a step there is none at all.
    ``over_seeds`` draws runs that differ only in their seed as one; left out, where there are such runs.
    """
    drawn: list[Drawing] = []
    if not any(run.records.rows("step") for run in runs):
        return drawn
    together = any_seeds(runs) if over_seeds is None else over_seeds
    for key, info in FIGURES.items():
        if not info.per_run:
            if info.applies(runs):
                drawn.append(_drawing(key, key, "", runs, theme, {"over_seeds": together}))
            continue
        shown = list(filter(profiled, runs))
        bundles = groups(shown) if together else singles(shown)
        drawn += [_drawing_of_group(key, group, theme) for group in bundles]
    return drawn


def chosen(keys: Sequence[str], runs: Sequence[Run], theme: Literal["light", "dark"] = "light") -> list[Drawing]:
    """The figures ``keys`` of ``runs``, in that order; of those that show a single run, one per run that has any."""
    drawn: list[Drawing] = []
    for key in keys:
        info = FIGURES[key]
        if not info.per_run:
            drawn.append(_drawing(key, key, "", runs, theme, {}))
            continue
        drawn += [_drawing_of_group(key, group, theme) for group in singles(list(filter(profiled, runs)))]
    return drawn


def _drawing_of_group(key: str, group: Group, theme: Literal["light", "dark"]) -> Drawing:
    first = group.runs[0]
    own = f"{key}-{re.sub('[^a-z0-9-]', '-', first.id.lower())}"
    return _drawing(key, own, group.name or first.id, group.runs, theme, {})


def profiled(run: Run) -> bool:
    """Whether the run has recorded a gradient profile, without which there is nothing of it alone to draw."""
    return run.records.rows("profile") > 0


def _drawing(
    figure_key: str,
    key: str,
    of: str,
    runs: Sequence[Run],
    theme: Literal["light", "dark"],
    how: Mapping[str, bool],
) -> Drawing:
    """``of``: which run or seeds the figure is of where it is of those alone, else ""."""
    info = FIGURES[figure_key]
    title, how_to_read = info.words(all_watched(runs))
    prepared = info.prepare(runs, **how)
    figure = info.draw(prepared, theme=theme, size="page")
    return Drawing(
        key, figure_key, f"{title} — {of}" if of else title, info.accessible_name(prepared), how_to_read, figure
    )
