"""The itemised gradient: what each answer's loss says to every timestep, and its mean by lag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import BackLine, BackLines, draw_back, labels_and_styles, line_of
from diagnostics.charts.blocks import block_edges
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire, words_above
from diagnostics.charts.inspected import check_layer, lacking, nothing_in, origin_of, token_ticks
from diagnostics.charts.inspected_seeds import Shown, bundled, members, origin_over, span
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.rails import mark_cells
from diagnostics.charts.scale import colour_axis
from diagnostics.charts.series import INFINITE, MEANINGS, NAN, VALUE, ZERO, kinds, log10, ratios
from diagnostics.inspection import Inspection
from diagnostics.measures.numbers import number, steps
from diagnostics.records import Array

TITLE = "What each answer says to every timestep"
LAGS = "How far back an answer is heard, all answers together"
NEEDS = ("answer_steps", "itemised")
LAG_NEEDS = ("answer_steps", "lag_profile")
MOST_COLUMNS = 500
_ROW_PX, _LEAST_PX, _MOST_PX = 9, 110, 460
_LETTER_PX = 6
ONE = "This task gives one answer, so that its matrix is one row: the state gradient itself."


class Prepared(NamedTuple):
    """A row for each answer, a column for each timestep (or, of a long sequence, for some of them)."""

    origin: Origin
    inspection: Inspection | None
    ratio: Array
    """Gradient ÷ gradient at the answer of the same row, ``[A, columns]``; nan, inf and 0 are kept."""
    heard: Array
    """Whether the column is not behind the row's answer, where there is no gradient to speak of."""
    answers: Array
    timesteps: Array
    nothing: str


