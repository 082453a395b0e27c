"""The state gradient of a run, or of runs over their seeds, at every timestep and every recorded training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.blocks import block_edges, block_median, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, short, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.rails import mark_cells
from diagnostics.charts.scale import colour_axis
from diagnostics.charts.series import (
    INFINITE,
    MEANINGS,
    NAN,
    VALUE,
    ZERO,
    absent,
    cuts,
    kinds,
    log10,
    ratios,
    received,
    subject,
)
from diagnostics.measures.numbers import percent
from diagnostics.measures.profile import bands_by_lag, middle
from diagnostics.measures.seeds import groups, on_one_grid
from diagnostics.measures.sentence import name_word
from diagnostics.records import Array, Run

MOST_ROWS, MOST_COLUMNS = 400, 600
_PLOT_PX = 300
_WHAT = "gradient profile"
TITLE = "Every timestep, through training"


class Prepared(NamedTuple):
    """The gradients of a run or of a group's seeds, reduced to at most 400 training steps × 600 timesteps."""

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
    nothing: str
    """Why there is no row, where there is none."""
    cuts: tuple[int, ...] = ()
    """Timesteps before which the state was detached."""


def prepare(runs: Sequence[Run]) -> Prepared:
    """Arrange the profiles of one run, or of runs that differ only in their seed; raise ``ValueError`` for others.

    Over seeds each cell is the median over them at a training step that all have recorded, or that the others have not
    come to any more. As in the other figures, a seed without a finite positive gradient at the loss counts for nothing
    then, and what is nan in one that counts is nan.
    """
    bundles = groups(runs)
    if len(bundles) != 1:
        raise ValueError(f"runs must be one run, or differ only in their seed, for a heatmap, but got {len(runs)}")
    face = bundles[0].face
    title = f"{TITLE}: {run_labels([face])[0]}"
    facts = face.facts
    told = [run for run in runs if run.facts and facts and run.facts.loss_step == facts.loss_step]
    told = [run for run in told if run.records.rows("profile")]
    if facts is None or not told:
        origin = Origin("heatmap", ids(runs), "State gradient by training step and timestep", {})
        none = np.empty(0)
        return Prepared(origin, title, np.empty((0, 0)), none, none, (1, 1), 0, (), "", absent(runs, _WHAT))
    recorded, ratio = _over_seeds([(run.records["profile_step"], *_of_run(run, facts.loss_step)) for run in told])
    rows, columns = block_edges(len(ratio), MOST_ROWS), block_edges(ratio.shape[1], MOST_COLUMNS)
    block = (block_size(len(ratio), MOST_ROWS), block_size(ratio.shape[1], MOST_COLUMNS))
    over = _seeds_in_words(runs, told)
    origin = Origin(
        "heatmap",
        ids(runs),
        _caption(subject(runs), recorded, block, over),
        {
            "training_steps": [int(recorded[0]), int(recorded[-1])],
            "profiles": len(recorded),
            "unit": "ratio of l2 norms",
            "reduction": f"median over the batch{over}{_reduced(block, ', then median of blocks of ')}",
            "clip": "pre-clip",
            "over_seeds": len(runs) > 1,
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
        word=safe(name_word(short(facts.tokens[facts.needed], 18))),
        nothing=absent(runs, _WHAT),
        cuts=cuts(face)[:_CUTS_AT_MOST],
    )


_CUTS_AT_MOST = 40


def _of_run(run: Run, loss_step: int) -> tuple[Array, Array]:
    """The gradient ÷ that at the loss ``[P, T]`` of a run's profiles, and which of them have one to divide by."""
    back = bands_by_lag(run.records, loss_step).median
    after = bands_by_lag(run.records, loss_step, ahead=True).median
    median, at_loss = np.concatenate([back[:, ::-1], after[:, 1:]], axis=1), back[:, 0]
    # An exact zero is one whatever it is compared with; elsewhere nothing can be divided by a zero at the loss.
    ratio = np.where(median == 0, 0.0, ratios(median, back[:, :1]))
    return ratio, np.isfinite(at_loss) & (at_loss > 0)


def _over_seeds(seeds: Sequence[tuple[Array, Array, Array]]) -> tuple[Array, Array]:
    """The training steps ``[P]`` and the median map ``[P, T]`` over seeds of (steps, ratio, usable)."""
    if len(seeds) == 1:
        return seeds[0][0], seeds[0][1]
    grid, laid = on_one_grid([steps for steps, *_ in seeds], [np.arange(len(steps)) for steps, *_ in seeds])
    there = [np.isfinite(place) for place in laid]
    places = [np.where(one, place, 0).astype(int) for one, place in zip(there, laid, strict=True)]
    maps = np.stack([ratio[place] for (_, ratio, _), place in zip(seeds, places, strict=True)])
    counts = np.stack([one & use[place] for (*_, use), one, place in zip(seeds, there, places, strict=True)])
    # Where no seed can be compared, the first that is there shows what became of it.
    alone = ~counts.any(axis=0)
    counts[np.stack(there).argmax(axis=0)[alone], np.flatnonzero(alone)] = True
    found = np.empty(maps.shape[1:])
    patterns, which = np.unique(counts, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        rows = np.flatnonzero(which.ravel() == number)
        found[rows] = middle(maps[pattern][:, rows])
    return grid, found


def _seeds_in_words(runs: Sequence[Run], told: Sequence[Run]) -> str:
    if len(runs) == 1:
        return ""
    of = f"{len(runs)} seeds" if len(told) == len(runs) else f"{len(told)} of {len(runs)} seeds"
    ends = {int(run.records["profile_step"][-1]) for run in told}
    return f", then over {of}" + (f", of which the first ends at step {min(ends)}" if len(ends) > 1 else "")


def _caption(gradient: str, recorded: Array, block: tuple[int, int], over: str) -> str:
    recorded_at = f"{len(recorded)} profiles, training steps {recorded[0]} to {recorded[-1]}"
    if len(recorded) == 1:
        recorded_at = f"1 profile, training step {recorded[0]}"
    return (
        f"{gradient} ÷ its value at the loss of the same training step · median over the batch{over} · pre-clip · "
        f"{recorded_at}{_reduced(block, ' · each cell the median of ')}"
    )


def _reduced(block: tuple[int, int], begin: str) -> str:
    parts = [f"{size} {what}" for size, what in zip(block, ("profiles", "timesteps"), strict=True) if size > 1]
    return begin + " × ".join(parts) if parts else ""


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = []
    if prepared.ratio.size and prepared.informative:
        column = int(np.argmin(np.abs(prepared.timesteps - min(prepared.informative))))
        first, last = (received(float(prepared.ratio[row, column])) for row in (0, -1))
        said.append(f"{prepared.word} receives {first} in the first row and {last} in the last")
    return spoken([prepared.title, prepared.origin.caption, *said])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw training upwards and time to the right, with the loss at the right edge."""
    look = frame(theme, size)
    if not prepared.ratio.size:
        return waiting(look, prepared.origin, prepared.title, prepared.nothing)
    figure = new_figure(look, prepared.origin, prepared.title, _PLOT_PX, above_px=26)
    steps = prepared.training_steps.astype(np.float64)
    figure.add_heatmap(
        z=wire(log10(prepared.ratio)),
        x=wire(prepared.timesteps),
        y=wire(steps),
        coloraxis="coloraxis",
        hoverongaps=False,
        # The exponent itself: the ratio beside it would double what travels to the browser.
        hovertemplate=(
            "timestep %{x}<br>training step %{y:.0f}<br>10<sup>%{z:.2f}</sup> of the gradient at the loss"
            "<extra></extra>"
        ),
    )
    shown = _special(figure, look, prepared, steps)
    _marks(figure, look, prepared)
    width = prepared.block[1] / 2
    figure.update_xaxes(
        title_text=f"timestep (the loss is at {_where(prepared)})",
        showgrid=False,
        range=[prepared.timesteps[0] - width, prepared.timesteps[-1] + width],
    )
    figure.update_yaxes(title_text="training step", showgrid=False, range=_span(steps), **_few(prepared.training_steps))
    figure.update_layout(coloraxis=colour_axis(look))
    figure.layout.margin.b += look.px(34) + (look.px(24) if shown else 0)
    figure.layout.height += look.px(34) + (look.px(24) if shown else 0)
    if shown:
        figure.update_layout(legend={"y": look.px(52) / figure.layout.height})
    return figure


def _where(prepared: Prepared) -> str:
    last = prepared.timesteps[-1] + (prepared.block[1] - 1) / 2
    return "the right edge" if prepared.loss_step >= last else str(prepared.loss_step)


def _span(steps: Array) -> list[float]:
    """Return the range of training steps with half a row at either end."""
    half = 0.5 * (steps[-1] - steps[0]) / max(len(steps) - 1, 1) or 0.5
    return [float(steps[0] - half), float(steps[-1] + half)]


def _few(training_steps: Array) -> dict[str, object]:
    """Name every row where there are few, so that no tick falls between two training steps."""
    return {"tickvals": training_steps.tolist()} if len(training_steps) <= 6 else {}


def _special(figure: go.Figure, look: Frame, prepared: Prepared, steps: Array) -> bool:
    """Draw cells that have no logarithm on a neutral ground, with a symbol on them that says what they are."""
    found = kinds(prepared.ratio)
    if not (found != VALUE).any():
        return False
    for kind in (ZERO, INFINITE, NAN):
        cells = found == kind
        if not cells.any():
            continue
        figure.add_heatmap(
            z=np.where(cells, 1.0, np.nan).astype(np.float32),
            x=wire(prepared.timesteps),
            y=wire(steps),
            colorscale=[(0, look.theme.no_value), (1, look.theme.no_value)],
            showscale=False,
            hoverongaps=False,
            hovertemplate=f"timestep %{{x}}<br>training step %{{y:.0f}}<br>{MEANINGS[kind]}<extra></extra>",
        )
        rows, columns = np.nonzero(_sparse(cells))
        name = f"{MEANINGS[kind]} ({percent(float(np.mean(cells)))} of the cells)"
        mark_cells(figure, look, prepared.timesteps[columns], steps[rows], kind, name)
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
    for step in prepared.cuts:
        figure.add_vline(x=step - 0.5, line={"color": "#FFFFFF", "width": look.size.thin + 1.5})
        figure.add_vline(x=step - 0.5, line={"color": "#0B0D12", "width": look.size.thin, "dash": "dashdot"})
    notes: list[tuple[float, str, str]] = [(prepared.loss_step, "loss", "right")]
    if prepared.informative:
        notes.append((min(prepared.informative), f"<b>{prepared.word}</b>", "center"))
    if prepared.cuts:
        notes.append((prepared.cuts[0] - 0.5, "state detached", "center"))
    for x, text, anchor in notes:
        figure.add_annotation(
            text=f"{text} ▾" if anchor == "right" else f"▾ {text}",
            x=x,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor=anchor,
        )
