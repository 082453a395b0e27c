"""Singular values of the state's Jacobian over time, and of products of many over the lag, as bands on log axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import ALPHA, fill
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.inspected import check_layer, informative_word, nothing_in
from diagnostics.charts.inspected_seeds import Seeds, alone, hovers, origin_over
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.panels import add_place, add_rail
from diagnostics.charts.series import INFINITE, NAN, ZERO
from diagnostics.charts.singular_panel import NAMED, QUANTILES, Panel, last_said, panel_of, value_said
from diagnostics.charts.spread import spread
from diagnostics.inspection import Inspection
from diagnostics.measures.numbers import number, power_of_ten, steps
from diagnostics.records import Array

TITLE = "How one step, and many, stretch and shrink the state"
NEEDS = ("jacobian_steps", "singular_values", "product_lags", "product_singular_values")
_PANEL_PX, _SPACE_PX, _RAIL_PX = 230, 74, 22


class Prepared(NamedTuple):
    """Above the Jacobian of one step over t, below products of the last k steps over k."""

    origin: Origin
    steps: Panel
    products: Panel
    size: int
    """S, how many singular values there are at each x."""
    loss_step: int
    informative: int
    """The timestep of the word that the answer depends on; −1 where there is none."""
    word: str
    nothing: str


def prepare(inspection: Inspection | Seeds, layer: int = 0) -> Prepared:
    """Take one layer's singular values, median over the samples, and the quantiles over its S directions.

    Of several seeds the least, the median and the largest over the directions are medians over the seeds, each in a
    band. Raises ``ValueError`` where there is no such layer.
    """
    bundle = alone(inspection)
    first = bundle.first
    for _, one in bundle.members:
        check_layer(one, layer)
    lack = nothing_in(bundle.members, NEEDS)
    state = "(h, c)" if first.kind == "lstm" else "h"
    bands = "least, median and largest" if bundle.several else "bands"
    origin = origin_over(
        "singular_values",
        [bundle],
        f"Singular values of ∂s_t/∂s_(t−1), with s = {state} · median over the samples; {bands} over the directions",
        layer,
        unit="factor",
        reduction="median over the samples; least, quartiles, median and largest over the directions",
        clip="not a gradient of the loss",
    )
    none = Panel(np.empty(0), np.empty((len(QUANTILES), 0)), (-1.0, 1.0))
    word = informative_word(first)
    name, place = word or ("", -1)
    if lack:
        return Prepared(origin, none, none, 0, first.loss_step, place, name, lack)
    with np.errstate(divide="ignore"):
        each = [np.log10(one["singular_values"][layer]) for _, one in bundle.members]
    many = [one["product_singular_values"][layer] for _, one in bundle.members]
    return Prepared(
        origin,
        panel_of(first["jacobian_steps"], each),
        panel_of(first["product_lags"], many),
        each[0].shape[1],
        first.loss_step,
        place,
        name,
        "",
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if prepared.nothing:
        return spoken([TITLE, prepared.nothing])
    said = []
    for panel, what in ((prepared.steps, "step"), (prepared.products, "product")):
        if not panel.x.size:
            continue
        least, mid, most = (last_said(panel, index) for index in (0, 2, 4))
        where = f"at timestep {panel.x[-1]}" if what == "step" else f"of the product over {steps(float(panel.x[-1]))}"
        said.append(f"{where}: largest {most}, median {mid}, least {least}")
    return spoken([TITLE, prepared.origin.caption, *(words[0].upper() + words[1:] for words in said)])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw time to the right in both: above the timestep, below the number of steps back, the loss at its right."""
    look = frame(theme, size)
    if prepared.nothing:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    plot_px = 2 * _PANEL_PX + _SPACE_PX
    figure = new_figure(look, prepared.origin, TITLE, plot_px, above_px=26)
    low = _PANEL_PX / plot_px
    _draw(figure, look, prepared.steps, "", (1 - low, 1.0), plot_px, "timestep %{x}")
    _draw(figure, look, prepared.products, "2", (0.0, low), plot_px, "the last %{x} steps")
    figure.update_layout(
        xaxis={"title": {"text": "timestep t"}, "anchor": "free", "position": 1 - low},
        yaxis={"title": {"text": "of one step"}},
        xaxis2={
            "title": {"text": "steps k that the product goes back from the loss"},
            "type": "log",
            "anchor": "free",
            "position": 0,
            "tickvals": prepared.products.x.tolist(),
            "minor": {"ticks": ""},
        },
        yaxis2={"title": {"text": "of the product"}},
    )
    if not prepared.products.x.size:
        figure.add_annotation(
            text="The loss is at the first step: there is no product.",
            x=0.5,
            xref="x2 domain",
            y=0.5,
            yref="y2 domain",
            font={"color": look.theme.muted},
        )
    _marks(figure, look, prepared)
    return figure


