"""States and gates of one sample, units × timesteps, with the sentence along the axis and what is saturated below."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.activations import Map, draw_map
from diagnostics.charts.blocks import block_edges, block_median, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import check_layer, check_sample, lacking, origin_of, token_ticks
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.inspection import GATE_TITLES, Inspection
from diagnostics.measures.numbers import number, percent
from diagnostics.records import Array

TITLE = "States and gates, unit by unit"
NEEDS = ("h", "saturated")
MOST_UNITS, MOST_COLUMNS = 256, 400
_MAP_PX, _SHARES_PX, _SPACE_PX = 132, 96, 26
"""The least room for a word that stands upright along the axis, at page size, and nearly its height."""
_SIGMOID = "rzifo"
_NEAR, _MOST_MARKS = 0.12, 5
"""Informative steps closer than this share of the sentence share one mark, and there are at most so many."""


class Share(NamedTuple):
    """A share of units by timestep, ``[T]``, over all samples."""

    name: str
    values: Array
    dash: str


class Prepared(NamedTuple):
    """The maps, top to bottom, and the shares below them."""

    origin: Origin
    maps: tuple[Map, ...]
    units: Array
    """The number of the unit of each row."""
    timesteps: Array
    """The middle timestep of each column."""
    shares: tuple[Share, ...]
    never_on: float
    """Share of ReLU units that are 0 throughout; nan for other cells."""
    inspection: Inspection
    sample: int
    nothing: str


def prepare(inspection: Inspection, layer: int = 0, sample: int = 0) -> Prepared:
    """Take h, c and each gate of one layer and sample, and the saturated and dead shares of the layer.

    At most 256 units, evenly picked, and 400 columns, medians of consecutive timesteps. Raises ``ValueError`` where
    there is no such layer or sample.
    """
    check_layer(inspection, layer)
    check_sample(inspection, sample)
    lack = lacking(inspection, NEEDS)
    T = inspection.timesteps
    hidden = 0 if lack else inspection["h"].shape[3]
    units = (
        np.unique(np.linspace(0, hidden - 1, min(hidden, MOST_UNITS)).round().astype(int)) if hidden else np.empty(0)
    )
    edges = block_edges(T, MOST_COLUMNS)
    origin = origin_of(
        "states",
        [inspection],
        _caption(inspection, sample, hidden, len(units), block_size(T, MOST_COLUMNS)),
        layer,
        unit="activation",
        reduction="one sample; shares over all samples of the probe",
        clip="not a gradient",
        sample=sample,
    )
    maps = () if lack else tuple(_maps(inspection, layer, sample, units))
    shares = () if lack else tuple(_shares(inspection, layer))
    never = float(inspection["never_on"][layer]) if "never_on" in inspection else float("nan")
    middle = (edges[:-1] + edges[1:] - 1) / 2
    return Prepared(origin, maps, units, middle, shares, never, inspection, sample, lack)


def _caption(inspection: Inspection, sample: int, hidden: int, shown: int, block: int) -> str:
    parts = [f"Sample {sample + 1} of {inspection.samples}, each row a unit; below: share over all samples"]
    if shown < hidden:
        parts.append(f"{shown} of {hidden} units, evenly picked")
    if block > 1:
        parts.append(f"each column the median of {block} timesteps")
    return " · ".join(parts)


def _maps(inspection: Inspection, layer: int, sample: int, units: Array) -> list[Map]:
    def of(values: Array) -> Array:
        return block_median(values[:, sample][:, units].T.astype(np.float64), MOST_UNITS, MOST_COLUMNS)

    found = [_map("h", "state h", of(inspection["h"][layer]), inspection.nonlinearity not in ("relu", "identity"))]
    if "c" in inspection:
        found.append(_map("c", "cell c", of(inspection["c"][layer]), False))
    if "gates" in inspection:
        for index, name in enumerate(inspection.gate_names):
            found.append(_map(name, GATE_TITLES[name], of(inspection["gates"][layer, index]), True))
    return found


def _map(key: str, title: str, values: Array, squashed: bool) -> Map:
    """Arrange one quantity: those that a nonlinearity squashes have its range, others the largest value as theirs."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 1.0
    return Map(key, title, values, 1.0 if squashed else largest or 1.0, key not in _SIGMOID)


def _shares(inspection: Inspection, layer: int) -> list[Share]:
    relu = inspection.nonlinearity == "relu"
    gates = "gates" in inspection
    name = "units at 0" if relu else "saturated gates" if gates else "saturated units"
    found = [Share(name, inspection["saturated"][layer], "solid")]
    if "dead" in inspection:
        found.append(Share("dead: 0 for every sample", inspection["dead"][layer], "dash"))
    return found


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if prepared.nothing:
        return spoken([TITLE, prepared.nothing])
    said = [f"{one.title}: {_range(one)}" for one in prepared.maps]
    said += [f"{one.name}: {percent(float(np.mean(one.values)))} on average over time" for one in prepared.shares]
    if not np.isnan(prepared.never_on):
        said.append(f"{percent(prepared.never_on)} of the units are 0 at every timestep of every sample")
    return spoken([TITLE, prepared.origin.caption, *said])


