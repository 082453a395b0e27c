"""What comes of a clipping threshold: success, diverged share and steps to a goal against it, with bands over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_band
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting
from diagnostics.charts.labels import run_labels, spoken
from diagnostics.charts.palette import ThemeName, styles
from diagnostics.charts.rails import add_ground, rail_axis
from diagnostics.charts.series import absent
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.seeds import Envelope, Spread
from diagnostics.measures.sweep import GOAL, Point, findings, sweep
from diagnostics.records import Array, Run

TITLE = "What comes of a clipping threshold"
_PLOT_PX = 520
_DASHES = {"norm": "solid", "value": "dash"}
_SYMBOLS = {"norm": "circle", "value": "square", "none": "star"}
_WORDS = {"norm": "by norm", "value": "by value", "none": "no clipping"}
_DOMAINS = {"success": (0.56, 1.0), "diverged": (0.40, 0.52), "steps": (0.0, 0.28)}
_RAIL = (0.29, 0.345)


class Line(NamedTuple):
    """One kind of clipping in one series; arrays have an entry per threshold at which a run has ended, ``[N]``.

    ``no clipping`` has one entry, whose threshold is infinite and which is drawn at the right end of the axis.
    """

    label: str
    colour: int
    kind: str
    threshold: Array
    success: Envelope
    diverged: Array
    """Share of the ended runs."""
    steps: Envelope
    """Updates to the goal; infinite where a seed never was there."""
    reached: tuple[str, ...]
    """``2 of 3`` per threshold."""


class Prepared(NamedTuple):
    """All lines, where no clipping stands on the axis, and where it all comes from."""

    origin: Origin
    lines: tuple[Line, ...]
    thresholds: tuple[float, ...]
    off_at: float
    """The place of no clipping on the axis of thresholds."""
    goal: float
    chance: tuple[float, ...]
    success_name: str
    said: tuple[str, ...]
    nothing: str
    """Why there is no line, where there is none."""


def prepare(runs: Sequence[Run], goal: float = GOAL, over_seeds: bool = True) -> Prepared:
    """Sort runs by what they were clipped with; only those that finished or diverged count.

    ``goal`` is the success that counts as having learned. Seeds are always taken together here (``over_seeds`` is what
    every figure is asked): a threshold is judged by all the runs that had it.
    """
    told = sweep(runs, goal)
    faces = [replace(series.first, name=series.name) for series in told]
    lines = []
    for series, label, style in zip(told, run_labels(faces), styles(faces), strict=True):
        for i, (kind, words) in enumerate(_WORDS.items()):
            points = [point for point in series.of_kind(kind) if point.ended]
            if points:
                colour = style.colour if len(told) > 1 else i
                lines.append(_line(f"{label}, {words}", colour, kind, points))
    thresholds = tuple(sorted({float(t) for line in lines for t in line.threshold if math.isfinite(t)}))
    facts = [run.facts for run in runs if run.facts is not None]
    ended = sum(point.ended for series in told for point in series.points)
    more = len(runs) - ended
    origin = Origin(
        "sweep",
        ids(runs),
        "Points: median over the seeds; bands: lowest to highest seed · success on the held-out set at the end of "
        f"training, of diverged runs before they broke · goal: success {percent(goal)} · {ended} runs"
        + (f", {more} still to come or broken off" if more else ""),
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": "share; training steps",
            "reduction": "median over the seeds; band from the lowest to the highest seed",
            "clip": "the threshold is the axis",
            "over_seeds": True,
            "goal": goal,
        },
    )
    names = {fact.success_name for fact in facts}
    return Prepared(
        origin,
        tuple(lines),
        thresholds,
        10 ** (math.log10(thresholds[-1]) + 0.5) if thresholds else 1.0,
        goal,
        tuple(sorted({fact.chance_success for fact in facts})),
        names.pop() if len(names) == 1 else "success",
        findings(told, goal),
        absent(runs, "result", waiting="Waiting for the first run to end…"),
    )


def _line(label: str, colour: int, kind: str, points: Sequence[Point]) -> Line:
    return Line(
        label=label,
        colour=colour,
        kind=kind,
        threshold=np.array([point.rule.threshold for point in points]),
        success=_laid([point.success for point in points]),
        diverged=np.array([point.diverged_share for point in points]),
        steps=_laid([point.steps_to_goal for point in points]),
        reached=tuple(f"{point.reached} of {point.ended}" for point in points),
    )


def _laid(spreads: Sequence[Spread]) -> Envelope:
    return Envelope(*(np.array(part) for part in zip(*spreads, strict=True)))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, prepared.origin.caption, *(prepared.said or [prepared.nothing])])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw success, diverged share and steps to the goal below one another, sharing the axis of thresholds."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [line.label for line in prepared.lines])
    for line in prepared.lines:
        colour = look.theme.lines[line.colour]
        x = _places(prepared, line)
        add_band(figure, x, line.success, colour, line.label, "y")
        add_band(figure, x, line.steps, colour, line.label, "y3")
    for line in prepared.lines:
        _success(figure, look, prepared, line)
        _diverged(figure, look, prepared, line)
        _steps(figure, look, prepared, line)
    never = _never(figure, look, prepared)
    _axes(figure, look, prepared, never)
    return figure


def _places(prepared: Prepared, line: Line) -> Array:
    return np.where(np.isfinite(line.threshold), line.threshold, prepared.off_at)


def _strong(look: Frame, line: Line) -> dict[str, object]:
    colour = look.theme.lines[line.colour]
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "width": look.size.line, "dash": _DASHES.get(line.kind, "solid")},
        "marker": {
            "symbol": _SYMBOLS[line.kind],
            "size": look.size.marker * (1.7 if line.kind == "none" else 1.1),
            "color": colour,
        },
        "name": line.label,
        "legendgroup": line.label,
        "cliponaxis": False,
    }


def _errors(look: Frame, line: Line, over: Envelope) -> dict[str, object]:
    """The range of the seeds at a point that stands alone, where a band has no width to be seen."""
    if len(line.threshold) > 1:
        return {}
    finite = np.isfinite(over.high) & np.isfinite(over.low)
    low, median, high = (np.where(finite, part, 0.0) for part in over[:3])
    up, down = high - median, median - low
    return {"error_y": {"array": up, "arrayminus": down, "thickness": look.size.thin, "width": look.size.marker / 2}}


def _rule(line: Line) -> Array:
    return np.array([_WORDS[line.kind] + ("" if math.isinf(t) else f" at {number(t, 3)}") for t in line.threshold])


def _success(figure: go.Figure, look: Frame, prepared: Prepared, line: Line) -> None:
    figure.add_scatter(
        x=_places(prepared, line),
        y=line.success.median,
        **_strong(look, line),
        **_errors(look, line, line.success),
        customdata=np.stack([line.success.low, line.success.high], axis=1),
        text=[
            f"{rule}: {reached} reach {percent(prepared.goal)}"
            for rule, reached in zip(_rule(line), line.reached, strict=True)
        ],
        hovertemplate="%{text}<br>success %{y:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})"
        f"<extra>{line.label}</extra>",
    )


def _diverged(figure: go.Figure, look: Frame, prepared: Prepared, line: Line) -> None:
    figure.add_scatter(
        x=_places(prepared, line),
        y=line.diverged,
        yaxis="y2",
        **_strong(look, line),
        showlegend=False,
        hovertemplate=f"%{{y:.0%}} diverged<extra>{line.label}</extra>",
    )


def _steps(figure: go.Figure, look: Frame, prepared: Prepared, line: Line) -> None:
    there = np.isfinite(line.steps.median)
    figure.add_scatter(
        x=_places(prepared, line),
        y=np.where(there, line.steps.median, np.nan),
        yaxis="y3",
        **_strong(look, line),
        **_errors(look, line, line.steps),
        showlegend=False,
        connectgaps=False,
        text=[f"{rule}: {reached} reach it" for rule, reached in zip(_rule(line), line.reached, strict=True)],
        hovertemplate=f"%{{text}}<br>after %{{y:.0f}} steps (median)<extra>{line.label}</extra>",
    )


def _never(figure: go.Figure, look: Frame, prepared: Prepared) -> bool:
    """Mark on a rail where half of the seeds or more never reach the goal."""
    lost = [(line, np.flatnonzero(np.isinf(line.steps.median))) for line in prepared.lines]
    lost = [(line, at) for line, at in lost if at.size]
    for i, (line, at) in enumerate(lost):
        colour = look.theme.lines[line.colour]
        figure.add_scatter(
            x=_places(prepared, line)[at],
            y=np.full(len(at), (i + 0.5) / len(lost)),
            yaxis="y4",
            mode="markers",
            marker={
                "symbol": f"{_SYMBOLS[line.kind]}-open",
                "size": max(5, look.size.marker - len(lost) // 3),
                "color": colour,
                "line": {"width": look.size.thin + 0.4, "color": colour},
            },
            legendgroup=line.label,
            showlegend=False,
            text=[f"{_rule(line)[j]}: {line.reached[j]} reach it" for j in at],
            hovertemplate=f"%{{text}} in the steps that there were<extra>{line.label}</extra>",
        )
    return bool(lost)


def _axes(figure: go.Figure, look: Frame, prepared: Prepared, never: bool) -> None:
    ticks = [*prepared.thresholds, prepared.off_at]
    low = math.log10(ticks[0]) - 0.15
    figure.update_layout(
        xaxis={
            "type": "log",
            "title": {"text": "clipping threshold (none at the right end)"},
            "range": [low, math.log10(prepared.off_at) + 0.15],
            "tickvals": ticks,
            "ticktext": [*(number(value, 3) for value in prepared.thresholds), "none"],
            "anchor": "y3",
        },
        yaxis={
            "title": {"text": "success"},
            "domain": _DOMAINS["success"],
            "range": [-0.03, 1.05],
            "tickformat": ".0%",
        },
        yaxis2={
            "title": {"text": "diverged"},
            "domain": _DOMAINS["diverged"],
            "range": [-0.08, 1.08],
            "tickvals": [0, 1],
            "tickformat": ".0%",
            "anchor": "x",
        },
        yaxis3={
            "title": {"text": f"steps to {percent(prepared.goal)}"},
            "domain": _DOMAINS["steps"],
            "rangemode": "tozero",
            "anchor": "x",
        },
    )
    if never:
        figure.update_layout(yaxis4=rail_axis(_RAIL, "never", anchor="x"))
        add_ground(figure, look, _RAIL, xref="paper")
    for chance in prepared.chance:
        _level(figure, look, chance)
    if prepared.chance:
        figure.add_annotation(
            text=f"knowing<br>nothing<br>{', '.join(percent(value) for value in prepared.chance)}",
            xref="paper",
            x=1.006,
            xanchor="left",
            align="left",
            y=prepared.chance[len(prepared.chance) // 2],
            yref="y",
            font={"color": look.theme.muted},
        )
        figure.layout.margin.r = look.px(76)


def _level(figure: go.Figure, look: Frame, value: float) -> None:
    figure.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        yref="y",
        y0=value,
        y1=value,
        line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
    )
