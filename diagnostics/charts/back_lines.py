"""Lines over the steps back from the loss on a log axis, as the figures of inspections draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_log_band, alpha_of
from diagnostics.charts.frame import Frame, Origin, SizeName, add_level, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import informative_word
from diagnostics.charts.inspected_seeds import Seeds, Shown, bundled, hovers
from diagnostics.charts.labels import safe, short
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.charts.rails import add_rails, rails_of
from diagnostics.charts.series import VALUE, kinds
from diagnostics.charts.ticks import log_ticks
from diagnostics.inspection import Inspection
from diagnostics.measures.seeds import Envelope
from diagnostics.records import Array

_PLOT_PX = 320
_ROW_PX = 17
MOST_LINES = 8
_BELOW = 1e3
"""How far below the lowest median an axis goes for the lower edge of a band."""
STEPS_BACK = "steps back from the loss  (time runs to the right; the loss is at 0)"


class BackLine(NamedTuple):
    """One line; ``values`` ``[K + 1]``, index k is k steps back from the loss; nan, inf and 0 are kept."""

    label: str
    style: Style
    values: Array
    over: Envelope | None = None
    """Of several seeds: what they span, of which ``values`` is the median."""


class Mark(NamedTuple):
    """A word that an answer depends on, ``distance`` steps back from the loss."""

    word: str
    distance: int


class BackLines(NamedTuple):
    """What a figure of such lines draws."""

    origin: Origin
    lines: tuple[BackLine, ...]
    marks: tuple[Mark, ...]
    nothing: str
    """Why there is no line, where there is none."""


def by_lag(one: Inspection, values: Array) -> Array:
    """Turn ``values`` [T] over timesteps round: [K + 1], from the loss back."""
    return np.asarray(values[one.loss_step :: -1], dtype=np.float64)


def line_of(bundle: Seeds, label: str, style: Style, take: Callable[[Inspection], Array]) -> BackLine:
    """Return the line of what ``take`` gives of an inspection, over the seeds where there are several."""
    over = bundle.over(take)
    return BackLine(label, style, over.median, over if bundle.several else None)


def labels_and_styles(inspections: Sequence[Shown]) -> list[tuple[str, Style]]:
    """Return what each inspection is called and how it is drawn; raise ``ValueError`` where they are too many."""
    if len(inspections) > MOST_LINES:
        raise ValueError(f"inspections must be at most {MOST_LINES} to be told apart, but got {len(inspections)}")
    bundles = bundled(inspections)
    looks = styles_by_cell([bundle.first.cell for bundle in bundles])
    return [(safe(short(bundle.name)), look) for bundle, look in zip(bundles, looks, strict=True)]


def marks_of(inspections: Sequence[Shown]) -> tuple[Mark, ...]:
    """Return the words that matter, one for each distance from the loss, nearest first; of seeds, the first's."""
    found: dict[int, str] = {}
    for one in (bundle.first for bundle in bundled(inspections)):
        word = informative_word(one)
        if word and word[1] <= one.loss_step:
            found.setdefault(one.loss_step - word[1], word[0])
    return tuple(Mark(found[distance], distance) for distance in sorted(found))


def decades_of(lines: Sequence[BackLine], *more: float) -> tuple[int, int]:
    """Return the whole decades that hold every drawable value, what bands span, and what else must be seen.

    The lower edge of a band goes no further than ``band_floor`` allows: one seed must not flatten all lines.
    """
    values = _drawable([line.values for line in lines])
    lows = _drawable([line.over.low for line in lines if line.over is not None])
    highs = _drawable([line.over.high for line in lines if line.over is not None])
    values = np.concatenate([values, band_floor(values, lows), highs, np.asarray(more, dtype=np.float64)])
    if not values.size:
        return -2, 1
    low, high = math.floor(np.log10(values.min()) - 0.1), math.ceil(np.log10(values.max()) + 0.1)
    return low, max(high, low + 1)


def band_floor(values: Array, lows: Array) -> Array:
    """Return how low an axis must go for the lower edges of bands, ``[0]`` or ``[1]``: three decades below ``values``
    at most. All are finite and above 0."""
    return np.maximum(lows, values.min() / _BELOW).min(keepdims=True) if lows.size and values.size else lows[:0]


