"""The unrolled graph of the plain recurrence: its shared W, and edges coloured by the gradient that flows along them.

An edge stands for a forward arrow; its colour and its number are the l2 norm of what flows back along it:

    L_t → y_t  ‖∂L/∂y_t‖        y_t → h_t    ‖W_hyᵀ ∂L/∂y_t‖       h_t → f_W  ‖∂L/∂h_t‖, all of it
    f_W → h_{t−1}  ‖W_hhᵀ δ_t‖      f_W → x_t    ‖W_xhᵀ δ_t‖ = ‖∂L/∂x_t‖      f_W → W    ‖δ_t (h_{t−1}, x_t)ᵀ‖

with δ_t = ∂L/∂a_t (``diagnostics.measures.unrolled``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Json, Origin, SizeName, frame, new_figure, wire
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import ThemeName, gradient_colour
from diagnostics.charts.scale import colour_axis
from diagnostics.charts.series import MEANINGS, SYMBOLS, VALUE, kinds, log10, ratios
from diagnostics.measures.numbers import number
from diagnostics.measures.unrolled import Net, Unrolled, Wiring, asked, fed, unroll
from diagnostics.records import Array

TITLE = "The unrolled graph: one W, and the gradient that flows back through it"
HOW_TO_READ = (
    "Time runs to the right, and every step applies the same f_W: the bar below is the one W that all of them share. "
    "The gradient flows against the arrows, from each loss L down and then back to the left. An edge's colour and "
    "number say how much of it flows there, compared with what arrives at the state of the last answer: amber is as "
    "much, dark is almost nothing, a dotted line with ▽ is exactly 0. A state adds up what comes from its own answer "
    "and what comes back from the step after it; W adds up one contribution from every step."
)
_UNIT_PX = 112
_W, _X, _H, _Y, _L = -1.15, -0.05, 1.0, 2.0, 2.72
"""Heights of the rows: the shared weights, inputs, states, answers, losses."""
_BAR = 0.17
_ROOMY = 5
"""Up to so many steps the numbers of the middle row fit between its nodes; of more they stand above them."""
_STATE_PX, _F_PX = 40, 26


class Edge(NamedTuple):
    """One arrow from (x0, y0) to (x1, y1), forward; ``gradient`` is the l2 norm of what flows back along it."""

    what: str
    """``loss``, ``answer``, ``state``, ``back``, ``input`` or ``weights``."""
    step: int
    """The timestep t, from 1."""
    x0: float
    y0: float
    x1: float
    y1: float
    gradient: float
    ratio: float
    """``gradient`` ÷ the state gradient at the last answer."""
    kind: int
    """VALUE, ZERO, INFINITE or NAN."""
    says: str
    """What flows along it, as a formula in words."""


class Prepared(NamedTuple):
    """The graph: its edges, and what its nodes hold."""

    origin: Origin
    wiring: Wiring
    learned: bool
    edges: tuple[Edge, ...]
    at_loss: float
    """‖∂L/∂h_T‖, which the colours compare with."""
    fed: tuple[bool, ...]
    asked: tuple[bool, ...]
    x: Array
    h: Array
    y: Array
    loss: Array
    highlight: int | None
    """The step that is ringed, from 1."""
    whole: float
    """‖∂L/∂(W_hh, W_xh)‖, of the sum over all steps, ÷ ``at_loss``."""


def prepare(
    net: Net, x: Array, wanted: Array, wiring: Wiring, *, learned: bool = False, highlight: int | None = None
) -> Prepared:
    """Compute every edge; raises ``ValueError`` as ``measures.unrolled.unroll`` does.

    ``learned``: whether the initial state is a parameter like the weights; ``highlight``: a step to ring, from 1.
    """
    found = unroll(net, x, wanted, wiring)
    T = len(x)
    at_loss = float(np.linalg.norm(found.grad_h[T]))
    caption = (
        f"{wiring}, T = {T}, H = {len(net.h_0)} · l2 norm of the gradient along each edge ÷ that at the state of the "
        f"last answer, ‖∂L/∂h<sub>{T}</sub>‖ = {number(at_loss)} · exact, one sequence, no clipping"
    )
    facts: dict[str, Json] = {
        "wiring": wiring,
        "T": T,
        "H": len(net.h_0),
        "at_loss": at_loss,
        "initial_state": "learned" if learned else "zero",
        "unit": "ratio of l2 norms",
        "reduction": "one sequence",
        "clip": "pre-clip",
    }
    return Prepared(
        origin=Origin("unrolled", (), caption, facts),
        wiring=wiring,
        learned=learned,
        edges=tuple(_edges(found, wiring, at_loss)),
        at_loss=at_loss,
        fed=tuple(bool(value) for value in fed(wiring, T)),
        asked=tuple(bool(value) for value in asked(wiring, T)),
        x=x,
        h=found.h,
        y=found.y,
        loss=found.loss,
        highlight=highlight,
        whole=_ratio(float(np.hypot(np.linalg.norm(found.of("w_hh")), np.linalg.norm(found.of("w_xh")))), at_loss),
    )


def _edges(found: Unrolled, wiring: Wiring, at_loss: float) -> list[Edge]:
    edges = []
    T = len(found.y)
    reads, answers = fed(wiring, T), asked(wiring, T)

    def add(what: str, t: int, ends: tuple[float, float, float, float], gradient: Array, says: str) -> None:
        size = float(np.linalg.norm(gradient))
        edges.append(Edge(what, t, *ends, size, _ratio(size, at_loss), int(kinds(np.array([size]))[0]), says))

    for t in range(1, T + 1):
        i, f = t - 1, t - 0.5
        if answers[i]:
            add("loss", t, (t, _Y, t, _L), found.grad_y[i], f"∂L/∂y{_low(t)}")
            add(
                "answer", t, (t, _H, t, _Y), found.direct[i], f"W_hyᵀ ∂L/∂y{_low(t)}, to h{_low(t)} from its own answer"
            )
        add("state", t, (f, _H, t, _H), found.grad_h[t], f"∂L/∂h{_low(t)}, all that arrives at h{_low(t)}")
        add("back", t, (t - 1, _H, f, _H), found.back[i], f"W_hhᵀ δ{_low(t)}, back to h{_low(t - 1)}")
        if reads[i]:
            add("input", t, (f, _X, f, _H), found.grad_x[i], f"W_xhᵀ δ{_low(t)} = ∂L/∂x{_low(t)}")
        both = np.concatenate([found.grad_w_hh[i].ravel(), found.grad_w_xh[i].ravel()])
        add("weights", t, (t - 0.88, _W + _BAR, f, _H), both, f"what step {t} adds to ∂L/∂(W_hh, W_xh)")
    return edges


def _ratio(size: float, at_loss: float) -> float:
    """An exact zero is one whatever it is compared with."""
    return 0.0 if size == 0 else float(ratios(np.array([size]), at_loss)[0])


def _low(t: int) -> str:
    return str(t).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    T = len(prepared.y)
    states = [(edge.step, edge) for edge in prepared.edges if edge.what == "state"]
    said = [f"at h {step} arrives {_said(edge)}" for step, edge in reversed(states)]
    first = next(edge for edge in prepared.edges if edge.what == "back" and edge.step == 1)
    kind = "learned" if prepared.learned else "zero"
    return spoken(
        [
            plain(TITLE),
            plain(prepared.origin.caption),
            f"Of the gradient at h {T}, {'; '.join(said)}; at the {kind} initial state arrives {_said(first)}",
            f"The shared W receives a gradient from every step, added up {number(prepared.whole)}",
        ]
    )


def _said(edge: Edge) -> str:
    return (
        number(edge.ratio)
        if edge.kind == VALUE and np.isfinite(edge.ratio)
        else MEANINGS.get(edge.kind, "nothing to compare with")
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw inputs below, states in a row, answers above, and the shared weights as one bar under all of them."""
    look = frame(theme, size)
    T = len(prepared.y)
    figure = new_figure(look, prepared.origin, TITLE, _UNIT_PX * 4.25)
    _weights_bar(figure, look, prepared)
    for edge in prepared.edges:
        _line(figure, look, edge)
    _marks(figure, look, prepared)
    _nodes(figure, look, prepared)
    figure.update_xaxes(visible=False, range=[-0.55, T + 0.55], fixedrange=True)
    figure.update_yaxes(visible=False, range=[_W - 0.32, _L + 0.35], fixedrange=True)
    figure.update_layout(
        showlegend=False,
        dragmode=False,
        coloraxis=colour_axis(look),
        margin={"l": look.px(12), "r": look.px(12), "b": look.px(66)},
    )
    return figure


