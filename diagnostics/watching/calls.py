"""One recorded forward pass of a watched torch.nn layer, and what each backward pass through it leaves.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on (H without a
projection), L layers, D directions.

Every recorded forward pass goes in through an ``Entrance`` per direction and out through one ``Exit``. The latter's
backward runs before that of any layer, so it is where a backward pass through the layer begins; the former's tells what
arrives at the input. Neither the call nor what it keeps holds a graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.watching.answers import Arriving, last_answer, uses

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


@dataclass(eq=False)
class Backward:
    """One backward pass through one call."""

    serial: int
    """Its place among all of the source."""
    task: int
    """Which run of autograd's engine it is part of."""
    totals: dict[Place, Gradients] = field(default_factory=dict)
    last: dict[Place, Gradients] = field(default_factory=dict)
    """Of the last answer alone: each direction's own last one."""
    answers: list[int] = field(default_factory=list)
    """By direction."""
    asked: set[int] = field(default_factory=set)
    """The directions whose last answer was taken alone; of the others ``totals`` are it."""
    answered: list[bool] = field(default_factory=list)
    """By direction: whether there was an answer here, or later on."""
    input_grad: dict[int, Tensor] = field(default_factory=dict)
    """[T,B,I], by direction."""
    carried: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    """By direction, where an earlier call goes on into this one: the last answer's gradient at the states that this one
    began with, (h,) or (h, c), [L·D,B,·] each."""


class Ledger:
    """The calls of one recorded training step; a call whose ledger is closed records no more."""

    def __init__(self, *, check: bool) -> None:
        self.check = check
        self.calls: list[Call] = []
        self.open = True
        self.serial = 0

    def close(self) -> None:
        """Forget all calls, which know each other and this ledger, so that no memory waits for the collector."""
        self.open = False
        for call in self.calls:
            call.before = call.after = None
        self.calls = []


class Call:
    """One forward pass of the layer called ``name``, in ``ledger``."""

    def __init__(self, ledger: Ledger, owner: object, layers: int, directions: int, lengths: Tensor | None) -> None:
        self.ledger, self.owner = ledger, owner
        self.layers, self.directions, self.lengths = layers, directions, lengths
        self.states: dict[Place, States] = {}
        self.ended: tuple[Tensor, ...] = ()
        """The final states, (h,) or (h, c), [L·D,B,·] each, detached."""
        self.steps = 0
        self.before: Call | None = None
        self.after: Call | None = None
        """The calls of the same layer whose final states this one begins with, and that begins with this one's."""
        self.cut = False
        """Whether the states that it begins with are the end of something that no gradient goes back into."""
        self.backwards: list[Backward] = []
        self._asked: int | None = None

    def begin(self) -> Backward:
        """A backward pass arrives."""
        self.ledger.serial += 1
        # autograd's engine numbers its runs; torch.utils.checkpoint relies on the same function
        self.backwards.append(Backward(self.ledger.serial, torch._C._current_graph_task_id()))
        return self.backwards[-1]

    def collect(self, place: Place, gradients: Gradients) -> None:
        """A layer's backward is done: these are its gradients."""
        if not self.ledger.open or not self.backwards:
            return
        if self._asked is None:
            self.backwards[-1].totals[place] = gradients
        elif place[1] == self._asked:
            self.backwards[-1].last[place] = gradients

    def room(self, place: Place) -> Gradients | None:
        """Zeros that the steps of a layer write their gradients into one by one; None where nobody asked for them."""
        if not self.ledger.open or not self.backwards or self._asked not in (None, place[1]):
            return None
        now = self.backwards[-1]
        kept = now.totals if self._asked is None else now.last
        if place not in kept:
            states = self.states[place]
            c = None if states.c is None else torch.zeros_like(states.c)
            recurrent = None if states.drive is None else torch.zeros_like(states.drive)
            kept[place] = Gradients(torch.zeros_like(states.h), c, recurrent)
        return kept[place]

    def reached(self, direction: int, input_grad: Tensor) -> None:
        """The gradient with respect to the input has been found."""
        if self.ledger.open and self.backwards and self._asked is None:
            self.backwards[-1].input_grad[direction] = input_grad

    def ask(self, graph: Graph, arriving: Arriving) -> None:
        """Count the answers, and take the last one's gradients alone where there are several.

        ``arriving`` are the gradients at ``graph.ends``.
        """
        now, later = self.backwards[-1], self._later()
        goes_back = self.before is not None and not self.cut
        for direction in range(self.directions):
            used = uses(arriving, direction, self.directions, self.lengths, finals=later is None)
            now.answers.append(int(used.sum(0).max()) if used.size else 0)
            answered_later = later is not None and later.answered[direction]
            now.answered.append(now.answers[-1] > 0 or answered_later)
            if now.answers[-1] <= 1 and later is None and not goes_back:
                continue
            now.asked.add(direction)
            if later is not None and answered_later:
                part: Sequence[Tensor | None] = (None, *later.carried[direction])
            else:
                part = last_answer(arriving, used, self.lengths, direction, self.directions)
            wanted = [tensor for tensor in graph.initial if tensor.requires_grad]
            with self._asking(direction), graph.of_states_alone():
                found = _backward(graph.ends, part, wanted)
            if goes_back:
                states = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
                places = self.layers * self.directions
                now.carried[direction] = tuple(
                    torch.stack(states[k : k + places]) for k in range(0, len(states), places)
                )

    def _later(self) -> Backward | None:
        """What the backward pass that is under way left at the call that goes on from this one."""
        if self.after is None or self.after.cut or not self.after.backwards:
            return None
        later = self.after.backwards[-1]
        return later if later.task == self.backwards[-1].task else None

    @contextmanager
    def _asking(self, direction: int) -> Iterator[None]:
        self._asked = direction
        try:
            yield
        finally:
            self._asked = None