def _drawable(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.empty(0), *(values[kinds(values) == VALUE] for values in arrays)])


def draw_back(
    prepared: BackLines,
    title: str,
    *,
    theme: ThemeName,
    size: SizeName,
    y_title: str,
    hover: str,
    x_title: str = STEPS_BACK,
    reference: tuple[float, str] | None = None,
) -> go.Figure:
    """Draw them with time running to the right. ``hover`` is Plotly's, for ``%{x}`` and ``%{y}``; ``reference`` is a
    level that has a name."""
    look, lines = frame(theme, size), prepared.lines
    if not lines:
        return waiting(look, prepared.origin, title, prepared.nothing)
    decades = decades_of(lines, *([reference[0]] if reference else []))
    longest = max(len(line.values) for line in lines) - 1
    rows = _rows(prepared.marks, longest)
    above = 30 + _ROW_PX * max(rows, default=0)
    figure = new_figure(look, prepared.origin, title, _PLOT_PX, [line.label for line in lines], above_px=above)
    for line in lines:
        if line.over is not None:
            edges = line.over.low, line.over.high
            colour, alpha = look.theme.lines[line.style.colour], alpha_of(len(lines))
            add_log_band(figure, np.arange(len(line.values)), edges, decades[0], colour, line.label, alpha=alpha)
    for line in lines:
        _curve(figure, look, line, hover)
    figure.update_xaxes(
        title_text=x_title,
        range=[1.03 * longest + 0.5, -0.03 * longest - 0.5],
    )
    figure.update_yaxes(title_text=y_title, type="log", range=list(decades), **log_ticks(decades))
    rails = [
        (line.label, look.theme.lines[line.style.colour], rails_of(np.arange(len(line.values)), line.values))
        for line in lines
    ]
    add_rails(figure, look, rails, hover="%{x} steps back")
    for mark, row in zip(prepared.marks, rows, strict=True):
        figure.add_vline(x=mark.distance, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
        figure.add_annotation(
            text=f"<b>{mark.word}</b>, {mark.distance} back",
            x=mark.distance,
            y=1,
            yref="paper",
            xanchor="left" if _at_the_axis(mark, longest) else "center",
            yanchor="bottom",
            yshift=row * look.px(_ROW_PX),
        )
    if reference:
        add_level(figure, look, *reference, margin_px=64)
    return figure


def _curve(figure: go.Figure, look: Frame, line: BackLine, hover: str) -> None:
    colour = look.theme.lines[line.style.colour]
    figure.add_scatter(
        x=wire(np.arange(len(line.values))),
        # Float64: a gradient can fall below the smallest float32.
        y=np.where(kinds(line.values) == VALUE, line.values, np.nan),
        mode="lines+markers",
        line={"color": colour, "width": look.size.line, "dash": line.style.dash},
        marker={"symbol": line.style.symbol, "size": look.size.marker, "color": colour, "maxdisplayed": 12},
        name=line.label,
        legendgroup=line.label,
        showlegend=True,
        connectgaps=False,
        customdata=None if line.over is None else hovers(line.over),
        hovertemplate=f"{hover}{'' if line.over is None else '<br>%{customdata}'}<extra>{line.label}</extra>",
    )


def _at_the_axis(mark: Mark, longest: int) -> bool:
    """Whether words in the middle above the mark would reach over the ticks at the left."""
    return mark.distance > 0.88 * longest


def _rows(marks: Sequence[Mark], longest: int) -> list[int]:
    """Return a row per mark: words that would touch stand above one another."""
    taken: list[float] = []
    rows = []
    for mark in marks:
        half = 0.008 * (len(mark.word) + 10) * max(longest, 1)
        near = mark.distance - (2 * half if _at_the_axis(mark, longest) else half)
        row = next((i for i, end in enumerate(taken) if near > end), len(taken))
        taken[row:] = [mark.distance + half, *taken[row + 1 :]]
        rows.append(row)
    return rows
