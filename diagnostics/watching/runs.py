"""Which runs of autograd are recorded: those that add to the ``.grad`` of parameters, which updates are made from.

In one training step autograd may run over the same states more than once: for a gradient penalty or a product with the
Hessian (``create_graph``), for a saliency map. Such a run hands its gradients to whoever asked for them, and not to a
parameter. With a gradient penalty the run that adds to ``.grad`` has gone through the other one's graph as well: the
gradient that arrives at a state is then the total derivative of the loss with the penalty in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.watching import graph
from diagnostics.watching.passing import Pass

AGAIN = (
    "autograd ran over it more than once, or with create_graph (say, for a gradient penalty): shown is the run that "
    "adds to the parameters' .grad, and its shares of the weight's gradient are not checked"
)
"""What is said of a part where a run is left out, or went through another one's graph."""


def in_order(found: Iterable[tuple[int, int, Pass]]) -> list[Pass]:
    """Passes in the order of the runs of autograd that they are of, and of each in the order of the forward; those of
    one group and one run are separate calls. ``found``: of each the number of the run, and of what it began with."""
    passes: list[Pass] = []
    calls: dict[tuple[str, int], int] = {}
    for run, _, one in sorted(found, key=lambda item: item[:2]):
        call = calls.get((one.group, run), 0)
        calls[one.group, run] = call + 1
        passes.append(replace(one, call=call))
    return passes


def numbers(counts: Sequence[int]) -> str:
    """How often each of several things was done, in words."""
    of = sorted(set(counts))
    if len(counts) > 2 and len(of) > 1:
        return f"{of[0]} to {of[-1]}"
    return " and ".join(map(str, of if len(of) == 1 else counts))


class Runs:
    """The runs of autograd of one training step, by the number that autograd gives to each."""

    def __init__(self, parameters: Callable[[], Iterable[nn.Parameter]] = tuple) -> None:
        self._parameters = parameters
        self._handles: list[Any] | None = None
        self._added: set[int] = set()
        self._arrived: set[int] = set()
        self.differentiable = False
        """Whether a run that arrived made a graph of its own, so that a later one may go through it."""

    def listen(self) -> None:
        """There is a state at which gradients will arrive."""
        if self._handles is None:
            self._handles = [
                one.register_post_accumulate_grad_hook(self._accumulated)
                for one in self._parameters()
                if one.requires_grad and one.is_leaf
            ]

    def arrived(self) -> int:
        """The number of the run that goes on now, and whose gradient has arrived at a state."""
        number = graph.backward_pass()
        self._arrived.add(number)
        self.differentiable |= torch.is_grad_enabled()  # so it is in a hook where create_graph was asked for
        return number

    def recorded(self, numbers: Sequence[int]) -> list[int]:
        """Of the runs that arrived at one part of the graph, in their order, those that are recorded.

        Where no run that arrived anywhere added to a ``.grad``, somebody assigns it by hand, and the last one is.
        """
        if self._added & self._arrived:
            return [number for number in numbers if number in self._added]
        return list(numbers[-1:])

    def close(self) -> None:
        """Listen no more."""
        for handle in self._handles or ():
            handle.remove()
        self._handles = None

    def _accumulated(self, parameter: Tensor) -> None:
        self._added.add(graph.backward_pass())
