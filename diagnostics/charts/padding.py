"""Sentences of different lengths for several networks: how much an answer hangs on each word, and on PAD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.labels import safe, spoken, text_width
from diagnostics.charts.palette import ThemeName, gradient_scale, rgb, text_on
from diagnostics.charts.series import MEANINGS, SYMBOLS, VALUE, ZERO, kinds
from diagnostics.measures.numbers import number
from diagnostics.records import Array

TITLE = "What the answer hangs on, word by word"
WAITING = "Waiting for the first weights to be kept…"
DECADES = 3
"""Powers of ten that the colours span below the largest of a row."""
_ROW_PX, _CELL, _TEXTS = 30, 0.9, 40
_LEAST_TEXT = 0.005


class Row(NamedTuple):
    """One network at one sentence: ``gradient`` [T], nan where nobody knows, and what it ``answers``, in words."""

    label: str
    gradient: Array
    answers: str


class Sentence(NamedTuple):
    """One sentence of ``length`` words, filled up to T ``tokens``; ``deciding``: the timesteps that decide."""

    title: str
    tokens: tuple[str, ...]
    length: int
    deciding: tuple[int, ...]
    rows: tuple[Row, ...]


class Cells(NamedTuple):
    """One row as it is drawn, ``[T]``: the gradient, its ratio to the row's largest, and what kind of number it is."""

    label: str
    answers: str
    gradient: Array
    ratio: Array
    kind: Array


class Panel(NamedTuple):
    """One sentence as it is drawn."""

    title: str
    tokens: tuple[str, ...]
    length: int
    deciding: tuple[int, ...]
    cells: tuple[Cells, ...]


class Prepared(NamedTuple):
    """All sentences and where their numbers come from."""

    origin: Origin
    panels: tuple[Panel, ...]


def prepare(sentences: Sequence[Sentence], run_ids: Sequence[str] = ()) -> Prepared:
    """Set each row's gradients in proportion to its largest."""
    origin = Origin(
        "padding",
        tuple(run_ids),
        "Gradient of the answer (the lead of one class over the other) with respect to each embedded word, l2 · as a "
        "share of the largest in its row · in float64, from the last weights that were kept · hatched: exactly 0",
        {"unit": "ratio of l2 norms", "reduction": "one sentence"},
    )
    panels = [
        Panel(
            safe(one.title),
            tuple(safe(token) for token in one.tokens),
            one.length,
            one.deciding,
            tuple(_cells(row) for row in one.rows),
        )
        for one in sentences
        if one.rows
    ]
    return Prepared(origin, tuple(panels))


def _cells(row: Row) -> Cells:
    gradient = np.asarray(row.gradient, dtype=np.float64)
    finite = gradient[np.isfinite(gradient)]
    largest = finite.max() if len(finite) and finite.max() > 0 else 1.0
    return Cells(safe(row.label), safe(row.answers), gradient, gradient / largest, kinds(gradient))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.panels:
        return spoken([TITLE, WAITING])
    said = [TITLE]
    for panel in prepared.panels:
        said.append(panel.title)
        said += [f"{one.label}, {one.answers}: {_in_words(panel, one)}" for one in panel.cells]
    return spoken(said)


