"""Truncated backpropagation against the full gradient: direction and error for every chunk length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import Mark, labels_and_styles, marks_of
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import Named, nothing_in, origin_of
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import Style, ThemeName
from diagnostics.measures.numbers import number, steps
from diagnostics.records import Array

TITLE = "What truncated backpropagation would have given instead"
NEEDS = ("chunk", "truncation_cosine", "truncation_error")
_PLOT_PX, _SPACE = 400, 0.1
_MOST_TICKS = 12


class Line(NamedTuple):
    """One inspection; arrays ``[M]`` over chunk lengths, the last of which is the whole sequence."""

    label: str
    style: Style
    chunk: Array
    cosine: Array
    error: Array


class Prepared(NamedTuple):
    """All lines, and the words that a chunk must reach."""

    origin: Origin
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    nothing: str


def prepare(inspections: Sequence[Named]) -> Prepared:
    """Take cosine and relative error of each (name, inspection); raise ``ValueError`` where they are too many."""
    looks = labels_and_styles(inspections)
    lack = nothing_in(inspections, NEEDS)
    lines = () if lack else tuple(
        Line(label, style, one["chunk"], one["truncation_cosine"], one["truncation_error"])
        for (_, one), (label, style) in zip(inspections, looks, strict=True)
    )  # fmt: skip
    origin = origin_of(
        "truncation",
        [one for _, one in inspections],
        "Gradient of all parameters with backpropagation truncated at a chunk length, the state carried, against the "
        "full one · chunks counted back from the end · pre-clip",
        unit="cosine; ratio of l2 norms",
        reduction="mean loss over the samples",
        clip="pre-clip",
    )
    return Prepared(origin, lines, marks_of(inspections), lack)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, plain(prepared.origin.caption), *(_said(line) for line in prepared.lines)])


def _said(line: Line) -> str:
    if np.isnan(line.cosine[-1]):
        return f"{line.label}: the full gradient is 0 or not finite, so that nothing can be compared with it"
    near = np.flatnonzero(line.cosine > 0.99)
    first = int(line.chunk[near[0]]) if near.size else int(line.chunk[-1])
    return (
        f"{line.label}: a chunk of 1 step has cosine {number(float(line.cosine[0]))} and relative error "
        f"{number(float(line.error[0]))}; the cosine is above 0.99 from a chunk of {steps(first)} on"
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the cosine above and the relative error below, over chunk lengths on a log axis."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [line.label for line in prepared.lines], above_px=34)
    for line in prepared.lines:
        _curves(figure, look, line)
    longest = max(int(line.chunk[-1]) for line in prepared.lines)
    ends = [-0.04 * np.log10(max(longest, 2)), 1.04 * np.log10(max(longest, 2))]
    shared = {"type": "log", "range": ends, **_ticks(prepared.lines)}
    middle = 0.5 + _SPACE / 2
    cosines, errors = (np.concatenate([getattr(line, name) for line in prepared.lines]) for name in ("cosine", "error"))
    lowest = float(np.min(cosines[np.isfinite(cosines)], initial=0.0))
    largest = float(np.max(errors[np.isfinite(errors)], initial=1.0))
    figure.update_layout(
        {
            "xaxis": {**shared, "anchor": "y", "showticklabels": False},
            "yaxis": {"domain": [middle, 1], "range": [min(-0.04, 1.1 * lowest), 1.06], "title": {"text": "cosine"}},
            "xaxis2": {
                **shared, "anchor": "y2", "matches": "x",
                "title": {"text": "chunk length, timesteps  (the last is the whole sequence)"},
            },
            "yaxis2": {
                "domain": [0, middle - _SPACE],
                "range": [-0.04 * largest, 1.1 * largest],
                "title": {"text": "relative error"},
            },
        }
    )  # fmt: skip
    _marks(figure, look, prepared.marks)
    return figure


def _ticks(lines: Sequence[Line]) -> dict[str, object]:
    values = sorted({int(value) for line in lines for value in line.chunk})
    last = values[-1]
    shown = [value for value in values if value == last or last / value > 1.25]
    while len(shown) > _MOST_TICKS:
        shown = sorted({*shown[::-2]})
    return {"tickvals": shown, "ticktext": [str(value) for value in shown]}


def _curves(figure: go.Figure, look: Frame, line: Line) -> None:
    colour = look.theme.lines[line.style.colour]
    for values, axis, what in ((line.cosine, "", "cosine"), (line.error, "2", "relative error")):
        figure.add_scatter(
            x=wire(line.chunk),
            y=np.where(np.isfinite(values), values, np.nan),
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": line.style.dash},
            marker={"symbol": line.style.symbol, "size": look.size.marker, "color": colour},
            name=line.label,
            legendgroup=line.label,
            showlegend=not axis,
            connectgaps=False,
            hovertemplate=f"chunks of %{{x}} timesteps<br>{what} %{{y:.4f}}<extra>{line.label}</extra>",
        )


def _marks(figure: go.Figure, look: Frame, marks: Sequence[Mark]) -> None:
    """Mark the chunk lengths from which on the words that matter are within the last chunk."""
    for mark in marks:
        for axis in ("", "2"):
            figure.add_shape(
                type="line", x0=mark.distance + 1, x1=mark.distance + 1, xref=f"x{axis}",
                y0=0, y1=1, yref=f"y{axis} domain",
                line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
            )  # fmt: skip
        figure.add_annotation(
            text=f"<b>{mark.word}</b> is within the last chunk from {mark.distance + 1} on",
            x=float(np.log10(mark.distance + 1)),
            xref="x",
            xanchor="right",
            y=1,
            yref="paper",
            yanchor="bottom",
        )
        break  # one line of words: with several distances, the nearest
