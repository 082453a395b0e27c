"""The Lyapunov spectrum of one layer with its uncertainty, largest exponent first."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, words_above
from diagnostics.charts.inspected import check_layer, nothing_in
from diagnostics.charts.inspected_seeds import BAND, Seeds, alone, hovers, origin_over, span
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.panels import add_rail
from diagnostics.charts.series import NAN, ZERO
from diagnostics.inspection import Inspection
from diagnostics.measures import seed_verdict
from diagnostics.measures.numbers import number, rate
from diagnostics.measures.seeds import Envelope, Spread, spread
from diagnostics.records import Array

_BEYOND = 1e4
"""A natural logarithm per step that no axis reaches."""
TITLE = "Lyapunov spectrum: how fast neighbouring states part"
NEEDS = ("lyapunov", "lyapunov_error")
_PLOT_PX = 340
_three = partial(number, digits=3)
_RAIL = 0.075
_BARS = BAND.replace("in a band", "bars")


class Prepared(NamedTuple):
    """Exponents per step, natural logarithm, descending, medians where there are several seeds: ``[S]``."""

    origin: Origin
    exponents: Array
    """−inf where a direction is lost altogether, nan where a Jacobian was not finite."""
    error: Array
    """Standard error, of several seeds the median of theirs; nan where there is none."""
    growing: Spread
    """How many of a seed's exponents are clearly above 0."""
    lost: Spread
    """How many of a seed's directions are lost altogether."""
    over: Envelope | None
    """What the exponents of several seeds span."""
    nothing: str


