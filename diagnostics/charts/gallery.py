"""The table of all figures: what the page shows, what can be exported, and what each is called for those who listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from diagnostics.charts import clipping, heatmap, learning, profile, ribbon
from diagnostics.records import Run


@dataclass(frozen=True)
class Figure:
    """One figure: ``draw(prepare(runs))`` is a plotly Figure.

    ``per_run`` figures take exactly one run; the others take ``over_seeds``, which draws runs that differ only in their
    seed as one. Where ``follows_step`` holds, ``prepare`` takes ``at_step``, the training step that the slider chose.
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
    )
}


def accessible_name(key: str, runs: Sequence[Run]) -> str:
    """Return what a figure shows of runs, in words and numbers; ``KeyError`` for an unknown key."""
    return FIGURES[key].accessible_name(FIGURES[key].prepare(runs))
