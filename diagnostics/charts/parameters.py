"""The gradient of each parameter tensor: its norm, how its entries are spread over their sizes, and what is odd."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import lacking, origin_of
from diagnostics.charts.labels import plain, safe, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.inspection import Inspection
from diagnostics.measures.numbers import number, percent, power_of_ten
from diagnostics.records import Array

TITLE = "The gradient of each parameter tensor"
NEEDS = (
    "parameter_names", "parameter_norm", "parameter_grad_norm", "grad_histogram", "bin_edges_log10",
    "grad_nan", "grad_inf", "grad_zero",
)  # fmt: skip
_ROW_PX, _HEAD_PX, _BETWEEN_PX = 30, 40, 112
_SPLIT = 0.46
_COLUMNS = ("gradient<br>norm", "tensor<br>norm", "update<br>ratio", "exactly<br>0", "infinite", "nan")
_SCALES = {
    "light": ("#EEF2FB", "#1D4FD0"),
    "dark": ("#171E2C", "#7FB0FF"),
}


class Row(NamedTuple):
    """One tensor. ``shares`` ``[N]`` are of all its entries; what has no place on a log axis is counted beside."""

    name: str
    shares: Array
    counts: Array
    grad_norm: float
    norm: float
    update: float
    """‖Δθ‖ / ‖θ‖; nan where none was kept."""
    zeros: int
    infinities: int
    nans: int
    entries: int


class Prepared(NamedTuple):
    """A row per tensor over shared bins; ``edges`` ``[N + 1]`` are log10 of sizes."""

    origin: Origin
    rows: tuple[Row, ...]
    edges: Array
    nothing: str


def prepare(inspection: Inspection) -> Prepared:
    """Arrange norms, histogram and counts by tensor, in the order of the network."""
    lack = lacking(inspection, NEEDS)
    origin = origin_of(
        "parameters",
        [inspection],
        "Entries of the gradient by size |g|, as a share of each tensor's entries · l2 norms · of the mean loss over "
        "the samples · pre-clip · update ratio: ‖Δθ‖ ÷ ‖θ‖ of the last training update, post-clip",
        unit="share of entries; l2",
        reduction="mean loss over the samples",
        clip="pre-clip",
    )
    if lack:
        return Prepared(origin, (), np.empty(0), lack)
    rows = []
    kept = "update_ratio" in inspection
    for i, name in enumerate(inspection["parameter_names"].tolist()):
        counts = inspection["grad_histogram"][i]
        zeros, infinities, nans = (int(inspection[key][i]) for key in ("grad_zero", "grad_inf", "grad_nan"))
        entries = int(counts.sum()) + zeros + infinities + nans
        update = float(inspection["update_ratio"][i]) if kept else math.nan
        grad_norm, norm = (float(inspection[key][i]) for key in ("parameter_grad_norm", "parameter_norm"))
        shares = counts / max(entries, 1)
        rows.append(Row(_readable(name), shares, counts, grad_norm, norm, update, zeros, infinities, nans, entries))
    return Prepared(origin, tuple(rows), inspection["bin_edges_log10"], "")


def _readable(name: str) -> str:
    """``recurrent.layers.0.weight_hh`` → ``layer 1 · weight_hh``."""
    found = re.fullmatch(r"recurrent\.layers\.(\d+)\.(\w+)", name)
    return f"layer {int(found[1]) + 1} · {found[2]}" if found else safe(name.replace(".", " · "))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, plain(prepared.origin.caption), *(_said(row, prepared.edges) for row in prepared.rows)])


def _said(row: Row, edges: Array) -> str:
    odd = [f"{_count(n, row.entries)} {what}" for n, what in _odd(row) if n]
    middle = ""
    if row.counts.any():
        at = int(np.searchsorted(np.cumsum(row.counts), row.counts.sum() / 2))
        middle = f", half of its entries below {number(10.0 ** float(edges[min(at + 1, len(edges) - 1)]))}"
    moved = "" if math.isnan(row.update) else f", update ratio {number(row.update)}"
    return f"{row.name}: gradient norm {number(row.grad_norm)}{moved}{middle}{', ' if odd else ''}{', '.join(odd)}"


def _odd(row: Row) -> tuple[tuple[int, str], ...]:
    return ((row.zeros, "exactly 0"), (row.infinities, "infinite"), (row.nans, "nan"))


def _count(count: int, of: int) -> str:
    return "–" if not count else f"all {count:,}" if count == of else f"{count:,} ({percent(count / of)})"


def _short(count: int, of: int) -> str:
    """A count as it fits into its column: a share from a thousand on; the hover text has both."""
    return "–" if not count else "all" if count == of else f"{count}" if count < 1000 else percent(count / of)


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a row per tensor: its histogram as a strip of colour, and beside it norms and counts in figures."""
    look = frame(theme, size)
    if not prepared.rows:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    height = _ROW_PX * len(prepared.rows)
    # Large text has no room for strips and figures beside one another: the figures go below.
    below = look.size.scale > 1
    plot_px = 2 * height + _BETWEEN_PX if below else height
    figure = new_figure(look, prepared.origin, TITLE, plot_px, above_px=4 if below else _HEAD_PX)
    _strips(figure, look, prepared)
    _figures(figure, look, prepared)
    rows = {
        "tickvals": list(range(len(prepared.rows))),
        "ticktext": [row.name for row in prepared.rows],
        "range": [len(prepared.rows) - 0.5, -0.5],
        "showgrid": False,
        "ticks": "",
        "fixedrange": True,
    }
    figure.update_layout(
        {
            "xaxis": {
                "domain": [0, 1 if below else _SPLIT],
                "title": {"text": "size of an entry, |g|"},
                "showgrid": False,
                "range": [float(prepared.edges[0]), float(prepared.edges[-1])],
                **_ticks(prepared.edges),
            },
            "yaxis": {**rows, "domain": [1 - height / plot_px, 1]},
            "xaxis2": {
                "domain": [0 if below else _SPLIT + 0.02, 1],
                "range": [-0.5, len(_COLUMNS) - 0.5],
                "visible": False,
                "fixedrange": True,
                "anchor": "y2",
            },
            "yaxis2": {**rows, "domain": [0, height / plot_px], "showticklabels": below, "showline": below},
        }
    )
    return figure


