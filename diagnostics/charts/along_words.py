"""The gradient of one answer's loss along the words of one sentence: in both directions, or across a bridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.labels import safe, short, spoken, text_width
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.rails import Rails, add_rails, rails_of
from diagnostics.charts.series import VALUE, kinds, ratios
from diagnostics.charts.ticks import log_ticks
from diagnostics.measures.numbers import number
from diagnostics.measures.reach import REACH_THRESHOLD
from diagnostics.records import Array

NOTHING = "There is no gradient to show yet: it comes with the weights that a run has kept."
_PLOT_PX = 310
_LEVEL_CHARACTERS = 92.0
"""How many average characters of words fit side by side under the narrowest plot."""
_WORD = 16
_LETTER_PX = 7
_LOWEST = -12
_ABOVE = 0.25
"""Of a decade above the highest, so that no marker is cut."""


class Told(NamedTuple):
    """A gradient to draw: ``norms`` [N] along the words, l2; nan at words that this line is not about."""

    label: str
    norms: Array
    look: int
    """Which of the theme's line colours, with a dash and a marker symbol of its own."""


class Line(NamedTuple):
    """One line; arrays have an entry per word, ``[N]``."""

    label: str
    look: int
    ratio: Array
    """Gradient ÷ gradient at the answer of the same line; an exact 0 stays one."""
    norms: Array
    rails: Rails
    """Words that have an exact 0, an infinity or no number, of those that the line is about."""


class Prepared(NamedTuple):
    """The words and all lines, with what is marked."""

    origin: Origin
    title: str
    words: tuple[str, ...]
    lines: tuple[Line, ...]
    answer: int
    answer_label: str
    needed: int | None
    bridge: int
    sides: tuple[str, str]
    decades: tuple[int, int]


_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def prepare(
    words: Sequence[str],
    told: Sequence[Told],
    answer: int,
    *,
    title: str,
    answer_label: str,
    needed: int | None = None,
    bridge: int = 0,
    sides: tuple[str, str] = ("", ""),
    run_ids: Sequence[str] = (),
    caption: str = "",
) -> Prepared:
    """Divide each line by its own value at the word ``answer`` and sort out what has no logarithm.

    ``needed`` is the word that the answer hangs on; ``bridge`` the first word of the second side, 0 for one side, and
    ``sides`` their names. A line without a finite positive value at the answer cannot be divided: it is then not a
    number everywhere, and says so. Raises ``ValueError`` where a line has not an entry per word, or the answer is none.
    """
    if not 0 <= answer < len(words):
        raise ValueError(f"answer must be a word from 0 to {len(words) - 1}, but got {answer}")
    lines = []
    for one in told:
        if np.shape(one.norms) != (len(words),):
            raise ValueError(f"norms must have the shape {(len(words),)}, but got {np.shape(one.norms)}")
        about = ~np.isnan(one.norms) | (np.arange(len(words)) == answer)
        ratio = np.where(one.norms == 0, 0.0, ratios(one.norms, one.norms[answer]))
        place = np.arange(len(words))
        rails = rails_of(place[about], ratio[about])
        lines.append(Line(safe(one.label), one.look, np.where(about, ratio, np.nan), one.norms, rails))
    quantity = "Gradient of one answer's loss by the state at each word ÷ its value at the answer · one sentence"
    origin = Origin(
        "along_words",
        tuple(run_ids),
        " · ".join(part for part in (quantity, caption) if part),
        {"unit": "ratio of l2 norms", "reduction": "none", "clip": "pre-clip", "words": list(words), "answer": answer},
    )
    drawable = [line.ratio[kinds(line.ratio) == VALUE] for line in lines]
    values = np.concatenate(drawable) if drawable else np.empty(0)
    low, high = (np.log10(values.min()), np.log10(values.max())) if values.size else (-2.0, 0.0)
    decades = max(int(np.floor(min(low, -2) - 0.1)), _LOWEST), int(np.ceil(max(high, 0)))
    shown = tuple(safe(short(word, _WORD)) for word in words)
    return Prepared(origin, title, shown, tuple(lines), answer, safe(answer_label), needed, bridge, sides, decades)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.lines:
        return spoken([prepared.title, NOTHING])
    return spoken([prepared.title, prepared.origin.caption, *(_said(prepared, line) for line in prepared.lines)])