def prepare(inspection: Inspection, layer: int = 0) -> Prepared:
    """Arrange ‖∂L_τ/∂s_k‖; raise ``ValueError`` where there is no such layer."""
    check_layer(inspection, layer)
    lack = lacking(inspection, NEEDS)
    caption = (
        "Gradient of each answer's own loss by the state ÷ its value at that answer · median over the samples · "
        "pre-clip"
    )
    ratio: Array = np.empty((0, 0))
    heard: Array = np.empty((0, 0), dtype=bool)
    answers: Array = np.empty(0)
    columns: Array = np.empty(0)
    if not lack:
        answers, matrix = inspection["answer_steps"], inspection["itemised"][layer]
        at_answer = matrix[np.arange(len(answers)), answers][:, None]
        columns = block_edges(inspection.timesteps, MOST_COLUMNS)[:-1]
        if len(columns) < inspection.timesteps:
            columns = np.union1d(columns, answers)
            caption += f" · {len(columns)} of {inspection.timesteps} timesteps"
        heard = columns[None] <= answers[:, None]
        ratio = np.where(matrix == 0, 0.0, ratios(matrix, at_answer))[:, columns]
        if len(answers) == 1:
            caption += " · one answer, one row"
        elif len(answers) < inspection.timesteps:
            caption += f" · {len(answers)} of {inspection.timesteps} answers"
    origin = origin_of(
        "itemised",
        [inspection],
        caption,
        layer,
        unit="ratio of l2 norms",
        reduction="median over the samples",
        clip="pre-clip",
    )
    return Prepared(origin, inspection, ratio, heard, answers, columns, lack)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = []
    if len(prepared.answers) == 1:
        said.append(ONE)
    for row in sorted({len(prepared.answers) // 2, len(prepared.answers) - 1}) if len(prepared.answers) else ():
        first = number(float(prepared.ratio[row, 0]))
        answer = int(prepared.answers[row])
        said.append(f"Of the answer at timestep {answer}, timestep 0 receives {first} of what there is at the answer")
    return spoken([TITLE, plain(prepared.origin.caption), *said])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw answers upwards and timesteps to the right: an answer stands on the diagonal, its past to the left."""
    look = frame(theme, size)
    if not prepared.ratio.size or prepared.inspection is None:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    height = min(max(_ROW_PX * len(prepared.answers), _LEAST_PX), _MOST_PX)
    figure = new_figure(look, prepared.origin, TITLE, height)
    rows = np.arange(len(prepared.answers))
    figure.add_heatmap(
        z=wire(np.where(prepared.heard, log10(prepared.ratio), np.nan)),
        x=wire(prepared.timesteps),
        y=wire(rows),
        coloraxis="coloraxis",
        hoverongaps=False,
        customdata=np.broadcast_to(prepared.answers[:, None], prepared.ratio.shape).astype(np.float32),
        hovertemplate=(
            "answer at timestep %{customdata}<br>state at timestep %{x}<br>10<sup>%{z:.2f}</sup> of its gradient at "
            "the answer<extra></extra>"
        ),
    )
    shown = _special(figure, look, prepared, rows)
    ticks = token_ticks(prepared.inspection, 0, look.plot_words)
    longest = max((len(token) for token in prepared.inspection.tokens[0]), default=0)
    one = len(prepared.answers) == 1
    figure.update_xaxes(title_text="timestep of the state", showgrid=False, **ticks)
    figure.update_yaxes(
        title_text="the answer's timestep" if not one else "", showgrid=False, **_row_ticks(prepared.answers)
    )
    figure.update_layout(coloraxis=colour_axis(look), plot_bgcolor=look.theme.rail)
    more = look.px(34) + (look.px(24) if shown else 0) + (look.px(_LETTER_PX * longest) if ticks["tickangle"] else 0)
    figure.layout.margin.b += more
    figure.layout.height += more
    if shown:
        figure.update_layout(legend={"y": look.px(52) / figure.layout.height})
    if one:
        words, beyond = words_above(look, ONE)
        figure.add_annotation(
            text=words, x=0, xref="paper", xanchor="left", y=1, yref="paper", yanchor="bottom", align="left",
            font={"color": look.theme.muted},
        )  # fmt: skip
        figure.layout.margin.t += look.px(18 + beyond)
        figure.layout.height += look.px(18 + beyond)
    return figure


def _row_ticks(answers: Array) -> dict[str, object]:
    count = len(answers)
    every = max(1, -(-count // 8))
    rows = list(range(count - 1, -1, -every))
    return {"tickvals": rows, "ticktext": [str(int(answers[row])) for row in rows]}


def _special(figure: go.Figure, look: Frame, prepared: Prepared, rows: Array) -> bool:
    """Mark the cells that have no logarithm with what they are; what lies behind an answer is no cell."""
    found = np.where(prepared.heard, kinds(prepared.ratio), VALUE)
    any_there = False
    for kind in (ZERO, INFINITE, NAN):
        at_row, at_column = np.nonzero(found == kind)
        if not at_row.size:
            continue
        any_there = True
        kept = np.linspace(0, len(at_row) - 1, min(len(at_row), 300)).round().astype(int)
        name = f"{MEANINGS[kind]} ({len(at_row)} of {int(prepared.heard.sum())} cells)"
        mark_cells(figure, look, prepared.timesteps[at_column[kept]], rows[at_row[kept]], kind, name)
    return any_there


def prepare_lags(inspections: Sequence[Shown], layer: int = 0) -> BackLines:
    """Take the mean over all (answer, timestep) pairs by how far they lie apart, of each (name, inspection).

    Raises ``ValueError`` where they are too many to be told apart, or one has no such layer.
    """
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    for _, one in members(bundles):
        check_layer(one, layer)
    lack = nothing_in(members(bundles), LAG_NEEDS)
    lines = () if lack else tuple(
        line_of(
            bundle, label, style, lambda one: one["lag_profile"][layer][: int(one["answer_steps"][-1]) + 1]
        )
        for bundle, (label, style) in zip(bundles, looks, strict=True)
    )  # fmt: skip
    origin = origin_over(
        "lag_profile",
        bundles,
        "Gradient of an answer's own loss by the state so many steps before it, l2 norm · mean over the answers of the "
        "median over the samples · pre-clip",
        layer,
        unit="l2",
        reduction="median over the samples, then mean over the pairs of one lag",
        clip="pre-clip",
    )
    return BackLines(origin, lines, (), lack)


def describe_lags(prepared: BackLines) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([LAGS, plain(prepared.origin.caption), *(_said(line) for line in prepared.lines)])


def _said(line: BackLine) -> str:
    there = np.flatnonzero(~np.isnan(line.values))
    if not there.size:
        return f"{line.label}: no lag has a gradient that is a number"
    first, last = int(there[0]), int(there[-1])
    return (
        f"{line.label}: {number(float(line.values[first]))}{span(line.over, first)} at the answer and "
        f"{number(float(line.values[last]))}{span(line.over, last)} {steps(last)} before it"
    )


def draw_lags(prepared: BackLines, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the means with time running to the right, the answer at 0."""
    return draw_back(
        prepared,
        LAGS,
        theme=theme,
        size=size,
        y_title="state gradient (l2)",
        hover="%{x} steps before the answer<br>%{y:.2e} (l2, pre-clip)",
        x_title="steps back from the answer  (time runs to the right, the answer at 0)",
    )
