"""The cliff: the loss of one unit over its two parameters, in three dimensions and from above, with descents on it.

Source: Pascanu, Mikolov and Bengio 2013, figure 6; figure 10.17 in Goodfellow, Bengio and Courville, "Deep Learning".
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Json, Origin, SizeName, frame, new_figure, wire
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.measures.cliff import Descent, descend, growth_at_half, loss, wall
from diagnostics.measures.numbers import number
from diagnostics.records import Array

TITLE = "The cliff, from above"
SURFACE_TITLE = "The cliff"
HOW_TO_READ = (
    "The ground is the loss of a network of one unit over its weight w and its bias b. Along the "
    "wall it rises at once, and the gradient there is enormous: one step of plain descent is thrown far off. Clipped "
    "by norm, the step keeps its direction and not its length. Click anywhere, or drag the ring, to start from there."
)
W, B = (3.8, 6.4), (-3.6, 0.4)
"""What the picture shows at least of w and of b."""
_POINTS = 141
_PLOT_PX, _SURFACE_PX = 430, 480
_GROUNDS = {"light": ("#FBFCFE", "#C9D0DB", "#8C96A6"), "dark": ("#141922", "#39414F", "#6A7484")}
"""Low, middle and high: greys, which any colour of a path is told from."""


class Prepared(NamedTuple):
    """The ground, ``loss`` [len(b), len(w)], and the two descents from one start."""

    origin: Origin
    w: Array
    b: Array
    loss: Array
    raw: Descent
    clipped: Descent
    wall: Array
    """``[n, 2]``: w and b along the line where the state stays at ½, nan where a change of it does not grow there."""


def prepare(w: float, b: float, *, step_size: float, threshold: float, T: int, updates: int) -> Prepared:
    """Compute the ground and both descents; raises ``ValueError`` as ``measures.cliff.descend`` does."""
    raw, clipped = descend(w, b, step_size=step_size, threshold=threshold, T=T, updates=updates)
    ws, bs = _span(W, w), _span(B, b)
    stands = np.abs([growth_at_half(float(value)) for value in ws]) > 1
    line = np.stack([ws, wall(ws)], axis=-1)
    caption = (
        f"E(w, b) = (σ(x_T) − 0.7)², x_t = w σ(x_{{t−1}}) + b, x_0 = ½, T = {T} · {updates} updates of step size "
        f"{number(step_size)} from w = {number(w, 3)}, b = {number(b, 3)} · clipped by norm at {number(threshold)}"
    )
    facts: dict[str, Json] = {
        "start": [w, b],
        "step_size": step_size,
        "threshold": threshold,
        "T": T,
        "updates": updates,
        "unit": "loss",
        "clip": "one descent raw, one clipped by norm",
    }
    return Prepared(
        Origin("cliff", (), caption, facts),
        ws,
        bs,
        _ground((ws[0], ws[-1]), (bs[0], bs[-1]), T),
        raw,
        clipped,
        np.where(stands[:, None], line, np.nan),
    )


@lru_cache(maxsize=8)
def _ground(w: tuple[float, float], b: tuple[float, float], T: int) -> Array:
    """The loss over what is shown: the same wherever one starts in it."""
    found = loss(np.linspace(*w, _POINTS)[None, :], np.linspace(*b, _POINTS)[:, None], T)
    found.flags.writeable = False
    return found


def _span(usual: tuple[float, float], start: float) -> Array:
    """What is shown of one parameter: the usual, and so much more that the start is well inside."""
    low, high = min(usual[0], start - 0.5), max(usual[1], start + 0.5)
    return np.linspace(low, high, _POINTS)


def outcome(name: str, descent: Descent) -> str:
    """What became of one descent, in a sentence."""
    update, length = descent.longest
    clipped = f", {descent.clipped} of {len(descent.w) - 1} updates clipped" if np.isfinite(descent.threshold) else ""
    return (
        f"{name}: longest update {number(length)} (update {update}), ends at w = {number(float(descent.w[-1]), 3)}, "
        f"b = {number(float(descent.b[-1]), 3)} with a loss of {number(float(descent.loss[-1]))}{clipped}."
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken(
        [
            TITLE,
            prepared.origin.caption,
            outcome("without clipping", prepared.raw),
            outcome("clipped by norm", prepared.clipped),
        ]
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the ground from above; the ring at the start can be dragged."""
    look = frame(theme, size)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, _NAMES)
    figure.add_heatmap(
        x=wire(prepared.w),
        y=wire(prepared.b),
        z=wire(prepared.loss),
        colorscale=_colours(look),
        zmin=0,
        zmax=0.49,
        colorbar={
            "title": {"text": "loss", "side": "right"},
            "thickness": look.px(12),
            "outlinewidth": 0,
            "tickfont": {"size": look.size.small},
        },
        hovertemplate="w %{x:.3f}<br>b %{y:.3f}<br>loss %{z:.4f}<extra></extra>",
    )
    if np.isfinite(prepared.wall).any():
        figure.add_scatter(
            x=wire(prepared.wall[:, 0]),
            y=wire(prepared.wall[:, 1]),
            mode="lines",
            line={"color": look.theme.text, "width": look.size.thin, "dash": "dot"},
            name=_NAMES[2],
            hoverinfo="skip",
        )
    for name, descent, colour, symbol in _paths(look, prepared):
        figure.add_scatter(
            x=wire(descent.w),
            y=wire(descent.b),
            mode="lines+markers",
            line={"color": colour, "width": look.size.line},
            marker={
                "symbol": symbol,
                "size": 0.7 * look.size.marker,
                "color": colour,
            },
            name=name,
            customdata=np.stack([np.arange(len(descent.w)), descent.loss, descent.norm], axis=-1),
            hovertemplate=(
                "after update %{customdata[0]:.0f}<br>w %{x:.3f}, b %{y:.3f}<br>loss %{customdata[1]:.3g}"
                f"<br>gradient %{{customdata[2]:.3g}}, before clipping<extra>{name}</extra>"
            ),
        )
    _start(figure, look, prepared)
    figure.update_xaxes(title_text="weight w", range=[prepared.w[0], prepared.w[-1]], showgrid=False)
    figure.update_yaxes(title_text="bias b", range=[prepared.b[0], prepared.b[-1]], showgrid=False)
    return figure