def _ticks(edges: Array) -> dict[str, object]:
    low, high = int(np.ceil(edges[0])), int(np.floor(edges[-1]))
    every = max(1, -(-(high - low) // 6))
    ticks = [tick for tick in range(low, high + 1) if tick % every == 0]
    return {"tickvals": ticks, "ticktext": [power_of_ten(tick) for tick in ticks]}


def _strips(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    shares = np.stack([row.shares for row in prepared.rows])
    # What holds nothing keeps the ground of the plot, so that the faintest colour means that something is there.
    shown = np.where(shares > 0, shares, np.nan)
    low, high = _SCALES[look.theme.name]
    figure.add_heatmap(
        z=wire(np.sqrt(shown)),  # by area: a bin with few entries still shows beside one with most
        x=wire(prepared.edges),
        y=wire(np.arange(len(prepared.rows))),
        customdata=np.stack([np.stack([row.counts for row in prepared.rows]), shares], axis=2).astype(np.float32),
        zmin=0,
        zmax=float(np.sqrt(max(shares.max(), 1e-9))),
        colorscale=[(i / 8, colour) for i, colour in enumerate(plotly.colors.sample_colorscale([low, high], 9))],
        showscale=False,
        hoverongaps=False,
        ygap=look.px(7),
        xgap=1,
        hovertemplate=(
            "|g| about 10<sup>%{x:.2f}</sup><br>%{customdata[0]:,} entries, %{customdata[1]:.1%}<extra></extra>"
        ),
    )


def _figures(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """Write the norms and counts, what is not finite in the colour of a warning."""
    warning = look.theme.lines[1]
    for column, head in enumerate(_COLUMNS):
        figure.add_annotation(
            text=head, x=column, xref="x2", y=1, yref="y2 domain", yanchor="bottom", yshift=look.px(3),
            font={"color": look.theme.muted, "size": look.size.small},
        )  # fmt: skip
        texts, colours, hovers = [], [], []
        for row in prepared.rows:
            count = {3: row.zeros, 4: row.infinities, 5: row.nans}.get(column)
            value = (row.grad_norm, row.norm, row.update)[min(column, 2)]
            missing = column == 2 and math.isnan(value)
            if count is None:
                texts.append("–" if missing else "nan" if math.isnan(value) else number(value))
                hovers.append(f"{row.name}: {'no update was kept' if missing else number(value, 4)}")
            else:
                texts.append(_short(count, row.entries))
                hovers.append(f"{row.name}: {_count(count, row.entries) if count else 'none'} of {row.entries:,}")
            broken = bool(count and column > 3) or (count is None and not missing and not np.isfinite(value))
            colours.append(warning if broken else look.theme.text)
        figure.add_scatter(
            x=np.full(len(texts), column, dtype=np.float32),
            y=wire(np.arange(len(texts))),
            xaxis="x2",
            yaxis="y2",
            mode="text",
            text=texts,
            textfont={"color": colours, "size": look.size.small},
            cliponaxis=False,
            showlegend=False,
            customdata=hovers,
            hovertemplate=f"%{{customdata}}<extra>{head.replace('<br>', ' ')}</extra>",
        )
