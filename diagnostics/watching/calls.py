"""One recorded forward pass of a watched torch.nn layer, and what each backward pass through it leaves.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on (H without a
projection), L layers, D directions.

Neither the call nor what it keeps holds a graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from diagnostics.watching import graph as graphs
from diagnostics.watching.answers import Arriving, last_answer, uses, without
from diagnostics.watching.insides import Graph

Place = tuple[int, int]
"""Layer and direction; direction 1 is walked from the last timestep to the first."""


@dataclass(eq=False)
class Gradients:
    """What a backward pass leaves at one layer in one direction, in the order of time."""

    h: Tensor
    """[T,B,P], the total derivative with respect to the state that each step hands on."""
    c: Tensor | None = None
    """[T,B,H], for an LSTM: by the direct path."""
    recurrent: Tensor | None = None
    """[T,B,G·H], δ at what the recurrent weights give; None unless a check was asked for."""

    def plus(self, more: Gradients) -> Gradients:
        """The sum. No check is made of what consists of several."""
        return Gradients(self.h + more.h, None if self.c is None or more.c is None else self.c + more.c)


@dataclass(eq=False)
class States:
    """What a layer in one direction held in the forward pass, in the order of time; all detached."""

    h: Tensor
    c: Tensor | None
    gates: Mapping[str, Tensor]
    first: Tensor
    """[B,P], the state before the first step."""
    drive: Tensor | None = None
    """[T,B,G·H], what the recurrent weights gave, where the steps' own gradients at it are asked for."""
    rounding: torch.dtype | None = None
    """What its products were rounded to, where that is coarser than what ``h`` is kept in."""


class Backward:
    """One run of autograd through one call; ``task`` is autograd's number of it, ``serial`` its place among all that
    came to any call, and ``second`` whether it may have gone through the graph of a gradient too. Then ``totals`` have
    that in them, and how often the loss uses the output, and what its last use alone gives, is not known."""

    def __init__(self, serial: int, task: int, directions: int, *, second: bool) -> None:
        self.serial, self.task, self.second = serial, task, second
        self.totals: dict[Place, Gradients] = {}
        self.last: dict[Place, Gradients] = {}
        """Of the last answer alone: each direction's own last one."""
        self.answers = [0] * directions
        """By direction."""
        self.asked: set[int] = set()
        """The directions whose last answer was taken alone; of the others ``totals`` are it."""
        self.answered = [False] * directions
        """By direction: whether there was an answer here, or later on."""
        self.input_grad: dict[int, Tensor] = {}
        """[T,B,I], by direction."""
        self.carried: dict[int, tuple[Tensor, ...]] = {}
        """By direction, where an earlier call goes on into this one: the last answer's gradient at the states that this
        one began with, (h,) or (h, c), [L·D,B,·] each."""
        self.handed: Sequence[Tensor | None] | None = None
        """Where an earlier call goes on into this one by way of a change: what arrives at its ends by that way."""
        self.carried_back: dict[int, Sequence[Tensor | None]] = {}
        """By direction: the last answer's part of ``handed``."""
        self.lost = False
        """Whether what arrives by way of a change is not known, here or later on: then answers are not, either."""


class Way(Protocol):
    """A change of the states on their way from one call to the next."""

    def back(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None] | None:
        """What arrives at the ends of the earlier call where these arrive at the states that the later one is given;
        None where it cannot be known."""
        ...


class Book(Protocol):
    """What a call has to know of the ledger that it is in."""

    check: bool
    """Whether shares of the weights' gradients are asked for."""
    open: bool
    """Whether anything more is recorded."""

    def begun(self, call: Call) -> Backward:
        """A run of autograd has come to ``call``."""
        ...


