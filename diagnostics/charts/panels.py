"""What figures of several plots put into each of them: rails for what has no place on the axis, and marked places."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame
from diagnostics.charts.rails import MARKS, add_ground, rail_axis
from diagnostics.charts.series import MEANINGS, NAN
from diagnostics.records import Array


def add_rail(
    figure: go.Figure,
    look: Frame,
    x: Array,
    kind: int,
    *,
    axis: str,
    own: str,
    domain: tuple[float, float],
    hover: str,
    words: str = "",
) -> None:
    """Mark places ``x`` of exact zeros, infinities or nan on a rail along ``domain`` of the paper's height.

    ``axis`` is the plot's number ("" for the first, "2", …) and ``own`` that of the rail's own y axis. ``words`` stand
    at its left where they are not the kind's own.
    """
    colour = look.theme.lines[0]
    meaning = words or MEANINGS[kind]
    figure.add_scatter(
        x=x,
        y=np.full(len(x), 0.5),
        xaxis=f"x{axis}",
        yaxis=f"y{own}",
        mode="markers",
        marker={
            "symbol": MARKS[kind],
            "size": look.size.marker - 1,
            "color": colour,
            "line": {"width": look.size.thin + 0.4, "color": colour},
        },
        name=meaning,
        showlegend=False,
        hovertemplate=f"{hover}: {meaning}<extra></extra>",
    )
    title = words or ("nan" if kind == NAN else meaning)
    figure.update_layout({f"yaxis{own}": rail_axis(domain, title, anchor=f"x{axis}")})
    add_ground(figure, look, domain, xref=f"x{axis} domain")


def add_place(figure: go.Figure, look: Frame, x: float, axis: str, text: str, text_x: float | None = None) -> None:
    """Mark a place on the x axis of one plot with a dotted line, and its name above.

    ``text_x`` is where the name stands in the axis's own measure, which on a log axis is the logarithm.
    """
    figure.add_shape(
        type="line",
        x0=x,
        x1=x,
        xref=f"x{axis}",
        y0=0,
        y1=1,
        yref=f"y{axis} domain",
        line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
    )
    figure.add_annotation(
        text=text,
        x=x if text_x is None else text_x,
        xref=f"x{axis}",
        y=1,
        yref=f"y{axis} domain",
        yanchor="bottom",
        xanchor="center",
    )
