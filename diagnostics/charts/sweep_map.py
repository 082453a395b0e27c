"""The map of a threshold sweep: a row per cell and kind of clipping, a column per threshold, success as the colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting
from diagnostics.charts.labels import run_labels, spoken
from diagnostics.charts.palette import ThemeName, text_on
from diagnostics.charts.series import absent
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.sweep import GOAL, Point, Rule, findings, sweep
from diagnostics.records import Array, Run

TITLE = "Thresholds and cells: where it learns"
_ROW_PX = 58
_MOST_IN_CELLS = 9
"""With more columns than these a cell has room for its success alone."""
_SCALE = plotly.colors.sequential.Cividis


class Prepared(NamedTuple):
    """A grid of rows × columns; ``points`` has None where nothing was asked for."""

    origin: Origin
    rows: tuple[str, ...]
    columns: tuple[float, ...]
    """The thresholds, ascending, no clipping (infinite) last."""
    points: tuple[tuple[Point | None, ...], ...]
    success: Array
    """Median over the seeds; nan where no run has ended."""
    goal: float
    said: tuple[str, ...]
    nothing: str
    """Why there is no grid, where there is none."""


def prepare(runs: Sequence[Run], goal: float = GOAL, over_seeds: bool = True) -> Prepared:
    """Lay the rules of a sweep out as a grid; no clipping stands in every row of its cell, since it belongs to each.

    ``goal`` is the success that counts as having learned; seeds are always taken together here.
    """
    told = sweep(runs, goal)
    labels = run_labels([replace(series.first, name=series.name) for series in told])
    rows, lines = [], []
    columns = tuple(sorted({point.rule.threshold for series in told for point in series.points}))
    for series, label in zip(told, labels, strict=True):
        by_rule = {point.rule: point for point in series.points}
        off = by_rule.get(Rule("none", math.inf))
        kinds = [kind for kind in ("norm", "value") if series.of_kind(kind)] or ["norm"]
        for kind in kinds:
            rows.append(f"{label}, by {kind}")
            lines.append(tuple(off if math.isinf(at) else by_rule.get(Rule(kind, at)) for at in columns))
    ended = sum(point.ended for series in told for point in series.points)
    origin = Origin(
        "sweep_map",
        ids(runs),
        "Colour and first line: success when training ended, median over the seeds · second line: seeds that reached "
        f"{percent(goal)}, and those that diverged · {ended} of {len(runs)} runs",
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": "share",
            "reduction": "median over the seeds",
            "clip": "the threshold is the axis",
            "over_seeds": True,
            "goal": goal,
        },
    )
    success = np.array([[math.nan if p is None else p.success.median for p in line] for line in lines])
    return Prepared(
        origin,
        tuple(rows),
        columns,
        tuple(lines) if ended else (),
        success,
        goal,
        findings(told, goal),
        absent(runs, "result", waiting="Waiting for the first run to end…"),
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, prepared.origin.caption, *(prepared.said or [prepared.nothing])])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the grid with its numbers in its cells, so that no colour has to be read off a scale."""
    look = frame(theme, size)
    if not prepared.points:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    count = len(prepared.rows)
    figure = new_figure(look, prepared.origin, TITLE, _ROW_PX * count + 10)
    places = np.arange(len(prepared.columns))
    figure.add_heatmap(
        x=places,
        y=np.arange(count),
        z=prepared.success.astype(np.float32),
        zmin=0.0,
        zmax=1.0,
        colorscale=_SCALE,
        showscale=False,
        xgap=3,
        ygap=3,
        text=[[_hover(prepared, point) for point in line] for line in prepared.points],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
    )
    for i, line in enumerate(prepared.points):
        for j, point in enumerate(line):
            _cell(figure, look, prepared, (i, j), point)
    words = [number(at, 3) if math.isfinite(at) else "none" for at in prepared.columns]
    figure.update_xaxes(
        title_text="clipping threshold",
        tickvals=places,
        ticktext=words,
        showgrid=False,
        range=[-0.5, len(places) - 0.5],
    )
    figure.update_yaxes(
        tickvals=list(range(count)), ticktext=list(prepared.rows), range=[count - 0.5, -0.5], showgrid=False
    )
    return figure


def _cell(figure: go.Figure, look: Frame, prepared: Prepared, at: tuple[int, int], point: Point | None) -> None:
    if point is None:
        return
    row, column = at
    many = len(prepared.columns) > _MOST_IN_CELLS
    if not point.ended or not point.success.seeds:
        text, colour = ("…" if point.waiting else "✕" if point.diverged else "–"), look.theme.muted
    else:
        median = point.success.median
        text, colour = percent(median), text_on(_colour(median))
        if not many:
            text = f"<b>{text}</b><br>{point.reached} of {point.ended}{f' · ✕ {point.diverged}' * bool(point.diverged)}"
    figure.add_annotation(text=text, x=column, y=row, font={"color": colour, "size": look.size.small}, align="center")


def _colour(success: float) -> str:
    return str(plotly.colors.sample_colorscale(_SCALE, [min(max(success, 0.0), 1.0)], colortype="rgb")[0])


def _hover(prepared: Prepared, point: Point | None) -> str:
    if point is None:
        return ""
    said = [point.rule.said()]
    if point.success.seeds:
        low, median, high, _ = point.success
        said.append(f"success {percent(median)} ({percent(low)} to {percent(high)})")
    if point.ended:
        said.append(f"{point.reached} of {point.ended} reach {percent(prepared.goal)}")
    for many, word in ((point.diverged, "diverged"), (point.waiting, "to come"), (point.broken_off, "broke off")):
        if many:
            said.append(f"{many} {word}")
    return "<br>".join(said)