_NAMES = ("without clipping", "clipped by norm", "where the wall stands: b = ½ − w σ(½)")


def _paths(look: Frame, prepared: Prepared) -> tuple[tuple[str, Descent, str, str], ...]:
    return (
        (_NAMES[0], prepared.raw, look.theme.lines[1], "square"),
        (_NAMES[1], prepared.clipped, look.theme.lines[0], "circle"),
    )


def _colours(look: Frame) -> list[tuple[float, str]]:
    low, middle, high = _GROUNDS[look.theme.name]
    return [(0.0, low), (0.5, middle), (1.0, high)]


def _start(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """A ring in pixels, so that it is round at any zoom; the page lets it be dragged."""
    radius = look.px(9)
    figure.add_shape(
        type="circle",
        name="start",
        xsizemode="pixel",
        ysizemode="pixel",
        xanchor=float(prepared.raw.w[0]),
        yanchor=float(prepared.raw.b[0]),
        x0=-radius,
        x1=radius,
        y0=-radius,
        y1=radius,
        line={"color": look.theme.text, "width": look.size.line},
        fillcolor="rgba(127,127,127,0.15)",
    )
    figure.update_layout(editrevision=f"{prepared.raw.w[0]} {prepared.raw.b[0]}")


def draw_surface(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the ground in three dimensions, with both descents on it as far as it reaches."""
    look = frame(theme, size)
    # A scene is as wide as it is high and half as much again, and larger text makes no figure wider.
    figure = new_figure(look, prepared.origin, SURFACE_TITLE, _SURFACE_PX / look.size.scale, _NAMES[:2])
    figure.add_surface(
        x=wire(prepared.w),
        y=wire(prepared.b),
        z=wire(prepared.loss),
        colorscale=_colours(look),
        cmin=0,
        cmax=0.49,
        showscale=False,
        lighting={"ambient": 0.72, "diffuse": 0.55, "specular": 0.05, "roughness": 0.9},
        hovertemplate="w %{x:.3f}<br>b %{y:.3f}<br>loss %{z:.4f}<extra></extra>",
    )
    for name, descent, colour, symbol in _paths(look, prepared):
        inside = _inside(prepared, descent)
        figure.add_scatter3d(
            x=wire(np.where(inside, descent.w, np.nan)),
            y=wire(np.where(inside, descent.b, np.nan)),
            z=wire(descent.loss),
            mode="lines+markers",
            line={"color": colour, "width": 2.2 * look.size.line},
            marker={"symbol": symbol, "size": 0.5 * look.size.marker, "color": colour},
            name=name,
            hovertemplate=f"w %{{x:.3f}}<br>b %{{y:.3f}}<br>loss %{{z:.4f}}<extra>{name}</extra>",
        )
    text_px = round(look.size.small / look.size.scale**0.5)
    axis = {
        "gridcolor": look.theme.grid,
        "color": look.theme.muted,
        "showbackground": False,
        "tickfont": {"size": text_px},
        "nticks": 5,
    }
    title = {"font": {"size": text_px}}
    figure.layout.scene = {
        "xaxis": {**axis, "title": {**title, "text": "w"}, "range": [prepared.w[0], prepared.w[-1]]},
        "yaxis": {**axis, "title": {**title, "text": "b"}, "range": [prepared.b[0], prepared.b[-1]]},
        "zaxis": {**axis, "title": {**title, "text": "loss"}, "range": [0, 0.5]},
        "aspectratio": {"x": 1.4, "y": 1.4, "z": 0.75},
        "camera": {"eye": {"x": 1.65, "y": 1.6, "z": 0.88}, "center": {"x": 0, "y": 0, "z": -0.2}},
    }
    # No axis stands beside the plotting area: all of its width is the scene's.
    figure.layout.margin.l = figure.layout.margin.r = 0
    return figure


def _inside(prepared: Prepared, descent: Descent) -> Array:
    return np.asarray(
        (descent.w >= prepared.w[0])
        & (descent.w <= prepared.w[-1])
        & (descent.b >= prepared.b[0])
        & (descent.b <= prepared.b[-1])
    )
