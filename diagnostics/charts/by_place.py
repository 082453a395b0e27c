"""How often the words of written sentences are right, by their place there, a line for each way of writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.measures.numbers import percent
from diagnostics.records import Array

NOTHING = "There is nothing to count yet: it comes with the weights that a run has kept."
LEAST = 5
"""Places at which fewer sentences have a word are left out: a share of so few says nothing."""
_PLOT_PX = 260
_DASHES, _SYMBOLS = ("solid", "dash", "dot"), ("circle", "square", "diamond")


class Line(NamedTuple):
    """One way of writing; arrays have an entry per place, ``[N]``."""

    label: str
    share: Array
    low: Array
    high: Array
    """Ends of the 95 % interval of the share (Wilson 1927)."""


class Prepared(NamedTuple):
    """All lines, the places from 1 on, and of how many sentences each share is."""

    origin: Origin
    title: str
    places: Array
    counted: Array
    lines: tuple[Line, ...]


def prepare(asked: Array, right: Mapping[str, Array], *, title: str, run_ids: Sequence[str] = ()) -> Prepared:
    """Count ``right`` [U,B] by label where ``asked`` [U,B]; raise ``ValueError`` where the shapes differ."""
    for label, one in right.items():
        if one.shape != asked.shape:
            raise ValueError(f"right must have the shape {asked.shape}, but got {one.shape} for {label!r}")
    counted = asked.sum(axis=1)
    there = np.flatnonzero(counted >= LEAST)
    lines = []
    for label, one in right.items():
        share = (one & asked).sum(axis=1)[there] / counted[there]
        lines.append(Line(safe(label), share, *_wilson(share, counted[there])))
    origin = Origin(
        "by_place",
        tuple(run_ids),
        f"Share of words right by place · {asked.shape[1]} held-out sentences · bars: 95 % interval · "
        "ends of sentences count as words",
        {"unit": "share", "reduction": "mean over sentences", "sentences": int(asked.shape[1])},
    )
    return Prepared(origin, title, there + 1, counted[there], tuple(lines) if len(there) else ())


def _wilson(share: Array, count: Array) -> tuple[Array, Array]:
    """The 95 % score interval of a share of ``count``. Source: Wilson 1927, "Probable inference"."""
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.lines:
        return spoken([prepared.title, NOTHING])
    said = (
        f"{line.label}: {percent(float(line.share[0]))} at place {prepared.places[0]}, "
        f"{percent(float(line.share[-1]))} at place {prepared.places[-1]}"
        for line in prepared.lines
    )
    return spoken([prepared.title, prepared.origin.caption, *said])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a line for each way over the places."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, prepared.title, NOTHING)
    figure = new_figure(look, prepared.origin, prepared.title, _PLOT_PX, [line.label for line in prepared.lines])
    for place, line in enumerate(prepared.lines):
        colour = look.theme.lines[place % len(look.theme.lines)]
        aside = 0.04 * (2 * place - len(prepared.lines) + 1)  # bars beside one another, not upon
        figure.add_scatter(
            x=prepared.places + aside,
            y=line.share,
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": _DASHES[place % 3]},
            marker={"symbol": _SYMBOLS[place % 3], "size": look.size.marker, "color": colour},
            # What rounding leaves of an interval's end at 0 or 1 may be a hair beyond the share itself.
            error_y={
                "array": np.maximum(line.high - line.share, 0),
                "arrayminus": np.maximum(line.share - line.low, 0),
                "thickness": look.size.thin,
                "width": look.size.marker / 2,
            },
            name=line.label,
            cliponaxis=False,
            customdata=np.stack([prepared.places, prepared.counted], axis=1),
            hovertemplate=(
                f"word %{{customdata[0]}}: %{{y:.1%}} of %{{customdata[1]}} sentences<extra>{line.label}</extra>"
            ),
        )
    figure.update_xaxes(
        title_text="place of the word in the German sentence",
        tickvals=prepared.places.tolist(),
        range=[0.5, float(prepared.places[-1]) + 0.5],
        showgrid=False,
    )
    figure.update_yaxes(title_text="words right", range=[-0.03, 1.05], tickformat=".0%")
    return figure
