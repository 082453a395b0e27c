"""The calls of torch.nn's layers in one recorded training step, and of what went back through them no more than is
needed: under accumulation the newest runs of autograd, and of the earlier ones their share of the weights' gradients.

Letters: T timesteps, B batch, H hidden size, P size of the state that is handed on, G gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from diagnostics.watching import graph
from diagnostics.watching.calls import Backward, Call, Place
from diagnostics.watching.runs import Runs

KEPT = 2
"""Of the runs of autograd through a layer so many of the newest are kept whole: a call may take part in the one that is
under way and still have to be reached by it, while the one before it is what it goes on from."""
LONGEST = 64
"""Of a sequence that is read in chunks, with a backward pass after each, so many chunks are kept beside the newest:
no gradient goes from one into another."""
CHUNK_ROWS = 512
"""Of what a weight's gradient is summed over, at a time: float32 rounds the sum of a few, and float64 adds these up."""


class Ledger:
    """The calls of one recorded training step. A call that no backward pass has gone through, or none of the newest,
    lives as long as its graph does; one whose ledger is closed records no more."""

    def __init__(self, runs: Runs, *, check: bool) -> None:
        self.runs, self.check = runs, check
        self.open = True
        self.left: dict[str, Tensor] = {}
        """By recurrent weight: Σ_k G_k of the backward passes that are not kept, in float64."""
        self._alive: WeakValueDictionary[int, Call] = WeakValueDictionary()
        self._through: dict[int, Call] = {}
        self._count = self._serial = 0
        self._tasks: dict[object, list[int]] = {}
        self._again: set[object] = set()
        self._formed: dict[str, set[int]] = {}
        self._handles: list[Any] = []

    def listen(self, weight: str, parameter: nn.Parameter) -> None:
        """Note which runs of autograd form the gradient of a recurrent weight: the others' shares are not in it."""
        if weight and parameter.requires_grad and weight not in self._formed:
            formed = self._formed[weight] = set()
            self._handles.append(parameter.register_hook(lambda _: formed.add(graph.backward_pass())))

    def add(self, call: Call) -> None:
        """A forward pass has been recorded."""
        self.runs.listen()
        call.number = self._count
        self._alive[call.number] = call
        self._count += 1

    def newest_first(self) -> Iterator[Call]:
        """The calls that are alive, the latest one first."""
        for reference in reversed(self._alive.valuerefs()):
            call = reference()
            if call is not None:
                yield call

    def begun(self, call: Call) -> Backward:
        """A run of autograd has come to ``call``."""
        task = self.runs.arrived()
        tasks = self._tasks.setdefault(call.owner, [])
        if task not in tasks:
            tasks.append(task)
            self._tasks[call.owner] = self._leave_old(call.owner, tasks)
        self._through[call.number] = call
        self._serial += 1
        backward = Backward(self._serial, task, call.directions, second=call.differentiable)
        if torch.is_grad_enabled():  # by create_graph
            call.differentiable = True
            self._again.add(call.owner)
        call.backwards.append(backward)
        return backward

    def again(self, owner: object) -> bool:
        """Whether a gradient at the calls of ``owner`` may itself have been differentiated."""
        return owner in self._again

    def recorded(self) -> list[Call]:
        """The calls with backward passes that are to be shown, in the order in which they were called; the others' are
        left."""
        calls = [self._through[number] for number in sorted(self._through)]
        for owner in dict.fromkeys(call.owner for call in calls):
            own = [call for call in calls if call.owner is owner]
            passes = sorted((backward for call in own for backward in call.backwards), key=lambda one: one.serial)
            shown = set(self.runs.recorded(list(dict.fromkeys(backward.task for backward in passes))))
            for call in own:
                self._leave(call, shown)
        return [call for call in calls if call.backwards]

    def share(self, call: Call, backward: Backward, place: Place) -> Tensor | None:
        """Σ_k G_k of one backward pass for the weight at ``place``, [G·H,P] in float64; None where it is not asked for,
        or cannot be compared with anything: a weight that is made of others, or that is not trained, or whose gradient
        has been differentiated, which gives it one more."""
        formed = self._formed.get(call.weight(place))
        if not self.check or formed is None or self.again(call.owner):
            return None
        if backward.task not in formed:
            return _nothing(call, place)
        return weight_sum(call, backward, place)

    def close(self) -> None:
        """Forget all, so that no memory waits for the collector."""
        self.open = False
        self.runs.close()
        for handle in self._handles:
            handle.remove()
        for call in self._alive.values():
            call.before = None
        self._handles, self._through, self._tasks, self.left = [], {}, {}, {}

    def _leave_old(self, owner: object, tasks: list[int]) -> list[int]:
        """Leave what is of no run that is kept; the numbers of those that are. What was read in chunks, with a backward
        pass after each, is one sequence: it stays as long as one of its chunks does."""
        kept = {*tasks[-KEPT:], *self.runs.recorded(tasks[:-1])[-1:]}
        heads = dict.fromkeys(call.head() for call in self._through.values() if call.owner is owner)
        for head in heads:
            chain = list(head.chain())
            runs = sorted({backward.task for call in chain for backward in call.backwards})
            alive = kept.union(runs[-LONGEST:]) if kept.intersection(runs) else set()
            for call in chain:
                self._leave(call, alive if len(call.backwards) == 1 else kept)
            if alive and len(runs) > LONGEST:
                next(call for call in chain if call.backwards).before = None
        self._through = {number: call for number, call in self._through.items() if call.backwards}
        return [task for task in tasks if task in kept]

    def _leave(self, call: Call, kept: set[int]) -> None:
        """Of the backward passes through ``call`` that are not ``kept``, keep their share of the weights alone."""
        for backward in call.backwards:
            if backward.task not in kept:
                for place in call.states:
                    self._add(call.weight(place), self.share(call, backward, place))
        call.backwards = [backward for backward in call.backwards if backward.task in kept]

    def _add(self, weight: str, share: Tensor | None) -> None:
        if share is not None:
            known = self.left.get(weight)
            self.left[weight] = share if known is None else known + share


