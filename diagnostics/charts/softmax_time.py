"""Time of a training step of each kind of softmax against the number of words, as it was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from diagnostics.charts.frame import Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.measures.numbers import number, power_of_ten

TITLE = "Time of a training step against the number of words"
WAITING = "Nothing has been measured yet."
_PLOT_PX = 360
_TO_MS = 1e3


class Point(NamedTuple):
    """``seconds`` of forward and backward of one kind of head over ``words`` words, a median."""

    kind: str
    words: int
    seconds: float


class Prepared(NamedTuple):
    """The points of each kind by rising V."""

    origin: Origin
    lines: tuple[tuple[str, Style, tuple[Point, ...]], ...]


def prepare(points: Sequence[Point], answers: int, hidden: int, where: str) -> Prepared:
    """Sort the points by kind; each step had ``answers`` answers of ``hidden`` features, measured on ``where``."""
    kinds = list(dict.fromkeys(point.kind for point in points))
    origin = Origin(
        "softmax_time",
        (),
        f"Forward and backward of the head alone, {answers} answers of {hidden} features, one thread, median · {where}",
        {"unit": "ms", "reduction": "median", "answers": answers, "hidden": hidden},
    )
    lines = tuple(
        (kind, look, tuple(sorted((p for p in points if p.kind == kind), key=lambda p: p.words)))
        for kind, look in zip(kinds, styles_by_cell([""] * len(kinds)), strict=True)
    )
    return Prepared(origin, lines)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.lines:
        return spoken([TITLE, WAITING])
    return spoken(
        [
            TITLE,
            *(
                f"{kind}: " + ", ".join(f"{number(_TO_MS * p.seconds)} ms at {number(p.words)} words" for p in points)
                for kind, _, points in prepared.lines
            ),
        ]
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a line for each kind, both axes logarithmic."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, TITLE, WAITING)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [kind for kind, _, _ in prepared.lines])
    for kind, style, points in prepared.lines:
        colour = look.theme.lines[style.colour]
        figure.add_scatter(
            x=[point.words for point in points],
            y=[_TO_MS * point.seconds for point in points],
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": style.dash},
            marker={"symbol": style.symbol, "size": look.size.marker, "color": colour},
            name=kind,
            cliponaxis=False,
            hovertemplate=f"V = %{{x:,}}<br>%{{y:.3g}} ms<extra>{kind}</extra>",
        )
    all_points = [point for _, _, points in prepared.lines for point in points]
    for axis, values, title in (
        ("xaxis", [float(p.words) for p in all_points], "V: words"),
        ("yaxis", [_TO_MS * p.seconds for p in all_points], "ms per step"),
    ):
        low, high = math.log10(min(values)), math.log10(max(values))
        powers = range(math.floor(low), math.ceil(high) + 1)
        room = 0.05 * max(high - low, 1)
        figure.update_layout(
            {
                axis: {
                    "type": "log",
                    "range": [low - room, high + room],
                    "tickvals": [10.0**power for power in powers],
                    "ticktext": [power_of_ten(power) for power in powers],
                    "title": {"text": title},
                }
            }
        )
    return figure
