"""Bands: the range between two curves, filled, with a gap wherever either has no value."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import wire
from diagnostics.charts.palette import faded
from diagnostics.charts.series import VALUE, kinds
from diagnostics.measures.seeds import Envelope
from diagnostics.records import Array

ALPHA, _FAINT = 0.16, 0.09


def alpha_of(lines: int) -> float:
    """Return how opaque bands are where so many lines have one."""
    return ALPHA if lines <= 4 else _FAINT


def add_band(
    figure: go.Figure,
    x: Array,
    over: Envelope,
    colour: str,
    group: str,
    yaxis: str,
    xaxis: str = "x",
) -> None:
    """Fill from the least to the greatest; ``group`` is the legend's."""
    fill(figure, x, over.low, over.high, colour, ALPHA, xaxis=xaxis, yaxis=yaxis, group=group)


def add_log_band(
    figure: go.Figure,
    x: Array,
    edges: tuple[Array, Array],
    lowest: int,
    colour: str,
    group: str,
    *,
    alpha: float = ALPHA,
    axis: str = "",
) -> None:
    """Fill between two ``edges``, lower and upper, on a log axis whose lowest decade is ``lowest``.

    A lower edge of exactly 0 lies at minus infinity, so the fill leaves the axis. ``axis`` is the plot's number.
    """
    low, high = edges
    upper, lower = kinds(high) == VALUE, kinds(low) == VALUE
    bottom = np.where(low == 0, 10.0 ** (lowest - 30), np.where(lower, low, np.nan))
    xaxis, yaxis = (f"x{axis}", f"y{axis}") if axis else (None, None)
    fill(figure, x, bottom, np.where(upper, high, np.nan), colour, alpha, xaxis=xaxis, yaxis=yaxis, group=group)


def fill(
    figure: go.Figure,
    x: Array,
    low: Array,
    high: Array,
    colour: str,
    alpha: float,
    *,
    xaxis: str | None,
    yaxis: str | None,
    group: str | None = None,
) -> None:
    """Fill between two curves wherever both are finite, in stretches of two places at least."""
    for piece in stretches(np.isfinite(low) & np.isfinite(high)):
        figure.add_scatter(
            x=wire(np.concatenate([x[piece], x[piece][::-1]])),
            y=np.concatenate([high[piece], low[piece][::-1]]),
            xaxis=xaxis,
            yaxis=yaxis,
            mode="none",
            fill="toself",
            fillcolor=faded(colour, alpha),
            legendgroup=group,
            showlegend=False,
            hoverinfo="skip",
        )


def stretches(present: Array) -> list[slice]:
    """Return the stretches of consecutive True values that are at least two long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(present).astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
