"""At how many timesteps a loss uses a state directly, and not by the next state that is made from it.

What arrives at a state is compared with what the way to the next state sends back to it, added up in autograd's own
order: where nothing else arrives, the two are equal to the last bit, in any dtype. Nothing is computed anew, nor put
into the graph. What of a direct use is rounded away when autograd adds it is not seen.

It can be told only where all that is made on the way goes into the next state alone. Where something else uses it too,
say a loss on a gate, or a second state that nobody told of, the number is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from diagnostics.watching import graph
from diagnostics.watching.passing import Pass
from diagnostics.watching.runs import numbers

Number = tuple[int, int]
"""A place in the graph, in ``graph.numbers``."""
AT_MOST = 500
"""Of the graph between two states so many nodes are looked at; of a larger one the number is not known."""
EVERY = 10
"""Uses are counted in every so many-th step that is checked, and where a part is new. It takes a hook on every node:
such a step lasts three to five times as long as one that is recorded (200 timesteps of nn.GRUCell, B = 32, H = 64)."""
ALIASES = {"ViewBackward0", "AliasBackward0"}


class Way:
    """The graph from the states of one timestep, ``targets``, to those of the next. It holds no node of it."""

    def __init__(self, targets: Iterable[Number]) -> None:
        self._targets = set(targets)
        self._since = min((number for number, _ in self._targets), default=0)
        self._ends: set[Number] = set()
        self._hooked: set[int] = set()
        self._sent: dict[tuple[int, Number], Tensor] = {}
        self._beside: dict[tuple[int, Number], Tensor] = {}
        self._leaks: dict[int, list[Tensor]] = {}
        self._known = True

    def add(self, end: graph.Edge) -> None:
        """One of the next timestep's states is at ``end``."""
        self._ends.add(graph.numbers(end))
        number = {end[0]: int(end[0]._sequence_nr())}  # which are dear to ask for
        below: dict[Any, list[graph.Edge]] = {}
        queue = [end[0]]
        while queue and len(below) <= AT_MOST:
            node = queue.pop()
            if node in below or number[node] in self._hooked:
                continue
            below[node] = node.next_functions
            for following, output in below[node]:
                if following is None:
                    continue
                if following not in number:
                    number[following] = int(following._sequence_nr())
                if number[following] > self._since and (number[following], output) not in self._targets:
                    queue.append(following)
        self._known &= not queue
        for node in sorted(below, key=number.__getitem__):
            into = [
                (which, (number[following], output))
                for which, (following, output) in enumerate(below[node])
                if following is not None
                and (number[following] in self._hooked or (number[following], output) in self._targets)
            ]
            if into:
                self._hook(node, number[node], into)

    def _hook(self, node: Any, number: int, into: list[tuple[int, Number]]) -> None:
        self._hooked.add(number)
        alias = into[0][1] if node.name() in ALIASES and into[0][1] in self._targets else None
        node.register_hook(partial(self._guarded, self._sends, into))
        node.register_prehook(partial(self._guarded, self._gets, number, alias))

    def _guarded(self, note: Any, *given: Any) -> None:
        """Whatever goes wrong here must not end the person's training."""
        try:
            if not torch.is_grad_enabled():  # with create_graph the number is not asked for
                note(graph.backward_pass(), *given)
        except Exception:
            self._known = False

    def _sends(self, run: int, into: list[tuple[int, Number]], gradients: Any, _: Any) -> None:
        for which, place in into:
            gradient = gradients[which]
            if gradient is not None:
                before = self._sent.get((run, place))
                self._sent[run, place] = gradient.detach() if before is None else before + gradient

    def _gets(self, run: int, number: int, alias: Number | None, gradients: Any) -> None:
        for which, gradient in enumerate(gradients):
            if gradient is None or (number, which) in self._ends:
                continue
            more = _differs(gradient, self._sent.pop((run, (number, which)), None))
            if more is None:
                continue
            if alias is None:
                self._leaks.setdefault(run, []).append(more.any())
            else:
                before = self._beside.get((run, alias))
                self._beside[run, alias] = more if before is None else more.reshape(before.shape) | before

    def beyond(self, run: int, target: Number, total: Tensor) -> Tensor:
        """Where in a target more than what came by this way is in the ``total`` that arrived: bool, in its shape."""
        more = _differs(total, self._sent.pop((run, target), None))
        beside = self._beside.pop((run, target), None)
        if more is None:
            more = torch.zeros_like(total, dtype=torch.bool)
        return more if beside is None else more | beside.reshape(more.shape)

    def known(self, run: int) -> bool:
        """Whether it can be told."""
        return self._known and not (self._leaks.get(run) and bool(torch.stack(self._leaks[run]).any()))


