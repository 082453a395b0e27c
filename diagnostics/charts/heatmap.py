"""The state gradient of one run at every timestep and every recorded training step, as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.blocks import block_edges, block_median, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, short
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.scale import colour_axis
from diagnostics.charts.series import INFINITE, MEANINGS, NAN, VALUE, ZERO, kinds, log10, ratios
from diagnostics.measures.numbers import percent
from diagnostics.measures.profile import bands_by_lag
from diagnostics.measures.sentence import name_word
from diagnostics.records import Array, Run

MOST_ROWS, MOST_COLUMNS = 400, 600
_PLOT_PX = 300
_TITLE = "Every timestep, through training"


class Prepared(NamedTuple):
    """One run's gradients, reduced to at most 400 training steps × 600 timesteps."""

    origin: Origin
    title: str
    ratio: Array
    """Gradient ÷ gradient at the loss of the same training step, ``[rows, columns]``; nan, inf and 0 are kept."""
    training_steps: Array
    """The first recorded training step of each row."""
    timesteps: Array
    """The middle timestep of each column."""
    block: tuple[int, int]
    """How many recorded training steps and timesteps one cell stands for."""
    loss_step: int
    informative: tuple[int, ...]
    word: str


def prepare(runs: Sequence[Run]) -> Prepared:
    """Arrange the profiles of exactly one run; raise ``ValueError`` for any other number of runs."""
    if len(runs) != 1:
        raise ValueError(f"runs must be exactly one run for a heatmap, but got {len(runs)}")
    run = runs[0]
    title = f"{_TITLE}: {run_labels(runs)[0]}"
    facts = run.facts
    if facts is None or not run.records.rows("profile"):
        origin = Origin("heatmap", ids(runs), "State gradient by training step and timestep", {})
        nothing = np.empty(0)
        return Prepared(origin, title, np.empty((0, 0)), nothing, nothing, (1, 1), 0, (), "")
    median = bands_by_lag(run.records, facts.loss_step).median
    # An exact zero is one whatever it is compared with; elsewhere nothing can be divided by a zero at the loss.
    ratio = np.where(median == 0, 0.0, ratios(median, median[:, :1]))[:, ::-1]
    rows, columns = block_edges(len(ratio), MOST_ROWS), block_edges(ratio.shape[1], MOST_COLUMNS)
    block = (block_size(len(ratio), MOST_ROWS), block_size(ratio.shape[1], MOST_COLUMNS))
    recorded = run.records["profile_step"]
    origin = Origin(
        "heatmap",
        ids(runs),
        _caption(recorded, block),
        {
            "training_steps": [int(recorded[0]), int(recorded[-1])],
            "profiles": len(recorded),
            "unit": "ratio of l2 norms",
            "reduction": f"median over the batch, then median of blocks of {block[0]} profiles × {block[1]} timesteps",
            "clip": "pre-clip",
        },
    )
    return Prepared(
        origin=origin,
        title=title,
        ratio=block_median(ratio, MOST_ROWS, MOST_COLUMNS),
        training_steps=recorded[rows[:-1]],
        timesteps=(columns[:-1] + columns[1:] - 1) / 2,
        block=block,
        loss_step=facts.loss_step,
        informative=facts.informative_steps,
        word=safe(name_word(short(facts.tokens[facts.loss_step - facts.distance], 18))),
    )


