"""Success against one quantity that the runs differ in (the gap, a chunk length), a line per kind of run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Origin, SizeName, frame, ids, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.measures.numbers import number, percent
from diagnostics.records import Array, Run

_PLOT_PX = 340
_CLOSE = 0.05
"""Share of the axis that a number takes."""
WAITING = "No run has been measured yet: the first points come while training goes on."


class Line(NamedTuple):
    """One kind of run; arrays have an entry per place along the axis, rising, ``[N]``; where seeds differ, medians."""

    label: str
    style: Style
    along: Array
    success: Array
    low: Array
    high: Array
    broke: Array
    """Whether any of the runs at that place diverged."""


class Prepared(NamedTuple):
    """All lines, what knowing nothing gives, and where it comes from."""

    origin: Origin
    title: str
    axis: str
    unit: str
    """What stands behind a number of the axis in words, such as ``steps``."""
    lines: tuple[Line, ...]
    chance: tuple[float, ...]
    mark: float | None


def last_success(run: Run) -> float:
    """Success on the held-out set when it was last measured, 0 to 1; nan before that."""
    return float(run.records["eval_success"][-1]) if run.records.rows("eval") else math.nan


def prepare(
    runs: Sequence[Run],
    along: Callable[[Run], float],
    kind: Callable[[Run], str],
    *,
    title: str,
    axis: str,
    unit: str = "",
    mark: float | None = None,
) -> Prepared:
    """Put each run at ``along`` on the line of its ``kind``; seeds of one kind at one place are taken together.

    ``mark`` is a place on the axis that gets an upright dotted line. Runs that were not measured yet are left out.
    """
    measured = [run for run in runs if math.isfinite(last_success(run))]
    kinds = list(dict.fromkeys(kind(run) for run in runs))
    cells = [next(str(run.spec.get("cell", "")) for run in runs if kind(run) == name) for name in kinds]
    found = []
    for name, style in zip(kinds, styles_by_cell(cells), strict=True):
        if some := [run for run in measured if kind(run) == name]:
            found.append(_line(safe(name), style, some, along))
    origin = Origin(
        "success_along",
        ids(runs),
        "Success on the held-out set when it was last measured · dotted: knowing nothing · ✕: training diverged",
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": "share",
            "reduction": "median over seeds; bars from the lowest to the highest",
        },
    )
    chance = {run.facts.chance_success for run in runs if run.facts is not None}
    return Prepared(origin, title, axis, unit, tuple(found), tuple(sorted(chance)), mark)


def _line(label: str, style: Style, runs: Sequence[Run], along: Callable[[Run], float]) -> Line:
    places = sorted({along(run) for run in runs})
    some = [[run for run in runs if along(run) == place] for place in places]
    success = [[last_success(run) for run in group] for group in some]
    return Line(
        label,
        style,
        np.array(places),
        np.array([np.median(s) for s in success]),
        np.array([min(s) for s in success]),
        np.array([max(s) for s in success]),
        np.array([any(run.state == "diverged" for run in group) for group in some]),
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.lines:
        return spoken([prepared.title, WAITING])
    return spoken([prepared.title, *(_said(prepared, line) for line in prepared.lines)])


def _said(prepared: Prepared, line: Line) -> str:
    points = ", ".join(
        f"{percent(s)} at {number(float(x))}{' ' * bool(prepared.unit)}{prepared.unit}{' (diverged)' * bool(b)}"
        for x, s, b in zip(line.along, line.success, line.broke, strict=True)
    )
    return f"{line.label}: {points}"


def _apart(places: Sequence[float]) -> list[str]:
    """The numbers below the places; "" for one that would touch the next, on an axis that is logarithmic."""
    if len(places) < 2 or places[0] <= 0:
        return [number(x, 4) for x in places]
    close = _CLOSE * math.log10(places[-1] / places[0])
    shown = [b is None or math.log10(b / a) > close for a, b in zip(places, [*places[1:], None], strict=True)]
    return [number(x, 4) if show else "" for x, show in zip(places, shown, strict=True)]


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the lines over a logarithmic axis whose ticks are the places that there are."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, prepared.title, WAITING)
    labels = [line.label for line in prepared.lines]
    figure = new_figure(look, prepared.origin, prepared.title, _PLOT_PX, labels)
    for line in prepared.lines:
        colour = look.theme.lines[line.style.colour]
        figure.add_scatter(
            x=line.along,
            y=line.success,
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": line.style.dash},
            marker={
                "symbol": ["x" if broke else line.style.symbol for broke in line.broke],
                "size": look.size.marker * 1.2,
                "color": colour,
            },
            error_y={
                "array": line.high - line.success,
                "arrayminus": line.success - line.low,
                "thickness": look.size.thin,
                "width": look.size.marker / 2,
                "visible": bool(np.any(line.high > line.low)),
            },
            name=line.label,
            cliponaxis=False,
            hovertemplate=f"%{{x}} {prepared.unit}<br>success %{{y:.1%}}<extra>{line.label}</extra>",
        )
    places = sorted({float(x) for line in prepared.lines for x in line.along})
    wide = max(0.06, 0.05 * math.log10(places[-1] / places[0])) if places[0] > 0 else 0.06
    figure.update_layout(
        xaxis={
            "type": "log",
            "title": {"text": prepared.axis},
            "range": [math.log10(places[0]) - wide, math.log10(places[-1]) + wide],
            "tickvals": places,
            "ticktext": _apart(places),
        },
        yaxis={"title": {"text": "success"}, "range": [-0.03, 1.05], "tickformat": ".0%"},
    )
    for chance in prepared.chance:
        figure.add_hline(chance, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
        figure.add_annotation(
            text=f"knowing<br>nothing<br>{percent(chance)}",
            xref="paper",
            x=1.006,
            xanchor="left",
            align="left",
            y=chance,
            font={"color": look.theme.muted},
        )
    if prepared.chance:
        figure.layout.margin.r = look.px(76)
    if prepared.mark is not None:
        figure.add_vline(prepared.mark, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
    return figure
