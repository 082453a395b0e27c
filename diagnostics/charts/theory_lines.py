"""One plot of ``theory``: the measured profile, the lines of theory, and each one's name beside its end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_log_band
from diagnostics.charts.frame import Frame
from diagnostics.charts.inspected_seeds import hovers
from diagnostics.charts.series import VALUE, kinds
from diagnostics.charts.spread import spread
from diagnostics.measures.numbers import number, rate
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.seeds import Envelope, Spread
from diagnostics.records import Array

FLOOR, CEILING = -300, 300
"""The decades that are drawn at all: beyond them a line has left every axis, and float64 ends."""

LOOKS = {
    "bound": (1, "dash"),
    "radius": (3, "dashdot"),
    "decay": (2, "dot"),
    "lyapunov": (6, "longdash"),
}
"""Colour (in ``Theme.lines``) and dash of each line of theory; the measured profile is a thick solid one."""


class Line(NamedTuple):
    """A line of theory: ``factor`` to the power of the lag, 1 at the loss."""

    key: str
    name: str
    factor: float
    log10: Array
    """[K + 1] by lag; −inf where it is exactly 0."""
    over: Spread
    """What the factor spans over the seeds; of a single run it is one number."""


class Panel(NamedTuple):
    """One inspection, or several seeds: its measured profile and what theory says of it; arrays ``[K + 1]`` by lag."""

    label: str
    measured: Array
    """Median over the samples ÷ its value at the loss; nan, inf and 0 are kept."""
    gradient: Array
    """The median before division, l2."""
    lines: tuple[Line, ...]
    sentence: str
    """Why there is no bound, or which side of 1 it stands on; below the top layer also what the lines leave out."""
    word: str
    distance: int
    """How many steps back the word is that the answer depends on; −1 where there is none."""
    over: Envelope | None
    """Of several seeds: what ``measured`` spans, which is the median."""
    left_out: str
    """Which of the seeds are not among them, and why; "" where all are."""


def plain(text: str) -> str:
    """Return a name of a line without its markup."""
    for markup in ("<sub>", "</sub>", "</sup>"):
        text = text.replace(markup, "")
    return text.replace("<sup>", "^")


def draw_curves(figure: go.Figure, look: Frame, panel: Panel, axis: str, lowest: int) -> None:
    """Draw the lines of theory, and the measured profile over them; ``lowest`` is the axis's lowest decade."""
    lags = np.arange(len(panel.measured))
    if panel.over is not None:
        edges = panel.over.low, panel.over.high
        add_log_band(figure, lags, edges, lowest, look.theme.lines[0], panel.label, axis=axis)
    for line in panel.lines:
        colour, dash = LOOKS[line.key]
        inside = (line.log10 >= FLOOR) & (line.log10 <= CEILING)
        figure.add_scatter(
            x=lags[inside],
            y=10.0 ** line.log10[inside],
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="lines",
            line={"color": look.theme.lines[colour], "width": 0.8 * look.size.line, "dash": dash},
            name=plain(line.name),
            showlegend=False,
            hovertemplate=(
                f"%{{x}} steps back: %{{y:.2e}}<br>× {span(line.over, rate)} a step<extra>{plain(line.name)}</extra>"
            ),
        )
    drawable = kinds(panel.measured) == VALUE
    figure.add_scatter(
        x=lags,
        y=np.where(drawable, panel.measured, np.nan),
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        mode="lines" if drawable.sum() > 1 else "markers",
        line={"color": look.theme.lines[0], "width": 1.35 * look.size.line},
        name="measured",
        showlegend=False,
        connectgaps=False,
        customdata=panel.gradient,
        text=None if panel.over is None else hovers(panel.over),
        hovertemplate=(
            "%{x} steps back<br>%{y:.2e} of the gradient at the loss<br>%{customdata:.2e} (l2, pre-clip)"
            f"{'' if panel.over is None else '<br>ratio: %{text}'}<extra>measured</extra>"
        ),
    )


def draw_names(
    figure: go.Figure,
    look: Frame,
    panel: Panel,
    axis: str,
    decades: tuple[int, int],
    high_px: float,
    longest: int,
) -> None:
    """Write each line's name beside its far end, moved apart where ends are close, with a thin line to the end."""
    low, high = decades
    drawn = kinds(panel.measured) == VALUE
    names = [
        (line.log10[-1], f"{line.name}", f"× {span(line.over, rate)} a step", LOOKS[line.key][0])
        for line in panel.lines
    ]
    if drawn.any():
        end = float(np.log10(panel.measured[np.flatnonzero(drawn)[-1]]))
        names.append((end, "<b>measured</b>", number(10.0**end), 0))
    names.sort(key=lambda name: name[0])
    need = 1.3 * 2 * look.size.small / (look.size.scale * high_px) * (high - low)  # two lines of text, in decades
    heights = spread([min(max(at, low), high) for at, *_ in names], need, low + need / 2, high - need / 2)
    x_end = len(panel.measured) - 1
    for (at, name, value, colour), height in zip(names, heights, strict=True):
        beyond = "▼ " if at < low else "▲ " if at > high else ""
        ink = look.theme.lines[colour]
        figure.add_shape(
            type="line",
            x0=x_end,
            x1=x_end + 0.06 * longest,
            xref=f"x{axis}",
            y0=10.0 ** min(max(at, low), high),
            y1=10.0**height,
            yref=f"y{axis}",
            line={"color": ink, "width": look.size.thin},
        )
        figure.add_annotation(
            text=f"{beyond}{name}<br>{value}",
            x=x_end + 0.07 * longest,
            xref=f"x{axis}",
            xanchor="right",
            y=height,
            yref=f"y{axis}",
            yanchor="middle",
            align="right",
            font={"color": ink, "size": look.size.small},
        )
