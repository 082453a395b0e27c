"""Where the gradient of the recurrent weights comes from, by timestep and by gate, and how much of it cancels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import BackLine, BackLines, by_lag, draw_back, labels_and_styles, line_of, marks_of
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.inspected import check_layer, nothing_in
from diagnostics.charts.inspected_seeds import Shown, bundled, members, origin_over, span
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import Style, ThemeName
from diagnostics.charts.series import VALUE, kinds
from diagnostics.inspection import GATE_TITLES, Inspection
from diagnostics.measures.numbers import number, percent, steps
from diagnostics.measures.seeds import Envelope
from diagnostics.records import Array

TITLE = "Which timesteps the weights learn from"
CANCELLED = "How much of the gradient is left when all timesteps are added"
NEEDS = ("weight_grad",)
CANCELLATION_NEEDS = ("cancellation",)
_GATES: tuple[Style, ...] = (
    Style(0, "dash", "square"),
    Style(1, "dot", "diamond"),
    Style(2, "dashdot", "triangle-up"),
    Style(4, "longdash", "x"),
)
_ALL = Style(5, "solid", "circle")
_ROW_PX = 26


def prepare(inspections: Sequence[Shown], layer: int = 0) -> BackLines:
    """Take ‖G_k‖ of each (name, inspection) by steps back from the loss.

    Raises ``ValueError`` where they are too many to be told apart, or one has no such layer.
    """
    lines, lack = _lines(inspections, layer)
    origin = origin_over(
        "weight_gradient",
        bundled(inspections),
        "Norm of each timestep's share of the gradient of W<sub>hh</sub>, l2 · sum over the samples of the mean loss · "
        "pre-clip",
        layer,
        unit="l2",
        reduction="sum over the samples of the mean loss",
        clip="pre-clip",
    )
    return BackLines(origin, lines, marks_of(inspections), lack)


def _lines(inspections: Sequence[Shown], layer: int) -> tuple[tuple[BackLine, ...], str]:
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    for _, one in members(bundles):
        check_layer(one, layer)
    lack = nothing_in(members(bundles), NEEDS)
    if lack:
        return (), lack
    gates = bundles[0].first.gate_names
    if len(bundles) == 1 and len(gates) > 1:
        named = [(GATE_TITLES[gate], style) for gate, style in zip(gates, _GATES, strict=False)]
        return tuple(
            line_of(bundles[0], title, style, partial(_norms, layer, column))
            for column, (title, style) in enumerate([*named, ("all gates", _ALL)])
        ), ""
    return tuple(
        line_of(bundle, label, style, partial(_norms, layer, -1))
        for bundle, (label, style) in zip(bundles, looks, strict=True)
    ), ""


def _norms(layer: int, column: int, one: Inspection) -> Array:
    return by_lag(one, one["weight_grad"][layer, :, column])


def describe(prepared: BackLines) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, plain(prepared.origin.caption), *(_said(line) for line in prepared.lines)])


def _said(line: BackLine) -> str:
    drawable = np.flatnonzero(kinds(line.values) == VALUE)
    if not drawable.size:
        return f"{line.label}: no timestep has a gradient that is a finite number above 0"
    largest = int(drawable[np.argmax(line.values[drawable])])
    finite = np.where(np.isfinite(line.values), line.values, 0.0)
    total = finite.sum()
    half = int(np.searchsorted(np.cumsum(finite), total / 2))
    return (
        f"{line.label}: the largest share, {number(float(line.values[largest]))}{span(line.over, largest)}, comes from "
        f"{steps(largest)} back; "
        f"half of the sum of norms from the last {steps(half + 1)}"
    )


def draw(prepared: BackLines, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the shares with time running to the right."""
    return draw_back(
        prepared,
        TITLE,
        theme=theme,
        size=size,
        y_title="‖G<sub>k</sub>‖ (l2)",
        hover="%{x} steps back<br>‖G<sub>k</sub>‖ = %{y:.2e} (l2, pre-clip)",
    )


class Bar(NamedTuple):
    """One gate's cancellation, or that of all; nan where there is no gradient."""

    name: str
    colour: int
    value: float
    over: Envelope | None = None
    """Of several seeds: what they span, ``[1]``, of which ``value`` is the median."""


class Cancelled(NamedTuple):
    """A bar for each gate of each inspection, and one for all."""

    origin: Origin
    bars: tuple[Bar, ...]
    nothing: str


