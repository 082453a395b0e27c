"""The table of all figures: what the page shows, what can be exported, and what each is called for those who listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from diagnostics.charts import clipping, heatmap, learning, profile, ribbon, sweep_map, what_if
from diagnostics.charts import sweep as sweep_chart
from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.measures.sweep import is_sweep, specs_of_sweep
from diagnostics.records import Run

__all__ = ["FIGURES", "INSPECTION_FIGURES", "Figure", "InspectionFigure", "accessible_name"]


@dataclass(frozen=True)
class Figure:
    """One figure: ``draw(prepare(runs))`` is a plotly Figure.

    ``per_run`` figures take one run, or runs that differ only in their seed, of which they show the median; the others
    take any, and ``over_seeds``, which draws runs that differ only in their seed as one. Where ``follows_step`` holds,
    ``prepare`` takes ``at_step``, the training step that the slider chose.
    ``draw`` takes ``theme`` and ``size``.
    """

    key: str
    title: str
    how_to_read: str
    per_run: bool
    follows_step: bool
    prepare: Callable[..., Any]
    draw: Callable[..., go.Figure]
    accessible_name: Callable[[Any], str]
    """What the prepared figure shows, in words and numbers."""
    applies: Callable[[Sequence[Run]], bool] = lambda runs: True
    """Whether these runs have something to say in the figure; only then a report holds it."""
    offered: Callable[[Sequence[Mapping[str, Any]]], bool] = lambda specs: True
    """Whether runs of these specs may have; only then an export, which has not read them, offers it."""
    of_watched: tuple[str, str] | None = None
    """Title and how to read it where every run is of a watched model, which has neither words nor a held-out set; None
    where the figure's own do for those too."""

    def words(self, watched: bool) -> tuple[str, str]:
        """The title, and how to read it; ``watched``: of runs that are all of watched models."""
        return self.of_watched if watched and self.of_watched else (self.title, self.how_to_read)