def _differs(total: Tensor, sent: Tensor | None) -> Tensor | None:
    """Where two are not equal, though not where both are no number; None where they are the same tensor.

    As ``sent`` is kept, autograd adds nothing to it in its place: what is still the same memory is all that arrived.
    """
    total = total.detach()
    if sent is None:
        return total != 0
    if total.data_ptr() == sent.data_ptr() and total.shape == sent.shape and total.stride() == sent.stride():
        return None
    return (total != sent) & ((total == total) | (sent == sent))


def beyond(way: Way | None, run: int, place: Number, total: Tensor, batch: int | None) -> Tensor | None:
    """Of which samples the loss uses the state at ``place`` directly, bool [B]; None where that cannot be told.

    ``total``: what arrived at it, [H] of one sample, [B,H], [1,B,H] or, with the size of the ``batch``, [B,·]; ``way``:
    that to the next state, where there is one.
    """
    try:
        more = total.detach() != 0 if way is None else way.beyond(run, place, total)
    except RuntimeError:  # which must not end the person's training
        return None
    if more.dim() == 3 and len(more) == 1:
        return more[0].any(1)
    if more.dim() <= 1:
        return more.any().reshape(1)
    return more.flatten(1).any(1) if more.dim() == 2 or len(more) == batch else None


def count(used: Iterable[Sequence[Tensor | None]]) -> int:
    """The largest number of timesteps at which the loss uses a sample's states, from that of each state of each
    timestep, [B]; 0 where that of one cannot be told."""
    timesteps = []
    for of_states in used:
        told = [one for one in of_states if one is not None]
        if len(told) < len(of_states):
            return 0
        if told:
            timesteps.append(torch.stack(told).any(0))
    return int(torch.stack(timesteps).sum(0).max()) if timesteps else 0


class Answers:
    """How often the loss uses the states of each part, from one recorded training step to the next: it is counted in
    few of them."""

    def __init__(self) -> None:
        self._checks = 0
        self._new = False
        self._counted: dict[tuple[str, int], int] = {}
        self._shown: dict[str, list[int]] = {}

    def due(self, *, check: bool) -> bool:
        """Whether it is to be counted in the coming step, of which shares of gradients are to be checked or not."""
        self._checks += check
        return self._new or (check and self._checks % EVERY == 1)

    def told(self, passes: Iterable[Pass], *, counted: bool) -> list[Pass]:
        """``passes`` with the number that was counted last; ``counted``: it was, in this step."""
        self._shown, self._new = {}, False
        found = []
        for one in passes:
            key = one.group, one.call
            if counted or one.answers:
                self._counted[key] = one.answers
            self._new |= key not in self._counted
            if key in self._counted:
                one = replace(one, answers=self._counted[key])
            if key in self._counted and one.layers[-1].last_answer is None:
                self._shown.setdefault(one.group, []).append(one.answers)
            found.append(one)
        return found

    def sentences(self) -> list[str]:
        """Of each part whose profile is of several answers together, or may be."""
        said = []
        for group, counts in self._shown.items():
            several = [count for count in counts if count > 1]
            if several:
                said.append(
                    f"{group}: the loss uses its state at {numbers(several)} timesteps, and what is shown is the "
                    "gradient of all of them together: how far one answer's gradient comes cannot be read from it."
                )
            elif 0 in counts:
                said.append(
                    f"{group}: at how many timesteps the loss uses its state directly is not known. Where it is at "
                    "several, what is shown is the gradient of all of them together, from which cannot be read how far "
                    "one answer's gradient comes."
                )
        return said