def prepare_cancellation(inspections: Sequence[Shown], layer: int = 0) -> Cancelled:
    """Take ‖ΣG_k‖ / Σ‖G_k‖ of each (name, inspection), per gate and of all.

    Raises ``ValueError`` where they are too many to be told apart, or one has no such layer.
    """
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    for _, one in members(bundles):
        check_layer(one, layer)
    lack = nothing_in(members(bundles), CANCELLATION_NEEDS)
    origin = origin_over(
        "cancellation",
        bundles,
        "Norm of the whole gradient of W<sub>hh</sub> ÷ sum of the norms of all timesteps' shares · pre-clip",
        layer,
        unit="ratio",
        reduction="over all timesteps; sum over the samples of the mean loss",
        clip="pre-clip",
        band="bars of the median over the seeds, whiskers from the lowest to the highest",
    )
    bars: list[Bar] = []
    for bundle, (label, style) in zip(bundles, looks, strict=True):
        if lack:
            break
        before = f"{label} · " if len(bundles) > 1 else ""
        letters = bundle.first.gate_names
        gates = [GATE_TITLES[gate] for gate in letters] if len(letters) > 1 else []
        over = bundle.over(partial(_left, layer, len(gates) + 1))
        for place, name in enumerate([*gates, "all gates" if gates else "W<sub>hh</sub>"]):
            mine = Envelope(*(values[place : place + 1] for values in over))
            bars.append(Bar(f"{before}{name}", style.colour, float(mine.median[0]), mine if bundle.several else None))
    return Cancelled(origin, tuple(bars), lack)


def _left(layer: int, count: int, one: Inspection) -> Array:
    """The last ``count`` shares: a simple cell's one block is all there is, and stands there twice."""
    return np.asarray(one["cancellation"][layer, -count:], dtype=np.float64)


def describe_cancellation(prepared: Cancelled) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = ", ".join(f"{plain(bar.name)} {_share(bar.value)}{span(bar.over, 0, _share)}" for bar in prepared.bars)
    return spoken([CANCELLED, plain(prepared.origin.caption), *([said] if said else [])])


def _share(value: float) -> str:
    return percent(value) if np.isfinite(value) else "no gradient" if np.isnan(value) else number(value)


def draw_cancellation(prepared: Cancelled, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a bar from 0 to 1 for each gate, its value at its end."""
    look = frame(theme, size)
    if not prepared.bars:
        return waiting(look, prepared.origin, CANCELLED, prepared.nothing)
    figure = new_figure(look, prepared.origin, CANCELLED, _ROW_PX * len(prepared.bars) + 10)
    values = np.array([bar.value for bar in prepared.bars])
    over = any(bar.over is not None for bar in prepared.bars)
    figure.add_bar(
        x=np.where(np.isfinite(values), values, 0.0),
        y=np.arange(len(values), dtype=np.float32),
        orientation="h",
        width=0.66,
        marker={"color": [look.theme.lines[bar.colour] for bar in prepared.bars]},
        text=[_share(bar.value) for bar in prepared.bars],
        # Beyond the whisker, where there is one, the words would be drawn through.
        textposition="none" if over else "outside",
        error_x=_whiskers(look, prepared.bars) if over else None,
        textfont={"color": look.theme.text, "size": look.size.small},
        constraintext="none",
        cliponaxis=False,
        customdata=[f"{bar.name}: {_share(bar.value)}{span(bar.over, 0, _share)}" for bar in prepared.bars],
        showlegend=False,
        hovertemplate="%{customdata}<extra></extra>",
    )
    for row, bar in enumerate(prepared.bars if over else ()):
        figure.add_annotation(
            text=f"{_share(bar.value)}{span(bar.over, 0, _share).replace(' over the seeds', '')}",
            x=_end(bar), y=row, xanchor="left", yanchor="middle", xshift=look.px(4),
            font={"color": look.theme.text, "size": look.size.small},
        )  # fmt: skip
    figure.update_xaxes(
        title_text="‖ΣG<sub>k</sub>‖ ÷ Σ‖G<sub>k</sub>‖",
        range=[0, 1.3 if over else 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1],
        ticktext=[percent(share) for share in (0, 0.25, 0.5, 0.75, 1)],
    )  # fmt: skip
    figure.update_yaxes(
        range=[len(values) - 0.4, -0.6], ticks="", showgrid=False,
        tickvals=list(range(len(values))), ticktext=[bar.name for bar in prepared.bars],
    )  # fmt: skip
    return figure


def _end(bar: Bar) -> float:
    """Where the bar and its whisker end."""
    ends = [bar.value, float(bar.over.high[0]) if bar.over is not None else bar.value]
    return max((end for end in ends if np.isfinite(end)), default=0.0)


def _whiskers(look: Frame, bars: Sequence[Bar]) -> dict[str, object]:
    """Return the error bars from the lowest to the highest seed; of a single run there is none to see."""
    values = np.array([bar.value for bar in bars])
    low, high = np.array(
        [(bar.over.low[0], bar.over.high[0]) if bar.over is not None else (np.nan,) * 2 for bar in bars]
    ).T
    with np.errstate(invalid="ignore"):
        up, down = high - values, values - low
    return {
        "type": "data", "symmetric": False,
        "array": np.where(np.isfinite(up), up, np.nan), "arrayminus": np.where(np.isfinite(down), down, np.nan),
        "color": look.theme.text, "thickness": 1.5 * look.size.thin, "width": 4,
    }  # fmt: skip