def _said(prepared: Prepared, line: Line) -> str:
    at = float(line.norms[prepared.answer])
    if not (np.isfinite(at) and at > 0):
        return f"{line.label}: the gradient at the answer is {number(at)}"
    asked = {prepared.needed} if prepared.needed is not None else set()
    there = np.flatnonzero(~np.isnan(line.norms))
    asked |= {int(there[0]), int(there[-1])}
    asked = {place for place in asked if place in there and place != prepared.answer}
    told = [f"{prepared.words[place]} {number(float(line.ratio[place]))}" for place in sorted(asked)]
    return f"{line.label}: of the gradient at {prepared.words[prepared.answer]}, {', '.join(told) or 'nothing else'}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the words along the axis in the order of time, the answer marked, with the lines over them."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, prepared.title, NOTHING)
    figure = new_figure(
        look,
        prepared.origin,
        prepared.title,
        _PLOT_PX,
        [line.label for line in prepared.lines],
        above_px=40 + 17 * (prepared.bridge > 0),
    )
    colours = [look.theme.lines[line.look % len(look.theme.lines)] for line in prepared.lines]
    for line, colour in zip(prepared.lines, colours, strict=True):
        _curve(figure, look, prepared, line, colour)
    upright = sum(text_width(word) + 2 for word in prepared.words) > _LEVEL_CHARACTERS
    figure.update_xaxes(
        tickvals=list(range(len(prepared.words))),
        ticktext=_ticks(prepared),
        tickangle=-90 if upright else 0,
        range=[-0.6, len(prepared.words) - 0.4],
        showgrid=False,
    )
    figure.update_yaxes(
        title_text="gradient ÷ gradient at the answer", type="log",
        range=[prepared.decades[0], prepared.decades[1] + _ABOVE],
        **log_ticks(prepared.decades),
    )  # fmt: skip
    rails = [(line.label, colour, line.rails) for line, colour in zip(prepared.lines, colours, strict=True)]
    add_rails(figure, look, rails, hover="%{x}")
    _marks(figure, look, prepared)
    if upright:
        more = look.px(_LETTER_PX * max(len(word) for word in prepared.words))
        figure.layout.margin.b += more
        figure.layout.height += more
    return figure


def _ticks(prepared: Prepared) -> list[str]:
    bold = {prepared.answer, prepared.needed}
    return [f"<b>{word}</b>" if place in bold else word for place, word in enumerate(prepared.words)]


def _curve(figure: go.Figure, look: Frame, prepared: Prepared, line: Line, colour: str) -> None:
    figure.add_scatter(
        x=wire(np.arange(len(line.ratio))),
        # Float64: what arrives can be below the smallest float32.
        y=np.where(kinds(line.ratio) == VALUE, line.ratio, np.nan),
        mode="lines+markers",
        line={"color": colour, "width": look.size.line, "dash": _DASHES[line.look % len(_DASHES)]},
        marker={"symbol": _SYMBOLS[line.look % len(_SYMBOLS)], "size": look.size.marker, "color": colour},
        name=line.label,
        legendgroup=line.label,
        connectgaps=False,
        customdata=line.norms,
        text=list(prepared.words),
        hovertemplate=(
            f"%{{text}}<br>%{{y:.2e}} of the gradient at the answer<br>%{{customdata:.2e}} (l2)"
            f"<extra>{line.label}</extra>"
        ),
    )


def _marks(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """Mark the answer, the word that it hangs on, the bridge, and the 1 % at which a reach ends."""
    notes = [(prepared.answer, f"<b>{prepared.answer_label}</b>")]
    if prepared.needed is not None and prepared.needed != prepared.answer:
        notes.append((prepared.needed, "what decides" if not prepared.bridge else "what it says"))
    for row, (place, text) in enumerate(notes):
        figure.add_vline(x=place, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
        left = place > len(prepared.words) / 2
        figure.add_annotation(
            text=text, x=place, y=1, yref="paper", yanchor="bottom", xanchor="right" if left else "left",
            xshift=look.px(5 if left else -5), yshift=look.px(2 + 17 * (row + (prepared.bridge > 0))),
        )  # fmt: skip
    if prepared.bridge:
        at = prepared.bridge - 0.5
        figure.add_shape(
            type="rect", x0=at, x1=len(prepared.words) - 0.4, y0=0, y1=1, yref="paper", layer="below",
            fillcolor=look.theme.rail, line={"width": 0},
        )  # fmt: skip
        figure.add_vline(x=at, line={"color": look.theme.mark, "width": 2 * look.size.thin})
        for text, anchor, shift in ((f"{prepared.sides[0]} ", "right", -6), (f" {prepared.sides[1]}", "left", 6)):
            figure.add_annotation(
                text=text, x=at, y=1, yref="paper", yanchor="bottom", xanchor=anchor, xshift=look.px(shift),
                yshift=look.px(2), font={"color": look.theme.muted},
            )  # fmt: skip
    figure.add_hline(y=REACH_THRESHOLD, line={"color": look.theme.muted, "width": look.size.thin, "dash": "dash"})
    figure.add_annotation(
        text="1 %", x=1.006, xref="paper", xanchor="left", y=np.log10(REACH_THRESHOLD), yref="y", yanchor="middle",
        font={"color": look.theme.muted},
    )  # fmt: skip
    figure.layout.margin.r = look.px(44)