def _draw(
    figure: go.Figure, look: Frame, panel: Panel, axis: str, domain: tuple[float, float], plot_px: float, hover: str
) -> None:
    kinds_here: dict[int, Array] = {
        ZERO: np.atleast_1d(np.isneginf(panel.log10).any(axis=0)),
        INFINITE: np.atleast_1d(np.isposinf(panel.log10).any(axis=0)),
        NAN: np.atleast_1d(np.isnan(panel.log10).any(axis=0)),
    }
    odd = [kind for kind, there in kinds_here.items() if there.any()]
    rail = _RAIL_PX / plot_px
    bottom = domain[0] + len(odd) * rail
    figure.update_layout(
        {
            f"xaxis{axis}": {"domain": [0, 1], "range": _span(panel.x, bool(axis))},
            f"yaxis{axis}": {
                "domain": [bottom, domain[1]],
                "range": list(panel.decades),
                "anchor": f"x{axis}",
                **_decade_ticks(panel.decades),
            },
        }
    )
    _bands(figure, look, panel, axis)
    _lines(figure, look, panel, axis, hover)
    share = 1.35 * look.size.small / (look.size.scale * plot_px * (domain[1] - bottom))
    _names(figure, look, panel, axis, share * (panel.decades[1] - panel.decades[0]))
    for row, kind in enumerate(odd):
        at = domain[0] + (len(odd) - 1 - row) * rail
        add_rail(
            figure,
            look,
            panel.x[kinds_here[kind]],
            kind,
            axis=axis,
            own=f"{axis or '1'}{row}",
            domain=(at, at + 0.85 * rail),
            hover=f"{hover}, at least one direction",
        )


def _span(x: Array, lags: bool) -> list[float]:
    """The range of an axis of timesteps, or of lags on a reversed log axis with room for names at its far end."""
    if not x.size:
        return [1, 0]
    if lags:
        high = float(np.log10(x[-1]))
        return [high + 0.14 * max(high, 0.3), -0.04 * max(high, 0.3)]
    room = 0.01 * float(x[-1] - x[0]) or 0.5
    return [float(x[0]) - room, float(x[-1]) + room]


def _decade_ticks(decades: tuple[float, float]) -> dict[str, object]:
    """Ticks at powers of ten on an axis of log10, at halves and doubles of 1 where it spans less than two decades."""
    low, high = decades
    if high - low < 2:
        values = [v for v in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= np.log10(v) <= high]
        return {"tickvals": [float(np.log10(v)) for v in values], "ticktext": [number(v) for v in values]}
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10**5, 10**7) if (high - low) / n <= 7)
    ticks = [t for t in range(int(np.ceil(low)), int(np.floor(high)) + 1) if t % every == 0]
    return {"tickvals": ticks, "ticktext": [power_of_ten(t) for t in ticks]}


def _bands(figure: go.Figure, look: Frame, panel: Panel, axis: str) -> None:
    """Fill from least to largest, and darker between the quartiles, or about each line what the seeds span.

    A lower edge of 0 lets the fill leave the axis.
    """
    colour = look.theme.lines[0]
    floor = panel.decades[0] - 10 * (panel.decades[1] - panel.decades[0])
    filled = [(panel.log10[0], panel.log10[4], 0.13), (panel.log10[1], panel.log10[3], 0.22)]
    if panel.over:
        filled = [(panel.over[index].low, panel.over[index].high, ALPHA) for index in NAMED]
    for low, high, alpha in filled:
        lower = np.where(np.isneginf(low), floor, low)
        fill(figure, panel.x, lower, high, colour, alpha, xaxis=f"x{axis}", yaxis=f"y{axis}")


def _lines(figure: go.Figure, look: Frame, panel: Panel, axis: str, hover: str) -> None:
    colour = look.theme.lines[0]
    for index, (name, dash, width) in NAMED.items():
        values = panel.log10[index]
        drawable = np.isfinite(values)
        figure.add_scatter(
            x=panel.x,
            y=np.where(drawable, values, np.nan),
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="lines+markers" if len(panel.x) <= 16 else "lines",
            marker={"size": 0.7 * look.size.marker, "color": colour},
            line={"color": colour, "width": width * look.size.line, "dash": dash},
            name=name,
            showlegend=False,
            connectgaps=False,
            customdata=[value_said(float(v)) for v in values],
            text=hovers(panel.over[index], value_said) if panel.over else None,
            hovertemplate=(
                f"{hover}<br>{name} singular value %{{customdata}}{'<br>%{text}' if panel.over else ''}<extra></extra>"
            ),
        )


def _names(figure: go.Figure, look: Frame, panel: Panel, axis: str, room: float) -> None:
    """Write the lines' names beside their last points in time, or in the product at its far end, where they part.

    ``room`` is what a line of text takes of the axis.
    """
    ends = []
    for index, (name, *_) in NAMED.items():
        drawable = np.flatnonzero(np.isfinite(panel.log10[index]))
        if drawable.size and drawable[-1] == len(panel.x) - 1:
            ends.append((float(panel.log10[index][-1]), name))
    ends.sort()
    low, high = panel.decades
    for (_, name), height in zip(ends, spread([end for end, _ in ends], room, low, high), strict=True):
        figure.add_annotation(
            text=name,
            x=0 if axis else 1,
            xshift=look.px(6),
            xref=f"x{axis} domain",
            xanchor="left",
            y=height,
            yref=f"y{axis}",
            yanchor="middle",
            font={"color": look.theme.lines[0]},
        )
    figure.layout.margin.r = look.px(64)


def _marks(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """Draw the line of no change, and where the word is that matters."""
    for axis in ("", "2"):
        figure.add_shape(
            type="line",
            x0=0,
            x1=1,
            xref=f"x{axis} domain",
            y0=0,
            y1=0,
            yref=f"y{axis}",
            line={"color": look.theme.muted, "width": look.size.thin, "dash": "dash"},
            layer="below",
        )
    back = prepared.loss_step - prepared.informative
    places = [("", prepared.informative)] if prepared.informative >= 0 else []
    if prepared.informative >= 0 and prepared.products.x.size and back >= 1:
        places.append(("2", back))
    for axis, place in places:
        text = f"<b>{prepared.word}</b>, {place} back" if axis else f"<b>{prepared.word}</b>"
        add_place(figure, look, place, axis, text, float(np.log10(place)) if axis else None)
