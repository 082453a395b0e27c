"""Rails: narrow labelled strips beside a log axis for what has no place on it, so that nothing is dropped or moved.

Exact zeros stand as ▽ on a rail below the axis, infinities as ▲ and values that are not a number as ✕ on one above.
A rail is an axis of its own: zooming the values does not turn it into a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, wire
from diagnostics.charts.series import INFINITE, MEANINGS, NAN, ZERO, kinds
from diagnostics.records import Array

MARKS = {ZERO: "triangle-down-open", INFINITE: "triangle-up", NAN: "x-thin-open"}
_HEIGHT, _SPACE = 0.075, 0.012


class Rails(NamedTuple):
    """The places along x of exact zeros, infinities and nan."""

    zeros: Array
    infinities: Array
    nans: Array


def rails_of(x: Array, values: Array) -> Rails:
    """Sort out which values a log axis cannot show; ``x`` and ``values`` have one shape ``[N]``."""
    found = kinds(values)
    return Rails(x[found == ZERO], x[found == INFINITE], x[found == NAN])


def add_rails(figure: go.Figure, look: Frame, runs: Sequence[tuple[str, str, Rails]], hover: str) -> None:
    """Add the rails that are needed to a figure of one plot, shrinking its y axis to make room.

    ``runs`` has (label, colour, rails) per run; where several share a rail, each has a row of its own on it.
    """
    below = {kind: _rows(runs, kind) for kind in (ZERO,)}
    above = {kind: _rows(runs, kind) for kind in (INFINITE, NAN)}
    low = _HEIGHT + _SPACE if below[ZERO] else 0.0
    used = [kind for kind in above if above[kind]]
    high = 1.0 - len(used) * (_HEIGHT + _SPACE)
    figure.update_layout(yaxis={"domain": [low, high]})
    if below[ZERO]:
        _rail(figure, look, 2, (0.0, _HEIGHT), ZERO, below[ZERO], hover)
        figure.update_layout(xaxis={"anchor": "y2"})
    for i, kind in enumerate(used):
        bottom = high + _SPACE + i * (_HEIGHT + _SPACE)
        _rail(figure, look, 3 + i, (bottom, bottom + _HEIGHT), kind, above[kind], hover)


def _rows(runs: Sequence[tuple[str, str, Rails]], kind: int) -> list[tuple[str, str, Array]]:
    index = {ZERO: 0, INFINITE: 1, NAN: 2}[kind]
    return [(label, colour, rails[index]) for label, colour, rails in runs if len(rails[index])]


def _rail(
    figure: go.Figure,
    look: Frame,
    axis: int,
    domain: tuple[float, float],
    kind: int,
    rows: Sequence[tuple[str, str, Array]],
    hover: str,
) -> None:
    for i, (label, colour, x) in enumerate(rows):
        figure.add_scatter(
            x=wire(x),
            y=np.full(len(x), (i + 0.5) / len(rows), dtype=np.float32),
            yaxis=f"y{axis}",
            mode="markers",
            marker={
                "symbol": MARKS[kind],
                "size": max(look.size.marker - 1 - len(rows) // 3, 5),
                "color": colour,
                "line": {"width": look.size.thin + 0.4, "color": colour},
            },
            name=f"{label}: {MEANINGS[kind]}",
            legendgroup=label,
            showlegend=False,
            hovertemplate=f"{hover}: {MEANINGS[kind]}<extra>{label}</extra>",
        )
    words = "nan" if kind == NAN else MEANINGS[kind]
    figure.update_layout({f"yaxis{axis}": rail_axis(domain, words, anchor="x")})
    add_ground(figure, look, domain, xref="paper")


def rail_axis(domain: tuple[float, float], words: str, anchor: str) -> dict[str, object]:
    """Return the y axis of a rail: no values, no zoom, its words where the ticks would be."""
    return {
        "domain": list(domain),
        "range": [0, 1],
        "fixedrange": True,
        "tickvals": [0.5],
        "ticktext": [words],
        "ticks": "",
        "showgrid": False,
        "showline": False,
        "anchor": anchor,
    }


def mark_cells(figure: go.Figure, look: Frame, x: Array, y: Array, kind: int, name: str) -> None:
    """Mark the cells of a map that have no place in its colours, with ``name`` in the legend."""
    figure.add_scatter(
        x=wire(x),
        y=wire(y),
        mode="markers",
        marker={
            "symbol": MARKS[kind],
            "size": 0.75 * look.size.marker,
            "color": look.theme.text,
            "line": {"width": look.size.thin, "color": look.theme.text},
        },
        name=name,
        showlegend=True,
        hoverinfo="skip",
    )


def add_ground(figure: go.Figure, look: Frame, domain: tuple[float, float], xref: str) -> None:
    """Shade the ground of a rail over the whole width of ``xref``."""
    figure.add_shape(
        type="rect",
        xref=xref,
        yref="paper",
        x0=0,
        x1=1,
        y0=domain[0],
        y1=domain[1],
        fillcolor=look.theme.rail,
        line={"width": 0},
        layer="below",
    )