FIGURES: Mapping[str, Figure] = {
    info.key: info
    for info in (
        Figure(
            key="ribbon",
            title="Which words can the network still learn from?",
            how_to_read=(
                "Each cell is a word; its colour says how much of the gradient at the loss arrives there: amber is "
                "as much as at the loss, dark is almost nothing, pale yellow is ten times as much or more. The ringed "
                "word holds the answer: where it is dark, the network cannot learn from it. Hatched cells with ▽ "
                "receive exactly 0."
            ),
            per_run=False,
            follows_step=True,
            prepare=ribbon.prepare,
            draw=ribbon.draw,
            accessible_name=ribbon.describe,
            of_watched=(
                ribbon.WITHOUT_WORDS,
                "Each cell is a timestep; its colour says how much of the gradient at the loss arrives there: amber is "
                "as much as at the loss, dark is almost nothing, pale yellow is ten times as much or more. What lies "
                "in the dark the network cannot learn from; a ringed timestep is the one that distance=… names. "
                "Hatched cells with ▽ receive exactly 0.",
            ),
        ),
        Figure(
            key="profile",
            title="How much gradient arrives, step by step back from the loss",
            how_to_read=(
                "Follow a line from the loss at the right back in time to the left: on this logarithmic axis a "
                "straight line down means that each step multiplies the gradient by the same factor below 1. The "
                "dotted line marks the word that matters; a run above the dashed 1 % all the way there reaches it. "
                "Exact zeros stand as ▽ on the rail below, infinities and nan on rails above."
            ),
            per_run=False,
            follows_step=True,
            prepare=profile.prepare,
            draw=profile.draw,
            accessible_name=profile.describe,
            of_watched=(
                profile.TITLE,
                "Follow a line from the loss at the right back in time to the left: on this logarithmic axis a "
                "straight line down means that each step multiplies the gradient by the same factor below 1. Where it "
                "crosses the dashed 1 % ends the reach; a dotted line marks the timestep that distance=… names, and ✂ "
                "where the state was detached. Exact zeros stand as ▽ on the rail below, infinities and nan on rails "
                "above.",
            ),
        ),
        Figure(
            key="heatmap",
            title="Every timestep, through training",
            how_to_read=(
                "Each row is a training step, later ones higher up, and each column a timestep; colours are those of "
                "the sentence above. A bright area that grows to the left is a network that learns to look further "
                "back, and one that stays dark at the marked column never hears of the word that matters."
            ),
            per_run=True,
            follows_step=False,
            prepare=heatmap.prepare,
            draw=heatmap.draw,
            accessible_name=heatmap.describe,
            of_watched=(
                heatmap.TITLE,
                "Each row is a training step, later ones higher up, and each column a timestep; colours are those of "
                "the timesteps above. A bright area that grows to the left is a network that learns to look further "
                "back, and what stays dark it never hears of.",
            ),
        ),
        Figure(
            key="learning",
            title="Does it learn? Loss and success",
            how_to_read=(
                "Above is the loss, below the share of held-out answers that are right; dotted lines are what knowing "
                "nothing gives. A run that stays on the dotted lines has learned nothing, however well its gradient "
                "looks. A ✕ or ▲ at the top marks a loss that stopped being a finite number."
            ),
            per_run=False,
            follows_step=False,
            prepare=learning.prepare,
            draw=learning.draw,
            accessible_name=learning.describe,
            applies=learning.applies,
            of_watched=(
                learning.WITHOUT_HELD_OUT,
                "The loss of each training step's batch, as the training told it. Whether it falls says whether the "
                "model learns, which no gradient says by itself. A ✕ or ▲ at the top marks a loss that stopped being "
                "a finite number.",
            ),
        ),
        Figure(
            key="clipping",
            title="What clipping does to the gradient's norm",
            how_to_read=(
                "The solid line is the norm of the whole gradient before clipping, the dashed one after it: where they "
                "part, clipping shortened the gradient that the update is made from. Clipped by norm on nearly every "
                "step, only its direction is left: plain SGD then moves the weights by learning rate × threshold, "
                "while Adam and RMSprop rescale what they get in any case. Clipping does not bring back a gradient "
                "that has vanished."
            ),
            per_run=False,
            follows_step=False,
            prepare=clipping.prepare,
            draw=clipping.draw,
            accessible_name=clipping.describe,
        ),
        Figure(
            key="what_if_norm",
            title=what_if.TITLES["norm"],
            how_to_read=(
                "Choose a threshold along the axis: above it stands how many of the run's own steps it would have "
                "clipped, and below how short it would have made them, half of the clipped steps at the line and the "
                "worst at the dots. It tells of the gradients that this run had, clipped or not; another threshold "
                "leads training another way, which only training shows."
            ),
            per_run=False,
            follows_step=False,
            prepare=what_if.prepare_norm,
            draw=what_if.draw,
            accessible_name=what_if.describe,
        ),
        Figure(
            key="what_if_value",
            title=what_if.TITLES["value"],
            how_to_read=(
                "Above is the share of the gradient's entries that a threshold would have cut, below the cosine "
                "between the raw gradient and the cut one: 1 is the same direction, and what is lower has been turned. "
                "Clipping by norm always keeps 1. The points are exact, at 1, 2, 3 and 5 of every decade."
            ),
            per_run=False,
            follows_step=False,
            prepare=what_if.prepare_value,
            draw=what_if.draw,
            accessible_name=what_if.describe,
            applies=what_if.has_sizes,
        ),
        Figure(
            key="sweep",
            title=sweep_chart.TITLE,
            how_to_read=(
                "Each line is a kind of clipping, from the lowest threshold at the left to none at all, the star at "
                "the right end. Success that is higher at some threshold than at the star says that clipping was "
                "needed; success that falls towards the left says that it harmed, for a low threshold takes nearly "
                "all of every gradient. Bands are the lowest and the highest seed: lines whose bands overlap are not "
                "told apart."
            ),
            per_run=False,
            follows_step=False,
            prepare=sweep_chart.prepare,
            draw=sweep_chart.draw,
            accessible_name=sweep_chart.describe,
            applies=is_sweep,
            offered=specs_of_sweep,
        ),
        Figure(
            key="sweep_map",
            title=sweep_map.TITLE,
            how_to_read=(
                "A row is a cell with a kind of clipping, a column a threshold; the last column is no clipping. Bright "
                "yellow cells learned and dark blue ones did not; a ✕ counts the seeds that diverged. Where a whole "
                "row is yellow, the threshold does not matter."
            ),
            per_run=False,
            follows_step=False,
            prepare=sweep_map.prepare,
            draw=sweep_map.draw,
            accessible_name=sweep_map.describe,
            applies=is_sweep,
            offered=specs_of_sweep,
        ),
    )
}


def accessible_name(key: str, runs: Sequence[Run]) -> str:
    """Return what a figure shows of runs, in words and numbers; ``KeyError`` for an unknown key."""
    return FIGURES[key].accessible_name(FIGURES[key].prepare(runs))