class Call:
    """One forward pass of ``owner``, whose recurrent weights have the names ``weights``, a layer after the other and
    its directions in turn, in ``ledger``."""

    def __init__(
        self,
        ledger: Book,
        owner: object,
        layers: int,
        directions: int,
        lengths: Tensor | None,
        weights: Sequence[str],
    ) -> None:
        self.ledger, self.owner = ledger, owner
        self.layers, self.directions, self.lengths = layers, directions, lengths
        self._weights = weights
        self.number = 0
        """Its place among those of the ledger."""
        self.states: dict[Place, States] = {}
        self.ended: tuple[Tensor, ...] = ()
        """The final states, (h,) or (h, c), [L·D,B,·] each, detached."""
        self.steps = 0
        self.before: Call | None = None
        """The call of the same layer whose final states this one begins with."""
        self._after: weakref.ref[Call] | None = None
        self.changed = False
        """Whether the states that it begins with are computed from the final states of the call before."""
        self.lands = False
        """Whether it is told what goes back through the states that it begins with."""
        self.cut = False
        """Whether the states that it begins with are the end of something that no gradient goes back into."""
        self.backwards: list[Backward] = []
        self.differentiable = False
        """Whether a gradient has gone back through it that can itself be differentiated."""
        self._asking: tuple[Backward, int] | None = None

    def weight(self, place: Place) -> str:
        """The dotted name of the recurrent weight, "" where there is none to name."""
        return self._weights[place[0] * self.directions + place[1]]

    @property
    def after(self) -> Call | None:
        """The call of the same layer that begins with this one's final states."""
        return None if self._after is None else self._after()

    def go_on_from(self, other: Call, *, cut: bool) -> None:
        """This call begins with the final states of ``other``, which it keeps alive."""
        self.before, self.cut, other._after = other, cut, weakref.ref(self)

    def head(self) -> Call:
        """The first of the calls that go on from each other."""
        call = self
        while call.before is not None:
            call = call.before
        return call

    def chain(self) -> Iterator[Call]:
        """This call and those that go on from it."""
        call: Call | None = self
        while call is not None:
            yield call
            call = call.after

    def now(self) -> Backward | None:
        """The backward pass that is under way; None where it is not to be recorded."""
        if not self.ledger.open:
            return None
        if self._asking is not None:
            return self._asking[0]
        task = graphs.backward_pass()
        return next((one for one in reversed(self.backwards) if one.task == task), None) or self.ledger.begun(self)

    def collect(self, place: Place, gradients: Gradients) -> None:
        """These have been found at a layer. Where a gradient is differentiated, what goes through its graph comes
        apart from what goes through the layer."""
        now = self.now()
        if now is None:
            return
        if self._asking is None:
            known = now.totals.get(place)
            now.totals[place] = gradients if known is None else known.plus(gradients)
        elif place[1] == self._asking[1]:
            now.last[place] = gradients

    def room(self, place: Place) -> Gradients | None:
        """Zeros that the steps of a layer write their gradients into one by one; None where nobody asked for them."""
        now = self.now()
        if now is None or (self._asking is not None and place[1] != self._asking[1]):
            return None
        kept = now.totals if self._asking is None else now.last
        if place not in kept:
            states = self.states[place]
            c = None if states.c is None else torch.zeros_like(states.c)
            recurrent = None if states.drive is None else torch.zeros_like(states.drive)
            kept[place] = Gradients(torch.zeros_like(states.h), c, recurrent)
        return kept[place]

    def reached(self, direction: int, input_grad: Tensor) -> None:
        """The gradient with respect to the input has been found."""
        now = self.now()
        if now is not None and self._asking is None:
            now.input_grad[direction] = input_grad

    def ask(self, now: Backward, graph: Graph, arriving: Arriving) -> None:
        """Count the answers, and take the last one's gradients alone where there are several.

        ``arriving`` are the gradients at ``graph.ends``.
        """
        if now.second:
            return
        later = self._later(now)
        goes_back = self.before is not None and not self.cut
        lands = later is not None and self.after is not None and self.after.lands
        if later is not None and (later.lost or (lands and later.handed is None)):
            now.lost = True
            return
        direct = without(arriving, later.handed) if later is not None and later.handed is not None else arriving
        for direction in range(self.directions):
            used = uses(direct, direction, self.directions, self.lengths, finals=later is None or lands)
            now.answers[direction] = int(used.sum(0).max()) if used.size else 0
            part: Sequence[Tensor | None]
            answered_later = later is not None and later.answered[direction]
            now.answered[direction] = now.answers[direction] > 0 or answered_later
            if now.answers[direction] <= 1 and later is None and not goes_back:
                continue
            now.asked.add(direction)
            if later is not None and answered_later:
                part = later.carried_back[direction] if lands else (None, *later.carried[direction])
            else:
                part = last_answer(direct, used, self.lengths, direction, self.directions, graph.ends[1])
            wanted = [tensor for tensor in graph.initial if tensor.requires_grad]
            with self._asks(now, direction), graph.of_states_alone():
                found = _backward(graph.ends, part, wanted)
            if goes_back:
                states = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
                places = self.layers * self.directions
                now.carried[direction] = tuple(
                    torch.stack(states[k : k + places]) for k in range(0, len(states), places)
                )

    def landed(self, way: Way, arriving: Sequence[Tensor | None]) -> None:
        """These have arrived at the states that it was given: find what that makes at the call before."""
        now = self.now()
        if now is None or now.second or now.lost:
            return
        now.handed = way.back(arriving)
        for direction, part in now.carried.items():
            back = way.back(part) if direction in now.asked else None
            if back is None:
                now.handed = None
            else:
                now.carried_back[direction] = back

    def _later(self, now: Backward) -> Backward | None:
        """What the backward pass that is under way left at the call that goes on from this one."""
        if self.after is None or self.after.cut or not self.after.backwards:
            return None
        later = self.after.backwards[-1]
        return later if later.task == now.task else None

    @contextmanager
    def _asks(self, now: Backward, direction: int) -> Iterator[None]:
        self._asking = now, direction
        try:
            yield
        finally:
            self._asking = None


def _backward(
    ends: Sequence[Tensor], gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    pairs = [(end, gradient) for end, gradient in zip(ends, gradients, strict=True) if gradient is not None]
    if not pairs:
        return [None] * len(inputs)
    return torch.autograd.grad(
        [end for end, _ in pairs], inputs, [gradient for _, gradient in pairs], retain_graph=True, allow_unused=True
    )
