"""A line: the calls of one module, each of which begins with the state that the one before it handed on.

It keeps the states' values and, by hooks on the tensors themselves, their gradients. A hook holds its line, and nothing
in a line holds the graph: where a graph is dropped without a backward pass, so is its line.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from diagnostics.watching import graph
from diagnostics.watching.leaves import Path
from diagnostics.watching.passing import LayerPass

Place = tuple[int, str]
"""Which state of a step: its layer and "h" or "c"."""


@dataclass(slots=True)
class State:
    """One tensor that was handed on; ``gradients``: the number of a backward pass → what arrived in it."""

    value: Tensor
    token: object
    """Equal for states that are the same tensor."""
    made: int
    """The number of the node that made it."""
    gradients: dict[int, Tensor] = field(default_factory=dict)
    handle: Any = None


@dataclass(slots=True, eq=False)
class Line:
    """``steps[t]``: the states that were handed on after timestep t."""

    name: str
    finished: dict[int, Line]
    """Where the line enters itself once a gradient has arrived."""
    steps: list[dict[Place, State]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    """For every call: where in the order of all calls it began and ended, and the graph's next number when it began."""
    origins: list[dict[tuple[Hashable, ...], int]] = field(default_factory=list)
    """For every call: what its inputs are slices of → where in it they lie."""
    batch: int | None = None
    by_argument: bool = False
    """Whether the state is the one tensor that the module is called with, and no call returns it."""
    templates: dict[Place, tuple[Path, tuple[str, ...]]] = field(default_factory=dict)
    """For states that are changed between two calls: what of a call's output they are made from, by which nodes."""

    def append(self, span: tuple[int, int, int], origin: dict[tuple[Hashable, ...], int], batch: int | None) -> None:
        """One more call."""
        self.spans.append(span)
        self.origins.append(origin)
        self.batch = batch if self.batch is None else self.batch

    def has(self, t: int, place: Place) -> bool:
        """Whether there is a state at ``place`` after step ``t``."""
        return t < len(self.steps) and place in self.steps[t]

    def put(self, t: int, place: Place, tensor: Tensor, token: object) -> None:
        """``tensor`` is the state at ``place`` after step ``t``, in place of what was taken for it before."""
        found = graph.edge(tensor)
        state = self._new(t, place, tensor, token, -1 if found is None else found[0]._sequence_nr())
        if tensor.requires_grad:
            state.handle = tensor.register_hook(_arrival(self, state))

    def put_member(self, t: int, place: Place, value: Tensor, edge: graph.Edge) -> None:
        """As ``put``, of a tensor that is gone and whose ``value`` and place in the graph are left."""
        node, number = edge
        state = self._new(t, place, value, object(), node._sequence_nr())
        arrive = _arrival(self, state)
        state.handle = node.register_prehook(lambda gradients: arrive(gradients[number]))

    def _new(self, t: int, place: Place, value: Tensor, token: object, made: int) -> State:
        while len(self.steps) <= t:
            self.steps.append({})
        old = self.steps[t].pop(place, None)
        if old is not None and old.handle is not None:
            old.handle.remove()
        self.steps[t][place] = State(value.detach().clone(), token, made)
        return self.steps[t][place]

    def passes(self) -> list[list[LayerPass]]:
        """One list of layers for each backward pass that reached this line.

        Parts between cuts are not reached by one another's backward pass; the n-th of each belong together.
        """
        states = [state for step in self.steps for state in step.values()]
        bounds = [0, *self.cuts, len(self.steps)]
        parts = [range(start, stop) for start, stop in pairwise(bounds)]
        arrived = [
            sorted({number for t in part for state in self.steps[t].values() for number in state.gradients})
            for part in parts
        ]
        of_step = {t: numbers for part, numbers in zip(parts, arrived, strict=True) for t in part}
        layers = 1 + max(layer for step in self.steps for layer, _ in step) if states else 0
        return [
            [self._layer(layer, of_step, which) for layer in range(layers)]
            for which in range(max(map(len, arrived), default=0))
        ]

    def _layer(self, layer: int, of_step: dict[int, list[int]], which: int) -> LayerPass:
        def stacked(letter: str) -> tuple[Tensor, Tensor]:
            values, gradients = [], []
            for t, step in enumerate(self.steps):
                state, numbers = step[layer, letter], of_step[t]
                gradient = state.gradients.get(numbers[which]) if which < len(numbers) else None
                values.append(state.value)
                gradients.append(torch.zeros_like(state.value) if gradient is None else gradient)
            return torch.stack(values), torch.stack(gradients)

        h, grad_h = stacked("h")
        c, grad_c = stacked("c") if (layer, "c") in self.steps[0] else (None, None)
        return LayerPass(h, grad_h, c, grad_c)


def _arrival(line: Line, state: State) -> Any:
    def arrive(gradient: Tensor | None) -> None:
        if gradient is not None:
            # A copy: what is handed to the hook may become some parameter's .grad, which clipping changes in place.
            state.gradients[graph.backward_pass()] = gradient.detach().clone()
            line.finished[id(line)] = line

    return arrive
