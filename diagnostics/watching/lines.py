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
from torch import Tensor, nn

from diagnostics.watching import graph
from diagnostics.watching.leaves import Path
from diagnostics.watching.passing import LayerPass
from diagnostics.watching.runs import Runs
from diagnostics.watching.shares import Share, weight_sum
from diagnostics.watching.stepwise import rounding
from diagnostics.watching.uses import ALIASES, Way, beyond, count

Place = tuple[int, str]
"""Which state of a step: its layer and "h" or "c"."""


@dataclass(slots=True)
class State:
    """One tensor that was handed on; ``gradients``: the number of a run of autograd → what arrived in it."""

    value: Tensor
    token: object
    """Equal for states that are the same tensor."""
    made: tuple[int, int]
    """The number of the node that made it, and which of its outputs it is."""
    gradients: dict[int, Tensor] = field(default_factory=dict)
    used: dict[int, Tensor | None] = field(default_factory=dict)
    """The number of a run → of which samples the loss uses it directly, as of ``uses.beyond``."""
    counts: bool = False
    """Whether that is asked for."""
    handle: Any = None


@dataclass(slots=True, eq=False)
class Line:
    """``steps[t]``: the states that were handed on after timestep t."""

    name: str
    finished: dict[int, Line]
    """Where the line enters itself once a gradient has arrived."""
    runs: Runs
    counted: bool = False
    """Whether it is to be told how often the loss uses the states."""
    steps: list[dict[Place, State]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    """For every call: where in the order of all calls it began and ended, and the graph's next number when it began."""
    origins: list[dict[tuple[Hashable, ...], int]] = field(default_factory=list)
    """For every call: what its inputs are slices of → where in it they lie."""
    shares: list[Share | None] = field(default_factory=list)
    """For every call, where the recurrent weight's gradient is checked."""
    products: set[torch.dtype] = field(default_factory=set)
    """What autocast had calls multiply in."""
    ways: list[Way | None] = field(default_factory=list)
    """For every step the way to the next one, of the top layer, where it is counted."""
    batch: int | None = None
    by_argument: bool = False
    """Whether the state is the one tensor that the module is called with, and no call returns it."""
    templates: dict[Place, tuple[Path, tuple[str, ...]]] = field(default_factory=dict)
    """For states that are changed between two calls: what of a call's output they are made from, by which nodes."""

    end_seen: bool = False
    """Whether what the latest call's state became was seen, where states are changed between two calls."""

    def append(
        self,
        span: tuple[int, int, int],
        origin: dict[tuple[Hashable, ...], int],
        batch: int | None,
        share: Share | None = None,
        product: torch.dtype | None = None,
    ) -> None:
        """One more call; ``product``: what autocast has it multiply in, None without."""
        self.end_seen = False
        if product is not None:
            self.products.add(product)
        self.shares.append(share)
        self.spans.append(span)
        self.origins.append(origin)
        self.batch = batch if self.batch is None else self.batch

    def has(self, t: int, place: Place) -> bool:
        """Whether there is a state at ``place`` after step ``t``."""
        return t < len(self.steps) and place in self.steps[t]

    def put(self, t: int, place: Place, tensor: Tensor, token: object) -> None:
        """``tensor`` is the state at ``place`` after step ``t``, in place of what was taken for it before."""
        found = graph.edge(tensor)
        state = self._new(t, place, tensor, token, (-1, 0) if found is None else graph.numbers(found))
        if tensor.requires_grad:
            state.handle = tensor.register_hook(_arrival(self, state, t, place))
        self._follow(t, place, found)

    def put_member(self, t: int, place: Place, value: Tensor, edge: graph.Edge) -> None:
        """As ``put``, of a tensor that is gone and whose ``value`` and place in the graph are left."""
        node, number = edge
        state = self._new(t, place, value, object(), graph.numbers(edge))
        arrive = _arrival(self, state, t, place)
        state.handle = node.register_prehook(lambda gradients: arrive(gradients[number]))
        self._follow(t, place, edge)

    def _follow(self, t: int, place: Place, edge: graph.Edge | None) -> None:
        """Listen to what comes by the way to this state from those before."""
        top = max((layer for layer, _ in self.steps[0]), default=0)
        if not self.counted or place[0] != top:
            return
        # Of a c that is no alias it cannot be told: h may be made of it.
        self.steps[t][place].counts = place[1] == "h" or (edge is not None and edge[0].name() in ALIASES)
        self.ways += [None] * (t + 1 - len(self.ways))
        if t and edge is not None:
            way = self.ways[t - 1]
            if place[1] == "h" or way is None:  # h is put first, and again where it is changed
                way = self.ways[t - 1] = Way(state.made for (at, _), state in self.steps[t - 1].items() if at == top)
            way.add(edge)

    def _new(self, t: int, place: Place, value: Tensor, token: object, made: tuple[int, int]) -> State:
        self.runs.listen()
        while len(self.steps) <= t:
            self.steps.append({})
        old = self.steps[t].pop(place, None)
        if old is not None and old.handle is not None:
            old.handle.remove()
        self.steps[t][place] = State(value.detach().clone(), token, made)
        return self.steps[t][place]

    def settle(self) -> None:
        """The calls are over. Where states are changed between them, what the last one returned is not yet the state:
        it is left out where what became of it was not seen."""
        if self.templates and not self.end_seen:
            del self.steps[len(self.spans) - 1 :]

    def passes(self) -> list[list[LayerPass]]:
        """One list of layers for each recorded run of autograd that reached this line."""
        of_call = self._recorded()
        layers = 1 + max((layer for step in self.steps for layer, _ in step), default=-1)
        return [
            [self._layer(layer, of_call, which) for layer in range(layers)]
            for which in range(max(map(len, of_call), default=0))
        ]

    def answers(self) -> list[int]:
        """For each of ``passes`` at how many timesteps the loss uses the top layer's state directly; 0 where that is
        not known."""
        of_call = self._recorded()
        whole = self.counted and not self.runs.differentiable and len(self.steps) == len(self.spans)
        found = []
        for which in range(max(map(len, of_call), default=0)):
            runs = [numbers[which] if which < len(numbers) else -1 for numbers in of_call]
            known = whole and all(way is None or way.known(run) for way, run in zip(self.ways, runs, strict=True))
            steps = zip(self.steps, runs, strict=True) if known else ()
            used = [[state.used[run] for state in step.values() if run in state.used] for step, run in steps]
            found.append(count(used))
        return found

    def weight_sums(self, module: nn.Module) -> list[Tensor | None]:
        """For each of ``passes`` the sum of the recurrent weight's shares; None where they were not kept."""
        of_call = self._recorded()
        found = []
        for which in range(max(map(len, of_call), default=0)):
            numbers = [numbers[which] if which < len(numbers) else None for numbers in of_call]
            shares = [(one, number) for one, number in zip(self.shares, numbers, strict=True) if one is not None]
            found.append(weight_sum(module, shares) if len(shares) == len(self.shares) else None)
        return found

    @property
    def again(self) -> bool:
        """Whether a run of autograd reached this line that is not recorded, or that a later one may go through."""
        arrived, recorded = ({n for numbers in found for n in numbers} for found in (self._arrived(), self._recorded()))
        return self.runs.differentiable or arrived != recorded

    @property
    def recorded(self) -> list[int]:
        """Of each of ``passes`` the run of autograd; of parts between cuts with a run each, the last."""
        of_call = self._recorded()
        return [
            max(of[which] for of in of_call if which < len(of)) for which in range(max(map(len, of_call), default=0))
        ]

    def _recorded(self) -> list[list[int]]:
        """For every call the numbers of the recorded runs that reached the part between two cuts that it is in. Such
        parts are not reached by one another's backward pass; the n-th of each belong together."""
        return [self.runs.recorded(numbers) for numbers in self._arrived()]

    def _arrived(self) -> list[list[int]]:
        found: list[list[int]] = []
        for start, stop in pairwise([0, *self.cuts, max(len(self.spans), len(self.steps))]):
            states = [state for step in self.steps[start:stop] for state in step.values()]
            found += [sorted({number for state in states for number in state.gradients})] * (stop - start)
        return found

    def _layer(self, layer: int, of_call: list[list[int]], which: int) -> LayerPass:
        def stacked(letter: str) -> tuple[Tensor, Tensor]:
            values, gradients = [], []
            for t, step in enumerate(self.steps):
                state, numbers = step[layer, letter], of_call[t]
                gradient = state.gradients.get(numbers[which]) if which < len(numbers) else None
                values.append(state.value)
                gradients.append(torch.zeros_like(state.value) if gradient is None else gradient)
            return torch.stack(values), torch.stack(gradients)

        h, grad_h = stacked("h")
        c, grad_c = stacked("c") if (layer, "c") in self.steps[0] else (None, None)
        return LayerPass(h, grad_h, c, grad_c, rounding=rounding(h, *self.products))


def _arrival(line: Line, state: State, t: int, place: Place) -> Any:
    def arrive(gradient: Tensor | None) -> None:
        if gradient is not None:
            run = line.runs.arrived()
            # A copy: what is handed to the hook may become some parameter's .grad, which clipping changes in place.
            state.gradients[run] = gradient.detach().clone()
            line.finished[id(line)] = line
            if state.counts:
                state.used[run] = beyond(line.ways[t], run, state.made, gradient, line.batch)

    return arrive
