"""How many numbers a network has and how much work a forward pass is, from its plan alone. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.cells import CELLS
from models.plan import Plan

WINDOW = 5
"""Neighbouring positions that a layer of the convolution sees at once."""

MAPS = (8, 16, 24)
"""Maps of the convolutions that look at a picture, each of which halves its sides."""


@dataclass(frozen=True)
class Count:
    """``body``: trained numbers between the table of words and the head. ``work``: multiply-adds of the body for one
    sample's forward pass. ``states``: numbers of one sample that are recorded. ``features``: what the head reads."""

    body: int
    work: int
    states: int
    features: int


def picture_size(width: int) -> int:
    """F, the features of a picture of ``width`` pixels a side."""
    return int(MAPS[-1] * (width // 2 ** len(MAPS)) ** 2)


def fixed(plan: Plan) -> int:
    """Numbers that are kept with the weights but not trained with them: the convolutions that look at a picture."""
    if not plan.pictures:
        return 0
    return sum(maps * (9 * below + 1) for below, maps in zip((3, *MAPS), MAPS, strict=False)) + 1


def count(kind: str, plan: Plan) -> Count:
    """The sizes of the network of a kind of ``MODELS``. Raises ``KeyError`` where there is no such kind."""
    return _KINDS[kind](plan)


def table(plan: Plan) -> int:
    """Numbers of the table of words."""
    return plan.vocabulary * plan.embedding if plan.embedding is not None else 0


def head(plan: Plan, features: int) -> int:
    """Trained numbers of the head; of one that is cut short (see ``models.softmax``), at most."""
    return plan.outputs * (features + 1)


def _recurrent(plan: Plan) -> Count:
    G, H, D = CELLS[plan.cell].gates, plan.hidden, 1 + plan.bidirectional
    lowest = plan.width + (picture_size(plan.pictures) if plan.pictures else 0)
    widths = [lowest] + [D * H] * (plan.layers - 1)
    one = sum(D * G * H * (width + H + 2) for width in widths)
    stacks = 2 if plan.bridge else 1
    begin = D * plan.layers * H * (1 + (CELLS[plan.cell].kind == "lstm")) if plan.learned_initial else 0
    return Count(stacks * one + begin, plan.timesteps * one, plan.timesteps * H * plan.layers * D, D * H)


def _feedforward(plan: Plan) -> Count:
    lowest = plan.timesteps * plan.width
    body = sum(plan.hidden * (size + 1) for size in [lowest] + [plan.hidden] * (plan.layers - 1))
    return Count(body, body, lowest, plan.hidden)


def _convolution(plan: Plan) -> Count:
    sizes = [plan.width] + [plan.hidden] * (plan.layers - 1)
    body = sum(plan.hidden * (size * WINDOW + 1) for size in sizes)
    return Count(body, plan.timesteps * body, plan.timesteps * plan.hidden * plan.layers, 2 * plan.hidden)


def _bag(plan: Plan) -> Count:
    return Count(0, plan.timesteps * plan.width, plan.timesteps * plan.width, plan.width)


_KINDS: Mapping[str, Callable[[Plan], Count]] = {
    "recurrent": _recurrent,
    "feedforward": _feedforward,
    "convolution": _convolution,
    "bag": _bag,
}