def _caption(recorded: Array, block: tuple[int, int]) -> str:
    reduced = "" if block == (1, 1) else f" · each cell the median of {block[0]} profiles × {block[1]} timesteps"
    return (
        "State gradient ÷ its value at the loss of the same training step · median over the batch · pre-clip · "
        f"{len(recorded)} profiles, training steps {recorded[0]} to {recorded[-1]}{reduced}"
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw training upwards and time to the right, with the loss at the right edge."""
    look = frame(theme, size)
    if not prepared.ratio.size:
        return waiting(look, prepared.origin, prepared.title, "Waiting for the first gradient profile…")
    figure = new_figure(look, prepared.origin, prepared.title, _PLOT_PX)
    steps = _spaced(prepared.training_steps)
    figure.add_heatmap(
        z=wire(log10(prepared.ratio)),
        x=wire(prepared.timesteps),
        y=wire(steps),
        coloraxis="coloraxis",
        hoverongaps=False,
        customdata=wire(prepared.ratio),
        hovertemplate=(
            "timestep %{x}<br>training step %{y:.0f}<br>%{customdata:.2e} of the gradient at the loss<extra></extra>"
        ),
    )
    shown = _special(figure, look, prepared, steps)
    _marks(figure, look, prepared)
    figure.update_xaxes(title_text="timestep (the loss is at the right edge)", showgrid=False)
    figure.update_yaxes(title_text="training step", showgrid=False)
    figure.update_layout(coloraxis=colour_axis(look))
    figure.layout.margin.b += look.px(34) + (look.px(24) if shown else 0)
    figure.layout.height += look.px(34) + (look.px(24) if shown else 0)
    if shown:
        figure.update_layout(legend={"y": look.px(52) / figure.layout.height})
    return figure


def _spaced(training_steps: Array) -> Array:
    """Return the rows' positions; a single row gets one that a heatmap can draw."""
    return np.asarray(training_steps, dtype=np.float64)


def _special(figure: go.Figure, look: Frame, prepared: Prepared, steps: Array) -> bool:
    """Draw cells that have no logarithm on a neutral ground, with a symbol on them that says what they are."""
    found = kinds(prepared.ratio)
    if not (found != VALUE).any():
        return False
    ground = np.where(found == VALUE, np.nan, 1.0)
    figure.add_heatmap(
        z=wire(ground),
        x=wire(prepared.timesteps),
        y=wire(steps),
        colorscale=[(0, look.theme.no_value), (1, look.theme.no_value)],
        showscale=False,
        hoverongaps=False,
        customdata=np.vectorize(lambda kind: MEANINGS.get(int(kind), ""))(found),
        hovertemplate="timestep %{x}<br>training step %{y:.0f}<br>%{customdata}<extra></extra>",
    )
    for kind, symbol in ((ZERO, "triangle-down-open"), (INFINITE, "triangle-up"), (NAN, "x-thin-open")):
        rows, columns = np.nonzero(_sparse(found == kind))
        if not (found == kind).any():
            continue
        figure.add_scatter(
            x=wire(prepared.timesteps[columns]),
            y=wire(steps[rows]),
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 0.8 * look.size.marker,
                "color": look.theme.text,
                "line": {"width": look.size.thin, "color": look.theme.text},
            },
            name=f"{MEANINGS[kind]} ({percent(float(np.mean(found == kind)))} of the cells)",
            hoverinfo="skip",
        )
    return True


def _sparse(cells: Array) -> Array:
    """Keep at most about 14 × 40 of the cells, spread evenly, and always at least one."""
    rows, columns = max(1, cells.shape[0] // 14), max(1, cells.shape[1] // 40)
    kept = np.zeros_like(cells)
    kept[rows // 2 :: rows, columns // 2 :: columns] = cells[rows // 2 :: rows, columns // 2 :: columns]
    if cells.any() and not kept.any():
        kept[tuple(np.argwhere(cells)[0])] = True
    return kept


def _marks(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    for step in prepared.informative:
        figure.add_vline(x=step, line={"color": "#FFFFFF", "width": look.size.thin + 1.5})
        figure.add_vline(x=step, line={"color": "#0B0D12", "width": look.size.thin, "dash": "dot"})
    first = min(prepared.informative, default=prepared.loss_step)
    for x, text, anchor in ((first, f"<b>{prepared.word}</b>", "center"), (prepared.loss_step, "loss", "right")):
        figure.add_annotation(
            text=f"{text} ▾" if anchor == "right" else f"▾ {text}",
            x=x,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor=anchor,
        )