def weight_sum(call: Call, backward: Backward, place: Place) -> Tensor:
    """Σ_k δ_kᵀ h_{k−1} in float64, [G·H,P], for the recurrent weight of one layer in one direction."""
    states = call.states[place]
    h = states.h
    delta = None if place not in backward.totals else backward.totals[place].recurrent
    if delta is None:  # nothing went back through this layer
        return _nothing(call, place)
    samples = torch.arange(h.shape[1], device=h.device)
    start = torch.zeros_like(samples)
    if place[1] == 1:
        start += len(h) - 1 if call.lengths is None else call.lengths.to(h.device) - 1
    wide = torch.float64 if h.dtype == torch.float64 else torch.float32
    total = delta[start, samples].double().t() @ states.first.double()
    for before, after in _chunks(h, delta, reverse=place[1] == 1):
        total += after.to(wide).t() @ before.to(wide)
    return total


def _chunks(h: Tensor, delta: Tensor, *, reverse: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """(h_{k−1}, δ_k) in some rows each, [·,P] and [·,G·H]."""
    before, after = (h[1:], delta[:-1]) if reverse else (h[:-1], delta[1:])
    before, after = before.flatten(0, 1), after.flatten(0, 1)
    for k in range(0, len(before), CHUNK_ROWS):
        rows = slice(k, k + CHUNK_ROWS)
        yield before[rows], after[rows]


def _nothing(call: Call, place: Place) -> Tensor:
    states = call.states[place]
    gates = states.gates or {"": states.h}
    rows = sum(gate.shape[2] for gate in gates.values())
    return states.h.new_zeros(rows, states.h.shape[2], dtype=torch.float64)
