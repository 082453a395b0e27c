"""Truncated backpropagation against the full gradient: direction and error for every chunk length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import Mark, labels_and_styles, marks_of
from diagnostics.charts.bands import add_band
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import nothing_in
from diagnostics.charts.inspected_seeds import Shown, bundled, hovers, members, origin_over, span
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import Style, ThemeName
from diagnostics.measures.numbers import number, steps
from diagnostics.measures.seeds import Envelope
from diagnostics.records import Array

TITLE = "What truncated backpropagation would have given instead"
NEEDS = ("chunk", "truncation_cosine", "truncation_error")
_PLOT_PX, _SPACE = 400, 0.1
_MOST_TICKS = 12


class Line(NamedTuple):
    """One inspection, or several seeds; arrays ``[M]`` over chunk lengths, the last of which is the whole sequence."""

    label: str
    style: Style
    chunk: Array
    cosine: Envelope
    error: Envelope
    several: bool
    """Whether it is of several seeds, whose median stands between the lowest and the highest."""


class Prepared(NamedTuple):
    """All lines, and the words that a chunk must reach."""

    origin: Origin
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    nothing: str


def prepare(inspections: Sequence[Shown]) -> Prepared:
    """Take cosine and relative error of each (name, inspection); raise ``ValueError`` where they are too many."""
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    lack = nothing_in(members(bundles), NEEDS)
    lines = () if lack else tuple(
        Line(
            label, style, bundle.first["chunk"], bundle.over(lambda one: one["truncation_cosine"]),
            bundle.over(lambda one: one["truncation_error"]), bundle.several,
        )
        for bundle, (label, style) in zip(bundles, looks, strict=True)
    )  # fmt: skip
    origin = origin_over(
        "truncation",
        bundles,
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
    cosine, error = line.cosine.median, line.error.median
    if np.isnan(cosine[-1]):
        whose = "the full gradient" if not line.several else "the full gradient of a seed"
        return f"{line.label}: {whose} is 0 or not finite, so that nothing can be compared with it"
    near = np.flatnonzero(cosine > 0.99)
    first = int(line.chunk[near[0]]) if near.size else int(line.chunk[-1])
    return (
        f"{line.label}: a chunk of 1 step has cosine {number(float(cosine[0]))}{_span(line, line.cosine)} and relative "
        f"error {number(float(error[0]))}{_span(line, line.error)}; the cosine is above 0.99 from a chunk of "
        f"{steps(first)} on"
    )


def _span(line: Line, over: Envelope) -> str:
    return span(over if line.several else None, 0)


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
    cosines = np.concatenate([line.cosine.low for line in prepared.lines])
    errors = np.concatenate([line.error.high for line in prepared.lines])
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
    for over, axis, what in ((line.cosine, "", "cosine"), (line.error, "2", "relative error")):
        if line.several:
            add_band(figure, line.chunk, over, colour, line.label, f"y{axis}", f"x{axis}")
        figure.add_scatter(
            x=wire(line.chunk),
            y=np.where(np.isfinite(over.median), over.median, np.nan),
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": line.style.dash},
            marker={"symbol": line.style.symbol, "size": look.size.marker, "color": colour},
            name=line.label,
            legendgroup=line.label,
            showlegend=not axis,
            connectgaps=False,
            customdata=hovers(over, partial(number, digits=4)) if line.several else None,
            hovertemplate=(
                f"chunks of %{{x}} timesteps<br>{what} %{{y:.4f}}{'<br>%{customdata}' if line.several else ''}"
                f"<extra>{line.label}</extra>"
            ),
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
