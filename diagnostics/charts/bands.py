"""Bands: the range between two curves, filled, with a gap wherever either has no value."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import wire
from diagnostics.charts.palette import faded
from diagnostics.measures.seeds import Envelope
from diagnostics.records import Array

ALPHA = 0.16


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


def stretches(present: Array) -> list[slice]:
    """Return the stretches of consecutive True values that are at least two long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(present).astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