def prepare(inspection: Inspection | Seeds, layer: int = 0) -> Prepared:
    """Take one layer's spectrum, the median over the seeds rank by rank where there are several.

    Raises ``ValueError`` where there is no such layer.
    """
    bundle = alone(inspection)
    for _, one in bundle.members:
        check_layer(one, layer)
    lack = nothing_in(bundle.members, NEEDS)
    state = ", state (h, c)" if bundle.first.kind == "lstm" else ""
    doubt = " · bars and ±: 2 standard errors, over stretches of time, samples and their random starts"
    origin = origin_over(
        "lyapunov",
        [bundle],
        f"Exponents per step, natural logarithm{state} · mean over timesteps up to the loss, after a warm-up, and "
        f"samples{'' if bundle.several else doubt}",
        layer,
        unit="1/timestep, natural logarithm",
        reduction="mean over timesteps and samples; error: the largest over stretches of time, samples, starts",
        clip="not a gradient of the loss",
        band=_BARS,
    )
    empty, none = np.empty(0), spread([])
    if lack:
        return Prepared(origin, empty, empty, none, none, None, lack)
    each = [(one["lyapunov"][layer], one["lyapunov_error"][layer]) for _, one in bundle.members]
    over = bundle.over(lambda one: one["lyapunov"][layer])
    return Prepared(
        origin,
        over.median,
        bundle.over(lambda one: one["lyapunov_error"][layer]).median,
        spread(float((exponents > 2 * _known(error)).sum()) for exponents, error in each),
        spread(float(np.isneginf(exponents).sum()) for exponents, _ in each),
        over if bundle.several else None,
        "",
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if prepared.nothing:
        return spoken([TITLE, prepared.nothing])
    return spoken([TITLE, prepared.origin.caption, _leading(prepared), _counted(prepared)])


def _leading(prepared: Prepared) -> str:
    first, error = float(prepared.exponents[0]), float(prepared.error[0])
    if not math.isfinite(first):
        return "λ₁ is not a number" if math.isnan(first) else "Every direction is lost within the steps used"
    doubt = f" ± {number(2 * error)}" if math.isfinite(error) else ""
    if prepared.over is not None:
        doubt = span(prepared.over, 0, _three)
    return f"λ₁ = {number(first, 3)}{doubt}: × {rate(math.exp(first))} a step"


def _counted(prepared: Prepared) -> str:
    size = len(prepared.exponents)
    growing, lost = (seed_verdict.span(found, "{:g}".format) for found in (prepared.growing, prepared.lost))
    said = f"{growing} of {size} exponents are above 0"
    if not prepared.growing.high:
        said = f"None of {size} exponents is clearly above 0"
    return said + (f", and {lost} directions are lost altogether" if prepared.lost.high else "")


def _bars(prepared: Prepared) -> tuple[Array, Array]:
    """How far the bars go up and down: two standard errors, or what the seeds span; an end at infinity leaves the axis.

    nan is none.
    """
    if prepared.over is None:
        up = down = 2 * _known(prepared.error)
    else:
        with np.errstate(invalid="ignore"):
            up, down = prepared.over.high - prepared.exponents, prepared.exponents - prepared.over.low
    return np.minimum(_known(up), _BEYOND), np.minimum(_known(down), _BEYOND)


def _known(values: Array) -> Array:
    """0 where there is none."""
    return np.where(np.isnan(values), 0.0, values)


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw exponents by their rank, with 0 marked: above it neighbouring states part, below it they meet."""
    look = frame(theme, size)
    if prepared.nothing:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    above, more = words_above(look, f"<b>{_leading(prepared)}</b> · {_counted(prepared)}")
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, above_px=34 + more)
    rank = np.arange(1, len(prepared.exponents) + 1)
    finite = np.isfinite(prepared.exponents)
    colour = look.theme.lines[0]
    up, down = _bars(prepared)
    figure.add_scatter(
        x=rank[finite],
        y=prepared.exponents[finite],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": up[finite],
            "arrayminus": down[finite],
            "color": colour,
            "thickness": look.size.thin,
            "width": 0 if finite.sum() > 80 else 3,
        },
        mode="markers",
        marker={"size": 0.75 * look.size.marker if finite.sum() <= 80 else 0.5 * look.size.marker, "color": colour},
        showlegend=False,
        customdata=np.stack([prepared.error[finite], np.exp(prepared.exponents[finite])], axis=1),
        text=None if prepared.over is None else np.array(hovers(prepared.over, _three))[finite],
        hovertemplate=(
            "exponent %{x}: %{y:.4f} per step<br>"
            f"{'standard error %{customdata[0]:.2g}' if prepared.over is None else '%{text}'}<br>"
            "× %{customdata[1]:.4f} a step<extra></extra>"
        ),
        name="exponents",
    )
    _axes(figure, look, prepared, rank, finite, above)
    _rails(figure, look, prepared, rank)
    return figure


def _axes(figure: go.Figure, look: Frame, prepared: Prepared, rank: Array, finite: Array, above: str) -> None:
    shown = prepared.exponents[finite]
    up, down = (np.where(bar < _BEYOND, bar, 0.0)[finite] for bar in _bars(prepared))
    low = min(0.0, float((shown - down).min())) if shown.size else -1.0
    high = max(0.0, float((shown + up).max())) if shown.size else 0.0
    room = 0.06 * (high - low) or 0.1
    odd = int(np.isneginf(prepared.exponents).any()), int((~finite & ~np.isneginf(prepared.exponents)).any())
    figure.update_xaxes(title_text="exponent, largest first", range=[0.2, len(rank) + 0.8])
    figure.update_yaxes(
        title_text="exponent λ (per step, natural log)",
        range=[low - room, high + room],
        domain=[odd[0] * (_RAIL + 0.012), 1 - odd[1] * (_RAIL + 0.012)],
    )
    figure.add_hline(y=0, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
    figure.add_annotation(
        text="0: no change",
        x=1,
        xref="x domain",
        xanchor="right",
        y=0,
        yref="y",
        yanchor="bottom",
        font={"color": look.theme.muted},
    )
    figure.add_annotation(
        text=above,
        align="left",
        x=0,
        xref="x domain",
        xanchor="left",
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=look.px(6),
    )


def _rails(figure: go.Figure, look: Frame, prepared: Prepared, rank: Array) -> None:
    """Exponents of minus infinity on a rail below, those that are not a number on one above."""
    lost = np.isneginf(prepared.exponents)
    odd = np.isnan(prepared.exponents) | np.isposinf(prepared.exponents)
    hover = "exponent %{x}"
    if lost.any():
        add_rail(figure, look, rank[lost], ZERO, axis="", own="2", domain=(0.0, _RAIL), hover=hover, words="−∞ (lost)")
        figure.update_layout(xaxis={"anchor": "y2"})
    if odd.any():
        add_rail(
            figure, look, rank[odd], NAN, axis="", own="3", domain=(1 - _RAIL, 1.0), hover=hover, words="no number"
        )
