"""The table of all figures: what the page shows, what can be exported, and what each is called for those who listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from diagnostics.charts import clipping, heatmap, learning, profile, ribbon
from diagnostics.measures.numbers import number, percent, steps
from diagnostics.measures.verdict import verdict
from diagnostics.records import Run


@dataclass(frozen=True)
class FigureInfo:
    """One figure: ``draw(prepare(runs))`` is a plotly Figure.

    ``per_run`` figures take exactly one run. Where ``follows_step`` holds, ``prepare`` takes ``at_step``, the training
    step that the slider chose. ``draw`` takes ``theme`` and ``size``.
    """

    key: str
    title: str
    how_to_read: str
    per_run: bool
    follows_step: bool
    prepare: Callable[..., Any]
    draw: Callable[..., go.Figure]


FIGURES: Mapping[str, FigureInfo] = {
    info.key: info
    for info in (
        FigureInfo(
            key="ribbon",
            title="Which words can the network still learn from?",
            how_to_read=(
                "Each cell is a word; its colour says how much of the gradient at the blank arrives there: orange is "
                "as much as at the loss, dark is almost nothing, pale yellow is a hundred times as much. The ringed "
                "word holds the answer: where it is dark, the network cannot learn from it. Hatched cells with ▽ "
                "receive exactly 0."
            ),
            per_run=False,
            follows_step=True,
            prepare=ribbon.prepare,
            draw=ribbon.draw,
        ),
        FigureInfo(
            key="profile",
            title="How much gradient arrives, step by step back from the loss",
            how_to_read=(
                "Follow a line from the loss at the right back in time to the left: on this logarithmic axis a straight "
                "line down means that each step multiplies the gradient by the same factor below 1. The dotted line "
                "marks the word that matters; a line above the dashed 1 % there reaches it. Exact zeros stand as ▽ on "
                "the rail below, infinities and nan on rails above."
            ),
            per_run=False,
            follows_step=True,
            prepare=profile.prepare,
            draw=profile.draw,
        ),
        FigureInfo(
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
        ),
        FigureInfo(
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
        ),
        FigureInfo(
            key="clipping",
            title="What clipping does to the gradient's norm",
            how_to_read=(
                "The solid line is the norm of the whole gradient before clipping, the dashed one after it: where they "
                "part, clipping made the update smaller. Clipped on nearly every step, the threshold and not the "
                "learning rate decides how far the weights move; never clipped, it changes nothing. Clipping does not "
                "bring back a gradient that has vanished."
            ),
            per_run=False,
            follows_step=False,
            prepare=clipping.prepare,
            draw=clipping.draw,
        ),
    )
}


def accessible_name(key: str, runs: Sequence[Run]) -> str:
    """Return what a figure shows in words, with the numbers that a listener needs; ``KeyError`` for an unknown key."""
    said = _SAID[key]
    if not runs:
        return f"{FIGURES[key].title}. No runs yet."
    return f"{FIGURES[key].title}. " + " ".join(f"{run.name or run.id}: {said(run)}." for run in runs)


def _reached(run: Run) -> str:
    found = verdict(run)
    if found.kind is None or found.reach is None:
        return found.sentence.rstrip(".")
    return (
        f"{found.headline.lower()}, reach {found.reach} of {steps(found.of)}, "
        f"the informative step receives {number(found.informative_grad)} of the gradient at the loss"
    )


def _learned(run: Run) -> str:
    found = verdict(run)
    if found.success != found.success:
        return "not measured yet"
    return f"success {percent(found.success)} against {percent(found.chance)} by chance"


def _clipped(run: Run) -> str:
    panels = clipping.prepare([run]).panels
    return panels[0].remark if panels else "no training step yet"


_SAID: Mapping[str, Callable[[Run], str]] = {
    "ribbon": _reached,
    "profile": _reached,
    "heatmap": _reached,
    "learning": _learned,
    "clipping": _clipped,
}
