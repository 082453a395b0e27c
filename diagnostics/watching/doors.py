"""The way into and out of a recorded forward pass of a watched layer: an ``Entrance`` per direction, one ``Exit``.

The ``Exit``'s backward runs before that of any layer; an ``Entrance``'s tells what arrives at the input, and a
``Landing``'s what arrives at states that come from an earlier call by way of a change.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on, L layers, D
directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.watching.calls import Call, Way
from diagnostics.watching.insides import Graph


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


class Straight:
    """The way of states that are given as the call before has left them."""

    def back(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The same at its ends, of which the first is the output."""
        return [None, *gradients]


class Landing(Function):
    """The states that a call is given, (h0,) or (h0, c0), [L·D,B,·] each, where they come from the final states of the
    call before: by ``way`` of a change, or straight."""

    @staticmethod
    def forward(ctx: Any, call: Call, way: Way, *first: Tensor) -> tuple[Tensor, ...]:
        """``first``, as they are."""
        ctx.call, ctx.way = call, way
        ctx.set_materialize_grads(False)
        return tuple(state.detach() for state in first)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        """Tell what arrives, and hand it on."""
        with torch.no_grad():
            ctx.call.landed(ctx.way, arriving)
        return None, None, *arriving


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
        now = ctx.call.now()
        if now is not None:
            with torch.no_grad():
                ctx.call.ask(now, ctx.graph, arriving)
        return None, None, None, *arriving
