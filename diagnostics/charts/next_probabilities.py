"""What a language model expects next, step by step: a column of probabilities for every character that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName, text_on
from diagnostics.measures.numbers import percent
from diagnostics.records import Array

MOST_ROWS = 16
"""So many words have a row of their own: those that were ever likeliest; the others share the last row."""
MOST_COLUMNS = 40
_IN_CELLS = 12
"""Up to so many columns the numbers stand in the cells; of more, they are read by pointing."""
_SCALE = plotly.colors.sequential.Cividis
_ROW_PX = 27


class Prepared(NamedTuple):
    """The grid. ``probability`` [rows, N]; the last row is the rest together where there are more words than rows."""

    origin: Origin
    title: str
    read: tuple[str, ...]
    """What was read last before each column."""
    rows: tuple[str, ...]
    probability: Array
    marked: Array
    """The row of the target, or of what was sampled, in each column, [N]."""
    meaning: str
    """What the mark means, such as "the target"."""
    of_marked: Array
    """The probability of what is marked, [N]: its own, also where it is among the rest."""
    marked_words: tuple[str, ...]
    nothing: str


def prepare(
    read: Sequence[str],
    probability: Array,
    marked: Sequence[int],
    vocabulary: Sequence[str],
    *,
    title: str,
    meaning: str,
    caption: str = "",
    run_ids: Sequence[str] = (),
) -> Prepared:
    """Arrange probabilities [N, V]: column n is what is expected after ``read[n]``, and ``marked[n]`` a word in it.

    Of more than ``MOST_COLUMNS`` columns the first are shown. Raises ``ValueError`` where the lengths differ.
    """
    if not len(read) == len(probability) == len(marked):
        raise ValueError(
            f"read, probability and marked must be of one length, but got {len(read)}, {len(probability)} and "
            f"{len(marked)}"
        )
    shown = min(len(read), MOST_COLUMNS)
    p = np.asarray(probability, dtype=np.float64)[:shown]
    marks = np.asarray(marked[:shown], dtype=np.int64)
    chosen, rest = _rows(p, len(vocabulary))
    rows = [safe(vocabulary[word]) for word in chosen]
    grid = p[:, chosen].T if shown else np.zeros((len(chosen), 0))
    if rest:
        rows.append(f"{rest} others")
        grid = np.vstack([grid, np.maximum(p.sum(axis=1) - grid.sum(axis=0), 0.0)])
    place = {word: row for row, word in enumerate(chosen)}
    more = f" · the first {shown} of {len(read)}" if shown < len(read) else ""
    origin = Origin(
        "next_probabilities",
        tuple(run_ids),
        f"Probability of each character after what was read{f' · {caption}' if caption else ''}{more}",
        {"unit": "probability", "reduction": "one text", "clip": "no gradient", "columns": shown},
    )
    return Prepared(
        origin,
        title,
        tuple(safe(word) for word in read[:shown]),
        tuple(rows),
        grid,
        np.array([place.get(int(word), len(chosen)) for word in marks], dtype=np.int64),
        meaning,
        p[np.arange(shown), marks] if shown else np.zeros(0),
        tuple(safe(vocabulary[word]) for word in marks),
        "" if shown else "Nothing was read, so nothing is expected.",
    )


def _rows(p: Array, words: int) -> tuple[list[int], int]:
    """The words that have a row, in the vocabulary's order, and how many others there are."""
    if words <= MOST_ROWS:
        return list(range(words)), 0
    likely = np.argsort(-p.max(axis=0, initial=0.0), kind="stable")[: MOST_ROWS - 1]
    return sorted(int(word) for word in likely), words - (MOST_ROWS - 1)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.read:
        return spoken([prepared.title, prepared.nothing])
    said = [
        f"after {read}: {prepared.rows[int(column.argmax())]} is likeliest with {percent(float(column.max()))}, "
        f"{prepared.meaning} {word} has {percent(float(own))}"
        for read, column, word, own in zip(
            prepared.read, prepared.probability.T, prepared.marked_words, prepared.of_marked, strict=True
        )
    ]
    return spoken([prepared.title, prepared.origin.caption, *said[:12]])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the grid, a ring at what is marked, and the numbers in the cells where there is room for them."""
    look = frame(theme, size)
    if not prepared.read:
        return waiting(look, prepared.origin, prepared.title, prepared.nothing)
    count, columns = len(prepared.rows), len(prepared.read)
    figure = new_figure(look, prepared.origin, prepared.title, _ROW_PX * count + 8, [f"ringed: {prepared.meaning}"])
    places = np.arange(columns)
    numbered = columns <= _IN_CELLS
    figure.add_heatmap(
        x=places,
        y=np.arange(count),
        z=prepared.probability.astype(np.float32),
        zmin=0.0,
        zmax=1.0,
        colorscale=_SCALE,
        xgap=2,
        ygap=2,
        colorbar={
            "title": {"text": "probability", "side": "right"},
            "thickness": look.px(12),
            "outlinewidth": 0,
            "tickfont": {"size": look.size.small},
            "tickformat": ".0%",
        },
        text=[[f"after {r}: {row}, {percent(float(value))}" for r, value in zip(prepared.read, line, strict=True)]
              for row, line in zip(prepared.rows, prepared.probability, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
    )  # fmt: skip
    if numbered:
        _numbers(figure, look, prepared)
    figure.add_scatter(
        x=places,
        y=prepared.marked,
        mode="markers",
        marker={
            "symbol": "square-open",
            "size": look.px(22 if numbered else 15),
            "color": "#FF5A36",
            "line": {"width": look.size.line, "color": "#FF5A36"},
        },
        name=f"ringed: {prepared.meaning}",
        showlegend=True,
        hoverinfo="skip",
    )
    figure.update_xaxes(
        title_text="read last  (time runs to the right)",
        tickvals=places,
        ticktext=list(prepared.read),
        showgrid=False,
        range=[-0.5, columns - 0.5],
        tickangle=0,
    )
    figure.update_yaxes(
        title_text="expected next",
        tickvals=list(range(count)),
        ticktext=list(prepared.rows),
        range=[count - 0.5, -0.5],
        showgrid=False,
    )
    return figure


def _numbers(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    for row, line in enumerate(prepared.probability):
        for column, value in enumerate(line):
            finite = bool(np.isfinite(value))
            at = min(max(float(value), 0.0), 1.0) if finite else 0.0
            ground = str(plotly.colors.sample_colorscale(_SCALE, [at], colortype="rgb")[0])
            figure.add_annotation(
                text=_short(float(value)) if finite else "✕",
                x=column,
                y=row,
                font={"color": text_on(ground) if finite else look.theme.muted, "size": look.size.small},
            )


def _short(value: float) -> str:
    """A probability in two characters or so: .07, .93, 0, 1."""
    text = f"{value:.2f}"
    return {"0.00": "0", "1.00": "1"}.get(text, text[1:])
