"""Activations of units × timesteps as a heatmap: zero-centred colours for what has a sign, shut to open for gates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, wire
from diagnostics.charts.rails import MARKS
from diagnostics.charts.series import INFINITE, MEANINGS, NAN
from diagnostics.measures.numbers import number
from diagnostics.records import Array

_DIVERGING = plotly.colors.diverging.RdBu[::-1]


class Map(NamedTuple):
    """One quantity of one sample, ``[units, columns]``; nan and inf are kept."""

    key: str
    title: str
    values: Array
    limit: float
    """The end of the colours: −limit … limit, or 0 … 1 for gates that lie there."""
    signed: bool


def draw_map(
    figure: go.Figure,
    look: Frame,
    one: Map,
    units: Array,
    timesteps: Array,
    i: int,
    domain: tuple[float, float],
) -> None:
    """Draw one quantity as plot ``i`` of a figure whose x axis all share, with a bar of its own colours beside it."""
    axis = str(i + 1) if i else ""
    figure.add_heatmap(
        z=wire(one.values),
        x=wire(timesteps),
        y=wire(units),
        yaxis=f"y{axis}",
        zmin=-one.limit if one.signed else 0,
        zmax=one.limit,
        colorscale=_colours(look, one.signed),
        colorbar=_bar(look, one, domain),
        hoverongaps=False,
        hovertemplate=f"unit %{{y}}, timestep %{{x}}<br>{one.title} %{{z:.4f}}<extra></extra>",
        name=one.title,
    )
    _special(figure, look, one, units, timesteps, axis)
    figure.update_layout(
        {
            f"yaxis{axis}": {
                "domain": list(domain),
                "range": [units[-1] + 0.5, -0.5],
                "title": {"text": "unit"},
                "showgrid": False,
                "nticks": 4,
                "anchor": "x",
            }
        }
    )
    figure.add_annotation(
        text=f"<b>{one.title}</b>",
        x=0,
        xref="x domain",
        xanchor="left",
        y=1,
        yref=f"y{axis} domain",
        yanchor="bottom",
        yshift=1,
    )


def _colours(look: Frame, signed: bool) -> list[tuple[float, str]]:
    """Blue below, red above and the page's own ground at 0; for gates from that ground at 0 to full at 1."""
    ground = look.theme.plot
    if signed:
        chosen = [*_DIVERGING[1:5], ground, *_DIVERGING[6:10]]
        if look.theme.name == "dark":  # bright ends on a dark ground
            chosen = ["#B9E0FF", "#62B4F5", "#2A78C2", "#173F6B", ground, "#6B2A1C", "#C2502F", "#F58C62", "#FFD3BC"]
    elif look.theme.name == "dark":
        chosen = [ground, "#1F3B36", "#22745F", "#2FB48C", "#B9F5DF"]
    else:
        chosen = [ground, "#CFE8DF", "#7CC2A8", "#24896A", "#00402F"]
    return [(i / (len(chosen) - 1), colour) for i, colour in enumerate(chosen)]


def _bar(look: Frame, one: Map, domain: tuple[float, float]) -> dict[str, object]:
    ticks = [-one.limit, 0.0, one.limit] if one.signed else [0.0, 0.5, 1.0]
    return {
        "thickness": look.px(10),
        "x": 1.01,
        "xanchor": "left",
        "y": (domain[0] + domain[1]) / 2,
        "yanchor": "middle",
        "len": domain[1] - domain[0],
        "ypad": 0,
        "tickvals": ticks,
        "ticktext": [number(tick) for tick in ticks],
        "tickfont": {"size": look.size.small, "color": look.theme.muted},
        "outlinewidth": 0,
    }


def _special(figure: go.Figure, look: Frame, one: Map, units: Array, timesteps: Array, axis: str) -> None:
    """Mark what is not a finite number on a neutral ground: at most a few hundred marks, the ground everywhere."""
    for kind, there in ((INFINITE, np.isinf(one.values)), (NAN, np.isnan(one.values))):
        if not there.any():
            continue
        figure.add_heatmap(
            z=np.where(there, 1.0, np.nan).astype(np.float32),
            x=wire(timesteps),
            y=wire(units),
            yaxis=f"y{axis}",
            colorscale=[(0, look.theme.no_value), (1, look.theme.no_value)],
            showscale=False,
            hoverongaps=False,
            hovertemplate=f"unit %{{y}}, timestep %{{x}}<br>{one.title} {MEANINGS[kind]}<extra></extra>",
            name=MEANINGS[kind],
        )
        rows, columns = np.nonzero(there)
        kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 200)).round().astype(int))
        figure.add_scatter(
            x=wire(timesteps[columns[kept]]),
            y=wire(units[rows[kept]]),
            yaxis=f"y{axis}",
            mode="markers",
            marker={
                "symbol": MARKS[kind],
                "size": 0.6 * look.size.marker,
                "color": look.theme.text,
                "line": {"width": look.size.thin, "color": look.theme.text},
            },
            showlegend=False,
            hoverinfo="skip",
            name=MEANINGS[kind],
        )