def _in_words(panel: Panel, row: Cells) -> str:
    padding = row.gradient[panel.length :]
    most = int(np.argmax(np.where(np.isfinite(row.ratio), row.ratio, -1.0)))
    told = f"it hangs most on “{panel.tokens[most]}”"
    if not len(padding):
        return f"{told}; there is no padding"
    if (padding == 0).all():
        return f"{told}; exactly 0 at all {len(padding)} positions of padding"
    return f"{told}; not 0 at {np.count_nonzero(padding)} of {len(padding)} positions of padding"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a block of rows for each sentence, its words above the columns."""
    look = frame(theme, size)
    if not prepared.panels:
        return waiting(look, prepared.origin, TITLE, WAITING)
    T = max(len(panel.tokens) for panel in prepared.panels)
    heads = [_head(panel) for panel in prepared.panels]
    height = sum(head + len(panel.cells) + 0.35 for head, panel in zip(heads, prepared.panels, strict=True))
    figure = new_figure(look, prepared.origin, TITLE, plot_px=_ROW_PX * height)
    top, notes = 0.0, []
    for head, panel in zip(heads, prepared.panels, strict=True):
        notes += _words(look, panel, top, top + head)
        top += head
        for row in panel.cells:
            notes += _row_notes(look, row, top, T)
            _draw_row(figure, look, panel, row, top)
            top += 1
        top += 0.35
    names = max(text_width(row.label) for panel in prepared.panels for row in panel.cells)
    told = max(text_width(row.answers) for panel in prepared.panels for row in panel.cells)
    figure.update_xaxes(visible=False, range=[-0.1, T + 0.1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[height, 0], fixedrange=True)
    figure.update_layout(
        showlegend=False,
        dragmode=False,
        coloraxis=_colours(look),
        annotations=notes,
        margin={
            "l": look.px(16) + round(0.56 * look.size.text * names),
            "r": look.px(16) + round(0.56 * look.size.text * told),
            "b": look.px(66),
        },
    )
    return figure


def _head(panel: Panel) -> float:
    """Rows of room for the title and the slanted words."""
    longest = max(text_width(token) for token in panel.tokens)
    return 0.95 + 0.7 * longest * 6.6 / _ROW_PX


def _words(look: Frame, panel: Panel, top: float, bottom: float) -> list[dict[str, object]]:
    title = {
        "text": f"<b>{panel.title}</b>",
        "x": 0,
        "xanchor": "left",
        "y": top + 0.45,
        "yanchor": "middle",
        "font": {"size": look.size.text + 1},
    }
    many = len(panel.tokens) > _TEXTS
    shown = [
        {
            "text": f"<b>{token}</b>" if step in panel.deciding else token,
            "x": step + 0.5,
            "xanchor": "left",
            "xshift": -look.px(5),
            "y": bottom - 0.04,
            "yanchor": "bottom",
            "textangle": -45,
            "font": {
                "size": look.size.small,
                "color": look.theme.text if step < panel.length else look.theme.muted,
            },
        }
        for step, token in enumerate(panel.tokens)
        if not many or step in panel.deciding
    ]
    return [title, *shown]


def _row_notes(look: Frame, row: Cells, top: float, T: int) -> list[dict[str, object]]:
    return [
        {
            "text": text,
            "x": x,
            "xanchor": anchor,
            "xshift": shift * look.px(6),
            "y": top + 0.5,
            "yanchor": "middle",
            "font": {"size": look.size.text},
        }
        for text, x, anchor, shift in ((row.label, 0, "right", -1), (row.answers, T, "left", 1))
    ]


def _draw_row(figure: go.Figure, look: Frame, panel: Panel, row: Cells, top: float) -> None:
    for is_value in (True, False):
        at = np.flatnonzero((row.kind == VALUE) == is_value).tolist()
        if not at:
            continue
        deciding = np.isin(at, panel.deciding)
        figure.add_bar(
            orientation="h",
            base=wire(np.array(at) + (1 - _CELL) / 2),
            x=wire(np.full(len(at), _CELL)),
            y=wire(np.full(len(at), top + 0.5)),
            width=_CELL,
            text=[_text(row, step) for step in at] if len(panel.tokens) <= _TEXTS else None,
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="inside",
            textfont={
                "size": look.size.small,
                "color": [_on(row.ratio[step]) for step in at] if is_value else look.theme.text,
            },
            marker={
                "line": {"color": look.theme.mark, "width": np.where(deciding, 2.2 * look.size.scale, 0)},
                **(_value_fill(row, at) if is_value else _special_fill(look, row.kind[at])),
            },
            customdata=np.stack([at, row.ratio[at], row.gradient[at]], axis=1),
            hovertext=[_hover(panel, row, step) for step in at],
            hovertemplate=f"%{{hovertext}}<extra>{row.label}</extra>",
        )


def _text(row: Cells, step: int) -> str:
    kind = int(row.kind[step])
    if kind == ZERO:
        return "0"
    if kind != VALUE:
        return SYMBOLS[kind]
    ratio = float(row.ratio[step])
    return "" if ratio < _LEAST_TEXT else "1" if ratio >= 0.995 else f"{ratio:.2f}".lstrip("0")


def _hover(panel: Panel, row: Cells, step: int) -> str:
    kind, what = int(row.kind[step]), "padding" if step >= panel.length else "timestep"
    where = f"<b>{panel.tokens[step]}</b><br>{what} {step}<br>"
    if kind != VALUE:
        return where + MEANINGS[kind]
    return f"{where}{number(float(row.gradient[step]))} (l2), {number(float(row.ratio[step]))} of the row's largest"


def _log(ratio: Array) -> Array:
    return np.clip(np.log10(ratio), -DECADES, 0.0)


def _on(ratio: float) -> str:
    place = (1 + max(-DECADES, math.log10(ratio)) / DECADES) * (len(_SCALE) - 1)
    return text_on("rgb({:.0f}, {:.0f}, {:.0f})".format(*(255 * part for part in rgb(_SCALE[round(place)][1]))))


# The last eighth of the gradient's colours is for more than at the loss, which a share of the largest never is.
_SCALE = gradient_scale()[: round(len(gradient_scale()) * 6 / 7) + 1]


def _value_fill(row: Cells, at: list[int]) -> dict[str, object]:
    return {"color": wire(_log(row.ratio[at])), "coloraxis": "coloraxis"}


def _special_fill(look: Frame, kind: Array) -> dict[str, object]:
    return {
        "color": look.theme.no_value,
        "pattern": {
            "shape": ["/" if k == ZERO else "x" for k in kind],
            "fgcolor": look.theme.muted,
            "fgopacity": 0.5,
            "size": look.px(7),
            "solidity": 0.18,
            "fillmode": "overlay",
        },
    }


def _colours(look: Frame) -> dict[str, object]:
    end = _SCALE[-1][0]
    ticks = list(range(-DECADES, 1))
    labels = [f"1/{10**-tick:,}" for tick in ticks]
    labels[0], labels[-1] = f"{labels[0]} or less", "1, the row's largest"
    return {
        "colorscale": [(place / end, colour) for place, colour in _SCALE],
        "cmin": -DECADES,
        "cmax": 0,
        "colorbar": {
            "orientation": "h",
            "thickness": look.px(12),
            "len": 0.8,
            "x": 0.5,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "ypad": look.px(8),
            "tickvals": ticks,
            "ticktext": labels,
            "tickfont": {"size": look.size.small, "color": look.theme.text},
            "ticks": "outside",
            "outlinewidth": 0,
        },
    }
