"""A caption over its picture: for each word, which pixels its probability hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName, gradient_scale
from diagnostics.charts.series import MEANINGS, SYMBOLS, VALUE, ZERO, kinds
from diagnostics.measures.numbers import number, percent, power_of_ten
from diagnostics.records import Array

TITLE = "What each word of the caption hangs on"
WAITING = "There is no caption to show yet."
HOW_TO_READ = (
    "First the picture, then one panel for each word of its caption. The colour of a pixel says how much the "
    "logarithm of that word's probability changes with the pixel (the length of its gradient over red, green and "
    "blue), in proportion to the brightest pixel of all words; the lines outline what is drawn. A word that "
    "the network is sure of is dark: nothing in the picture would change it much. Grey is exactly 0."
)
DECADES = 2
"""Powers of ten that the colours span below the largest."""
COLUMNS = 5
_CELL_PX, _HEAD_PX = 132, 62


class Panel(NamedTuple):
    """One word: its probability, the gradient at each pixel [P,P], that as a share of the largest, and its size."""

    word: str
    probability: float
    gradient: Array
    ratio: Array
    total: float
    """The l2 norm over the whole picture."""


class Prepared(NamedTuple):
    """The picture [P,P,3] of 0 … 1, and a panel for each word."""

    origin: Origin
    picture: Array
    panels: tuple[Panel, ...]


def prepare(
    picture: Array,
    words: Sequence[str],
    probabilities: Sequence[float],
    gradients: Array,
    run_ids: Sequence[str] = (),
    network: str = "",
) -> Prepared:
    """Set each pixel's gradient in proportion to the largest of all words.

    ``picture`` [3,P,P] of 0 … 1; ``gradients`` [N,3,P,P], of log p(word) for each of the N ``words``. Raises
    ``ValueError`` where the numbers of words do not agree.
    """
    if not len(words) == len(probabilities) == len(gradients):
        raise ValueError(
            f"words, probabilities and gradients must be equally many, but got {len(words)}, {len(probabilities)} and "
            f"{len(gradients)}"
        )
    values = np.asarray(gradients, np.float64)
    sizes = np.sqrt((values**2).sum(axis=1)) if len(values) else np.zeros((0, *picture.shape[1:]))
    finite = sizes[np.isfinite(sizes)]
    largest = float(finite.max()) if len(finite) and finite.max() > 0 else 1.0
    origin = Origin(
        "caption",
        tuple(run_ids),
        f"{safe(network) + ' · ' if network else ''}Gradient of log p(word), given the words before it, with respect "
        "to each pixel, l2 over its three colours · as a share of the largest pixel of all words · in float64, from "
        "the weights that were kept",
        {"unit": "ratio of l2 norms", "reduction": "one picture", "largest": largest},
    )
    return Prepared(
        origin,
        np.moveaxis(np.asarray(picture, np.float64), 0, -1).clip(0, 1),
        tuple(
            Panel(safe(word), float(p), size, size / largest, float(np.sqrt((size**2).sum())))
            for word, p, size in zip(words, probabilities, sizes, strict=True)
        ),
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.panels:
        return spoken([TITLE, WAITING])
    said = [
        f"{panel.word}, probability {percent(panel.probability)}: gradient {number(panel.total)}{_where(panel)}"
        for panel in prepared.panels
    ]
    return spoken([TITLE, prepared.origin.caption, *said])


def _where(panel: Panel) -> str:
    """In which part of the picture most of the gradient lies."""
    weights = np.where(np.isfinite(panel.gradient), panel.gradient, 0.0) ** 2
    if not weights.sum() > 0:
        return ""
    side = weights.shape[0]
    row, column = (float((weights.sum(1 - axis) * np.arange(side)).sum() / weights.sum()) for axis in (0, 1))
    upright = ("top", "middle", "bottom")[min(2, int(3 * row / side))]
    across = ("left", "middle", "right")[min(2, int(3 * column / side))]
    return f", about the {upright} {across}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the picture and the words after it, five to a row."""
    look = frame(theme, size)
    if not prepared.panels:
        return waiting(look, prepared.origin, TITLE, WAITING)
    rows = -(-(1 + len(prepared.panels)) // COLUMNS)
    figure = new_figure(look, prepared.origin, TITLE, rows * (_CELL_PX + _HEAD_PX), above_px=4)
    side = len(prepared.picture)
    share = _HEAD_PX / (_CELL_PX + _HEAD_PX)
    notes = []
    for place in range(1 + len(prepared.panels)):
        row, column = divmod(place, COLUMNS)
        left, right = (column + 0.03) / COLUMNS, (column + 0.97) / COLUMNS
        top = 1 - row / rows
        bottom, under = top - 1 / rows, top - share / rows
        name = str(place + 1) if place else ""
        figure.update_layout(
            {
                f"xaxis{name}": _axis(side, (left, right), f"y{name}"),
                f"yaxis{name}": _axis(side, (bottom, under), f"x{name}", rows=True),
            }
        )
        if place == 0:
            _picture(figure, prepared.picture)
            text = "<b>the picture</b>"
        else:
            panel = prepared.panels[place - 1]
            _panel(figure, look, prepared.picture, panel, name)
            text = f"<b>{panel.word}</b><br>{_below(panel)}"
        notes.append(
            {
                "text": text,
                "x": (left + right) / 2,
                "y": under,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": look.size.small, "color": look.theme.text},
            }
        )
    figure.update_layout(annotations=notes, showlegend=False, coloraxis=_colours(look), dragmode=False)
    figure.layout.margin.l = figure.layout.margin.r = look.px(16)
    return figure


def _below(panel: Panel) -> str:
    total = number(panel.total) if np.isfinite(panel.total) else SYMBOLS[int(kinds(np.array([panel.total]))[0])]
    return f"p {percent(panel.probability)}<br>gradient {total}"


def _axis(side: int, domain: tuple[float, float], other: str, rows: bool = False) -> dict[str, object]:
    edges = [-0.5, side - 0.5]
    return {
        "visible": False,
        "range": edges[::-1] if rows else edges,
        "domain": [max(0.0, domain[0]), min(1.0, domain[1])],
        "anchor": other,
        "fixedrange": True,
        "constrain": "domain",
        **({"scaleanchor": other} if rows else {}),
    }


def _picture(figure: go.Figure, picture: Array) -> None:
    figure.add_image(z=np.round(255 * picture).astype(np.uint8), hoverinfo="skip")


def _panel(figure: go.Figure, look: Frame, picture: Array, panel: Panel, name: str) -> None:
    axes = {"xaxis": f"x{name}", "yaxis": f"y{name}"}
    found = kinds(panel.gradient)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(found == VALUE, np.log10(panel.ratio), np.nan)
    figure.add_heatmap(
        z=np.where(found == VALUE, np.nan, 1.0).astype(np.float32),
        colorscale=[(0, look.theme.no_value), (1, look.theme.no_value)],
        showscale=False,
        hoverinfo="skip",
        **axes,
    )
    figure.add_heatmap(
        z=wire(logs),
        coloraxis="coloraxis",
        hoverongaps=False,
        hovertemplate=f"{panel.word}<br>10<sup>%{{z:.2f}}</sup> of the largest pixel<extra></extra>",
        **axes,
    )
    # What is drawn is darker in at least one colour than the light ground around it.
    figure.add_contour(
        z=wire(picture.min(axis=2)),
        contours={"start": 0.6, "end": 0.6, "size": 1, "coloring": "none"},
        line={"color": "#FFFFFF", "width": look.size.thin},
        showscale=False,
        hoverinfo="skip",
        **axes,
    )
    for kind in sorted(set(np.unique(found).tolist()) - {VALUE, ZERO}):
        rows, columns = np.nonzero(found == kind)
        figure.add_scatter(
            x=wire(columns[:: max(1, len(rows) // 20)]),
            y=wire(rows[:: max(1, len(rows) // 20)]),
            mode="text",
            text=SYMBOLS[kind],
            textfont={"size": look.size.small, "color": look.theme.text},
            hovertext=MEANINGS[kind],
            **axes,
        )


def _colours(look: Frame) -> dict[str, object]:
    ticks = list(range(-DECADES, 1))
    labels = [power_of_ten(tick) for tick in ticks]
    return {
        "colorscale": gradient_scale(),
        "cmin": -DECADES,
        "cmax": 0,
        "colorbar": {
            "orientation": "h",
            "thickness": look.px(12),
            "len": 0.9,
            "x": 0.5,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "ypad": look.px(8),
            "tickvals": ticks,
            "ticktext": [f"≤ {labels[0]}", *labels[1:-1], "1 (the largest pixel)"],
            "tickfont": {"size": look.size.small, "color": look.theme.text},
            "ticks": "outside",
            "outlinewidth": 0,
        },
    }
