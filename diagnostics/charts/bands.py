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
    log: bool = False,
) -> None:
    """Fill from the least to the greatest; ``group`` is the legend's."""
    for piece in stretches(np.isfinite(over.low) & np.isfinite(over.high)):
        figure.add_scatter(
            x=wire(np.concatenate([x[piece], x[piece][::-1]])),
            y=np.concatenate([over.high[piece], over.low[piece][::-1]]),
            xaxis=xaxis,
            yaxis=yaxis,
            mode="none",
            fill="toself",
            fillcolor=faded(colour, ALPHA),
            legendgroup=group,
            showlegend=False,
            hoverinfo="skip",
        )


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
    bottom = np.where(lower, low, 10.0 ** (lowest - 30))
    for piece in stretches(upper & ((low == 0) | lower)):
        figure.add_scatter(
            x=wire(np.concatenate([x[piece], x[piece][::-1]])),
            y=np.concatenate([high[piece], bottom[piece][::-1]]),
            xaxis=f"x{axis}" if axis else None,
            yaxis=f"y{axis}" if axis else None,
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