def _backward(
    ends: Sequence[Tensor], gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    pairs = [(end, gradient) for end, gradient in zip(ends, gradients, strict=True) if gradient is not None]
    if not pairs:
        return [None] * len(inputs)
    return torch.autograd.grad(
        [end for end, _ in pairs], inputs, [gradient for _, gradient in pairs], retain_graph=True, allow_unused=True
    )


class Graph:
    """The graph of a call between the states that its layers begin with and what they give.

    ``initial``: (h0, …) or (h0, …, c0, …), [B,·] each, of the bottom layer's directions, or of all layers where all
    have a graph; ``ends``: (output [T,B,D·P], h_n [L·D,B,P][, c_n [L·D,B,H]]); ``recurrences``: the nodes of the
    instrumented recurrences, bottom layer first, and ``bottom`` how many of them are in that.
    """

    def __init__(
        self, initial: Sequence[Tensor], ends: Sequence[Tensor], recurrences: Sequence[Any], bottom: int
    ) -> None:
        self.initial, self.ends, self.recurrences, self.bottom = initial, ends, recurrences, bottom

    @contextmanager
    def of_states_alone(self) -> Iterator[None]:
        """Within, what goes back through a recurrence forms no gradient of weights, nor of the bottom layer's input.

        A Function's ``needs_input_grad`` is what required a gradient in the forward pass, whatever ``autograd.grad``
        is asked for; with it as it is everything would be right, too, but take twice as long.
        """
        were = [node.needs_input_grad for node in self.recurrences]
        states = len(self.ends) - 1
        for k, node in enumerate(self.recurrences):
            *before, of_x = were[k][: -4 - states]  # x, the states, and four weights and biases are what comes last
            of_x = of_x and k >= self.bottom
            node.needs_input_grad = (*before, of_x, *were[k][-4 - states : -4], *[False] * 4)
        try:
            yield
        finally:
            for node, was in zip(self.recurrences, were, strict=True):
                node.needs_input_grad = was


class Entrance(Function):
    """The input on its way into the bottom layer of one direction, [T,B,I].

    The ``anchor`` requires a gradient and gets none: it is there so that the way back is walked down to the input also
    where nobody else wants a gradient there.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, direction: int, anchor: Tensor, x: Tensor) -> Tensor:
        """``x`` [T,B,I], as it is."""
        ctx.call, ctx.direction = call, direction
        ctx.set_materialize_grads(False)
        return x.detach()

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        """Tell the gradient at the input, and hand it on where it is wanted."""
        (gradient,) = arriving
        if gradient is not None:
            ctx.call.reached(ctx.direction, gradient.detach())
        return None, None, None, gradient if ctx.needs_input_grad[3] else None


class Exit(Function):
    """What the layers give, (output [T,B,D·P], h_n [L·D,B,P][, c_n [L·D,B,H]]), on its way out.

    The person may write into what is returned: ``copied`` says that it is nobody else's already.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, graph: Graph, copied: bool, *ends: Tensor) -> tuple[Tensor, ...]:
        """``ends``, the output copied where it is the layer's own."""
        ctx.call, ctx.graph = call, graph
        ctx.set_materialize_grads(False)
        output, *finals = ends
        return output.detach() if copied else output.clone(), *(final.detach() for final in finals)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        """Begin a backward pass through the call, and hand on what arrives."""
        if ctx.call.ledger.open:
            ctx.call.begin()
            with torch.no_grad():
                ctx.call.ask(ctx.graph, arriving)
        return None, None, None, *arriving
