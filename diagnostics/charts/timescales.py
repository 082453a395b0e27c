"""How long the memory gates hold: the distribution of τ = 1/(1−f) over units, timesteps and samples."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, words_above
from diagnostics.charts.inspected import check_layer, informative_word, lacking, origin_of
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.rails import add_ground
from diagnostics.inspection import GATE_TITLES, Inspection
from diagnostics.measures.numbers import percent, power_of_ten, steps
from diagnostics.measures.timescale import Distribution, distribution
from diagnostics.records import Array

TITLE = "How long the memory gate holds"
NEEDS = ("gates",)
MEMORY_GATE = {"gru": "z", "lstm": "f"}
_PLOT_PX = 300
_APART = 0.88
"""Where the plot of the bins ends, and the column of gates that are exactly 1 begins."""


class Prepared(NamedTuple):
    """The distribution of one layer's time scales."""

    origin: Origin
    found: Distribution
    gate: str
    """The gate's letter; empty for a cell without one."""
    distance: int
    """How many steps the word has to be kept; −1 where there is none."""
    word: str
    beyond: float
    """The share of gate values whose time scale is at least ``distance``."""
    nothing: str


def prepare(inspection: Inspection, layer: int = 0) -> Prepared:
    """Sort one layer's forget gates (GRU: update gates) by time scale; raise ``ValueError`` for no such layer."""
    check_layer(inspection, layer)
    gate = MEMORY_GATE.get(inspection.kind, "")
    lack = (
        lacking(inspection, NEEDS)
        if gate
        else (f"A {inspection.cell} cell has no gate that keeps memory, so there is no time scale to show.")
    )
    origin = origin_of(
        "timescales",
        [inspection],
        f"τ = 1/(1−{gate or 'f'}) of every unit at every timestep up to the loss, in steps",
        layer,
        unit="timesteps",
        reduction="every unit, timestep and sample counts once",
        clip="not a gradient",
    )
    values = np.empty(0)
    if not lack:
        index = inspection.gate_names.index(gate)
        values = inspection["gates"][layer, index, : inspection.loss_step + 1].astype(np.float64)
    word = informative_word(inspection)
    distance = inspection.loss_step - word[1] if word else -1
    return Prepared(
        origin, distribution(values), gate, distance, word[0] if word else "", _beyond(values, distance), lack
    )


def _beyond(values: Array, distance: int) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(1 - known <= 1 / distance)) if known.size and distance > 0 else math.nan


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if prepared.nothing:
        return spoken([TITLE, prepared.nothing])
    return spoken([TITLE, prepared.origin.caption, _sentence(prepared)])


def _sentence(prepared: Prepared) -> str:
    found = prepared.found
    said = f"{GATE_TITLES[prepared.gate].capitalize()}: median τ {_steps(found.median)}"
    if not math.isnan(prepared.beyond):
        said += f"; {percent(prepared.beyond)} hold for at least the {steps(prepared.distance)} back to {prepared.word}"
    if found.forever:
        said += f"; {found.forever} are exactly 1 and forget nothing"
    if found.not_finite:
        said += f"; {found.not_finite} are not numbers"
    return said


def _steps(value: float) -> str:
    return steps(value) if math.isfinite(value) else "infinite" if value > 0 else "not a number"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw shares per bin on a log axis of steps; gates of exactly 1 stand in a column of their own at the right."""
    look = frame(theme, size)
    if prepared.nothing:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    found = prepared.found
    sentence, more = words_above(look, _sentence(prepared))
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, above_px=48 + more)
    total = max(int(found.counts.sum()) + found.forever + found.not_finite, 1)
    log_edges = np.log10(found.edges)
    share = found.counts / total
    figure.add_bar(
        x=(log_edges[:-1] + log_edges[1:]) / 2,
        y=share,
        width=np.diff(log_edges),
        marker={"color": look.theme.lines[0], "line": {"width": 1, "color": look.theme.plot}},
        showlegend=False,
        customdata=np.stack([found.edges[:-1], found.edges[1:], found.counts], axis=1),
        hovertemplate=(
            "τ from %{customdata[0]:.3g} to %{customdata[1]:.3g} steps<br>%{y:.1%} (%{customdata[2]:.0f} values)"
            "<extra></extra>"
        ),
        name="time scales",
    )
    ends = [0.0, max(float(log_edges[-1]), math.log10(max(prepared.distance, 1)) + 0.15)]
    ticks = range(math.ceil(ends[1]) + 1)
    top = 1.12 * max(float(share.max(initial=0.0)), found.forever / total, 0.01)
    figure.update_layout(
        xaxis={
            "title": {"text": "time scale τ in steps"},
            "range": [ends[0] - 0.03, ends[1]],
            "domain": [0, _APART - 0.03 if found.forever else 1],
            "tickvals": list(ticks),
            "ticktext": [power_of_ten(tick) for tick in ticks],
        },
        yaxis={"title": {"text": "share of gate values"}, "tickformat": ".0%", "range": [0, top]},
    )
    if found.forever:
        _forever(figure, look, found.forever, total)
    _marks(figure, look, prepared, sentence)
    return figure


def _forever(figure: go.Figure, look: Frame, count: int, total: int) -> None:
    figure.add_bar(
        x=[0],
        y=[count / total],
        width=[0.6],
        xaxis="x2",
        marker={"color": look.theme.lines[1], "pattern": {"shape": "/", "fgcolor": look.theme.plot, "solidity": 0.2}},
        showlegend=False,
        hovertemplate=f"exactly 1: {count} values (%{{y:.1%}})<extra></extra>",
        name="exactly 1",
    )
    figure.update_layout(
        xaxis2={
            "domain": [_APART, 1],
            "anchor": "y",
            "range": [-0.5, 0.5],
            "tickvals": [0],
            "ticktext": [f"exactly 1<br>({percent(count / total)})"],
            "ticks": "",
            "showgrid": False,
            "fixedrange": True,
        }
    )
    add_ground(figure, look, (0.0, 1.0), xref="x2 domain")


def _marks(figure: go.Figure, look: Frame, prepared: Prepared, sentence: str) -> None:
    if prepared.distance > 0:
        figure.add_vline(
            x=math.log10(prepared.distance),
            line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
        )
        figure.add_annotation(
            text=f"<b>{prepared.word}</b>, {prepared.distance} back",
            x=math.log10(prepared.distance),
            xref="x",
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor="center",
        )
    figure.add_annotation(
        text=sentence,
        x=0,
        xref="paper",
        xanchor="left",
        align="left",
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=look.px(22),
        font={"color": look.theme.muted},
    )