def _range(one: Map) -> str:
    finite = one.values[np.isfinite(one.values)]
    if not finite.size:
        return "no finite value"
    low, high = float(finite.min()), float(finite.max())
    return f"from {number(low)} to {number(high)}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the maps one above another on one axis of timesteps, with the words at the bottom."""
    look = frame(theme, size)
    if prepared.nothing:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    n = len(prepared.maps)
    plot_px = n * _MAP_PX + _SHARES_PX + n * _SPACE_PX
    figure = new_figure(look, prepared.origin, TITLE, plot_px, above_px=38)
    for i, one in enumerate(prepared.maps):
        top = 1 - i * (_MAP_PX + _SPACE_PX) / plot_px
        draw_map(figure, look, one, prepared.units, prepared.timesteps, i, (top - _MAP_PX / plot_px, top))
    _draw_shares(figure, look, prepared, f"y{n + 1}", (0.0, _SHARES_PX / plot_px))
    _time_axis(figure, look, prepared, f"y{n + 1}")
    figure.layout.margin.r = look.px(70)
    return figure


def _draw_shares(figure: go.Figure, look: Frame, prepared: Prepared, axis: str, domain: tuple[float, float]) -> None:
    for share, colour in zip(prepared.shares, (0, 1), strict=False):
        figure.add_scatter(
            x=wire(np.arange(len(share.values))),
            y=wire(share.values),
            yaxis=axis,
            mode="lines",
            line={"color": look.theme.lines[colour], "width": look.size.line, "dash": share.dash},
            name=share.name,
            showlegend=False,
            hovertemplate=f"timestep %{{x}}<br>{share.name} %{{y:.1%}}<extra></extra>",
        )
    inks = [look.theme.lines[colour] for colour in (0, 1)]
    words = [
        f'<span style="color:{ink}"><b>{share.name}</b></span>'
        for share, ink in zip(prepared.shares, inks, strict=False)
    ]
    if not np.isnan(prepared.never_on):
        words.append(f"{percent(prepared.never_on)} are never above 0")
    figure.update_layout(
        {
            f"yaxis{axis[1:]}": {
                "domain": list(domain),
                "range": [-0.03, 1.03],
                "tickvals": [0, 0.5, 1],
                "tickformat": ".0%",
                "title": {"text": "share"},
                "anchor": "x",
            }
        }
    )
    figure.add_annotation(
        text=" · ".join(words),
        align="left",
        x=0,
        xref="x domain",
        xanchor="left",
        y=1,
        yref=f"{axis} domain",
        yanchor="bottom",
        yshift=1,
    )


def _time_axis(figure: go.Figure, look: Frame, prepared: Prepared, lowest: str) -> None:
    """Put the words, or timesteps and the words that matter, along the bottom, and a line through every map."""
    one, sample = prepared.inspection, prepared.sample
    ticks = token_ticks(one, sample, look.plot_words)
    words = ticks["tickangle"] != 0
    figure.update_xaxes(
        title_text="" if words else "timestep",
        range=[-0.5, one.timesteps - 0.5],
        anchor=lowest,
        showgrid=False,
        **{**ticks, "tickfont": {"size": look.px(10.5) if words else look.size.small, "color": look.theme.text}},
    )
    if words:
        figure.layout.margin.b += look.px(14)
        figure.layout.height += look.px(14)
    marked = [*_informative(one, sample), (one.loss_step, "loss ▾")]
    axes = ["y", *(f"y{i + 2}" for i in range(len(prepared.maps)))]
    # All at once: plotly checks everything anew with each shape that is added.
    figure.update_layout(shapes=[line for t, _ in marked for axis in axes for line in _lines_through(look, t, axis)])
    for t, text in marked:
        figure.add_annotation(
            text=text,
            x=t,
            xref="x",
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=look.px(18),
            xanchor="right" if t > 0.8 * one.timesteps else "left",
        )


def _informative(one: Inspection, sample: int) -> list[tuple[int, str]]:
    """Return the timestep and the words of each informative step, or of a group whose words would touch."""
    groups: list[list[int]] = []
    for t in sorted(one.informative_steps[sample]):
        if groups and t - groups[-1][-1] < _NEAR * one.timesteps:
            groups[-1].append(t)
        else:
            groups.append([t])
    words = [[f"<b>{_token(one, sample, t)}</b>" for t in sorted({group[0], group[-1]})] for group in groups]
    return [(group[0], "▾ " + " … ".join(ends)) for group, ends in zip(groups, words, strict=True)][:_MOST_MARKS]


def _lines_through(look: Frame, t: int, axis: str) -> list[dict[str, object]]:
    """Return the mark of a timestep in one plot, dark dots on white, so that it is seen on every colour."""
    return [
        {
            "type": "line",
            "x0": t,
            "x1": t,
            "xref": "x",
            "y0": 0,
            "y1": 1,
            "yref": f"{axis} domain",
            "opacity": 0.8,
            "line": {"color": colour, "width": look.size.thin + more, "dash": dash},
        }
        for colour, more, dash in (("#FFFFFF", 1.5, "solid"), ("#0B0D12", 0.0, "dot"))
    ]


def _token(one: Inspection, sample: int, t: int) -> str:
    ticks = token_ticks(one, sample, one.timesteps)["ticktext"]
    assert isinstance(ticks, list)
    return str(ticks[t]).removeprefix("<b>").removesuffix("</b>")