def _weights_bar(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    T = len(prepared.y)
    figure.add_shape(
        type="rect",
        x0=0.02,
        x1=T - 0.3,
        y0=_W - _BAR,
        y1=_W + _BAR,
        fillcolor=look.theme.rail,
        line={"color": look.theme.axis, "width": look.size.thin},
        layer="below",
    )
    figure.add_annotation(
        text=f"<b>W</b> = (W_hh, W_xh), the same at every step: its gradient is the sum of these {T}, "
        f"{number(prepared.whole)}"
        if T > 2
        else "<b>W</b> = (W_hh, W_xh), shared",
        x=(T - 0.28) / 2,
        y=_W,
        font={"size": look.size.small},
    )


def _line(figure: go.Figure, look: Frame, edge: Edge) -> None:
    drawable = edge.kind == VALUE and bool(np.isfinite(edge.ratio))
    thick = 0.7 if edge.what == "weights" else 1.6
    colour = gradient_colour(float(log10(np.array([edge.ratio]))[0])) if drawable else look.theme.axis
    figure.add_shape(
        type="line",
        x0=edge.x0,
        y0=edge.y0,
        x1=edge.x1,
        y1=edge.y1,
        layer="below",
        line={
            "color": colour,
            "width": look.size.line * (thick if drawable else 0.6),
            "dash": "solid" if drawable else "dot",
        },
    )


def _marks(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """An arrow head on each edge, forward: the place to point at, with its number beside it."""
    for drawable in (True, False):
        edges = [e for e in prepared.edges if (e.kind == VALUE and bool(np.isfinite(e.ratio))) == drawable]
        if not edges:
            continue
        places = np.array([_place(edge) for edge in edges])
        fill = (
            {"color": wire(log10(np.array([edge.ratio for edge in edges]))), "coloraxis": "coloraxis"}
            if drawable
            else {"color": look.theme.no_value}
        )
        figure.add_scatter(
            x=wire(places[:, 0]),
            y=wire(places[:, 1]),
            mode="markers",
            marker={
                "symbol": ["triangle-right" if edge.what in _ALONG else "triangle-up" for edge in edges],
                "size": 1.4 * look.size.marker,
                "line": {"color": look.theme.axis, "width": 1},
                **fill,
            },
            customdata=np.array([[edge.gradient, edge.ratio] for edge in edges]),
            hovertext=[edge.says for edge in edges],
            hovertemplate=(
                "%{hovertext}<br>%{customdata[0]:.4g} (l2)<br>%{customdata[1]:.3g} of the gradient at the last answer"
                "<extra></extra>"
            ),
        )
    above = 0.13 if len(prepared.y) <= _ROOMY else 0.24
    for edge in prepared.edges:
        x, y = _place(edge)
        along = edge.what in _ALONG
        figure.add_annotation(
            text=_text(edge),
            x=x,
            y=y + above if along else y,
            xanchor="center" if along else "left",
            yanchor="bottom" if along else "middle",
            xshift=0 if along else look.px(8),
            font={"size": look.size.small},
        )


_ALONG = ("state", "back")
"""The edges along the row of states; all others go up."""


def _place(edge: Edge) -> tuple[float, float]:
    along = {"weights": 0.25, "input": 0.45, "back": 0.53, "state": 0.42}.get(edge.what, 0.5)
    return edge.x0 + along * (edge.x1 - edge.x0), edge.y0 + along * (edge.y1 - edge.y0)


def _text(edge: Edge) -> str:
    if edge.kind != VALUE:
        return f"{SYMBOLS[edge.kind]} {'0' if edge.gradient == 0 else ''}".rstrip()
    return number(edge.ratio) if np.isfinite(edge.ratio) else number(edge.gradient)


def _nodes(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    T = len(prepared.y)
    steps = range(1, T + 1)
    f, read = [t - 0.5 for t in steps], [t for t in steps if prepared.fed[t - 1]]
    said = [t for t in steps if prepared.asked[t - 1]]
    begin = "learned" if prepared.learned else "= 0" if not prepared.h[0].any() else "given"
    rings = [look.size.line * 1.3 if t == prepared.highlight else look.size.thin for t in steps]
    _node(figure, look, f, [_H] * T, ["f"] * T, _F_PX, "square", rings,
          [f"f_W at step {t}: the same W as at every other" for t in steps])  # fmt: skip
    states = [f"h{_low(t)} = {_vector(prepared.h[t])}" for t in range(T + 1)]
    inner = [look.size.line * 1.3 if prepared.learned else look.size.thin, *rings]
    _node(figure, look, list(range(T + 1)), [_H] * (T + 1), [f"h{_low(t)}" for t in range(T + 1)], _STATE_PX, "circle",
          inner, states)  # fmt: skip
    _node(figure, look, [t - 0.5 for t in read], [_X] * len(read), [f"x{_low(t)}" for t in read], _STATE_PX, "circle",
          [look.size.thin] * len(read), [f"x{_low(t)} = {_vector(prepared.x[t - 1])}" for t in read])  # fmt: skip
    _node(figure, look, said, [_Y] * len(said), [f"y{_low(t)}" for t in said], _STATE_PX, "circle",
          [look.size.thin] * len(said), [f"y{_low(t)} = {_vector(prepared.y[t - 1])}" for t in said])  # fmt: skip
    for t in said:
        figure.add_annotation(
            text=f"L{_low(t)} = {number(float(prepared.loss[t - 1]))}", x=t, y=_L + 0.14, font={"size": look.size.small}
        )
    figure.add_annotation(
        text=f"h₀ {begin}", x=0, y=_H - 0.36, font={"size": look.size.small, "color": look.theme.muted}
    )


def _node(
    figure: go.Figure, look: Frame, x: Sequence[float], y: Sequence[float], text: Sequence[str], px: int, symbol: str,
    ring: Sequence[float], says: Sequence[str],
) -> None:  # fmt: skip
    if not x:
        return
    figure.add_scatter(
        x=list(x),
        y=list(y),
        mode="markers+text",
        marker={
            "symbol": symbol,
            "size": look.px(px),
            "color": look.theme.plot,
            "opacity": 1,
            "line": {"color": look.theme.mark, "width": list(ring)},
        },
        text=[f"<b>{one}</b>" for one in text],
        textposition="middle center",
        textfont={"size": look.size.text, "color": look.theme.text},
        hovertext=list(says),
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _vector(values: Array) -> str:
    return f"({', '.join(number(float(value), 3) for value in values)})"
