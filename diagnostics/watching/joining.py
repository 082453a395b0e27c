"""From the calls of one layer and what went back through them to passes: in walk order, joined along time where a call
goes on from another's final states.

Letters: T timesteps, B batch, P size of the state that is handed on, G gates, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diagnostics.watching.answers import walked
from diagnostics.watching.calls import Backward, Call, Gradients, Place, States
from diagnostics.watching.passing import LayerPass, Pass


@dataclass(frozen=True)
class Watched:
    """A watched layer, as its passes name it."""

    name: str
    kind: str
    class_name: str
    weights: Sequence[str]
    """The recurrent weights' dotted names, a layer after the other and its directions in turn."""


CHUNK_ROWS = 512
"""Of what a weight's gradient is summed over, at a time: float32 rounds the sum of a few, and float64 adds these up."""

Stretch = list[tuple[Call, Backward]]
"""Calls that go on from each other, and what one backward pass, or one for each, left at them."""


def passes_of(calls: Sequence[Call], watched: Mapping[object, Watched]) -> list[Pass]:
    """One pass for each direction of each stretch, in the order of the backward passes."""
    stretches = [stretch for call in calls if call.before is None for stretch in _stretches(_chain(call))]
    stretches.sort(key=lambda stretch: min(backward.serial for _, backward in stretch))
    return [
        _pass(stretch, watched[stretch[0][0].owner], direction)
        for stretch in stretches
        for direction in range(stretch[0][0].directions)
    ]


def _chain(call: Call) -> list[Call]:
    calls = [call]
    while calls[-1].after is not None:
        calls.append(calls[-1].after)
    return calls


def _stretches(chain: Sequence[Call]) -> Iterator[Stretch]:
    """Where each call saw one backward pass, all together; else those that one and the same run of autograd went
    through."""
    if all(len(call.backwards) == 1 for call in chain):
        yield [(call, call.backwards[0]) for call in chain]
        return
    for task in dict.fromkeys(backward.task for call in chain for backward in call.backwards):
        stretch: Stretch = []
        for call in chain:
            of_task = [backward for backward in call.backwards if backward.task == task]
            if of_task:
                stretch.append((call, of_task[-1]))
            elif stretch:
                yield stretch
                stretch = []
        if stretch:
            yield stretch


def _pass(stretch: Stretch, watched: Watched, direction: int) -> Pass:
    call = stretch[0][0]
    answers = sum(backward.answers[direction] for _, backward in stretch)
    inputs = [backward.input_grad.get(direction) for _, backward in stretch]
    cuts, start = [], 0
    for one, _ in stretch:
        if one.cut:
            cuts.append(start)
        start += one.steps
    layers = []
    for layer in range(call.layers):
        weight = watched.weights[layer * call.directions + direction]
        layers.append(_layer(stretch, (layer, direction), weight, several=answers > 1))
    turned = [
        None if grad is None else _turned(grad, one, direction) for (one, _), grad in zip(stretch, inputs, strict=True)
    ]
    return Pass(
        group=watched.name + (" ←" if direction else " →" if call.directions == 2 else ""),
        kind=watched.kind,
        layers=layers,
        class_name=watched.class_name,
        direction="reverse" if direction else "forward",
        lengths=call.lengths,
        input_grad=_joined(turned),
        cuts=tuple(cuts),
        answers=answers,
    )


def _layer(stretch: Stretch, place: Place, weight: str, *, several: bool) -> LayerPass:
    """One layer in walk order."""
    calls = [call for call, _ in stretch]
    states = [call.states[place] for call in calls]
    totals = [backward.totals.get(place) or _zeros(call.states[place]) for call, backward in stretch]

    def whole(parts: Sequence[Tensor | None]) -> Tensor | None:
        return _joined(
            [None if part is None else _turned(part, call, place[1]) for part, call in zip(parts, calls, strict=True)]
        )

    h, grad_h = whole([state.h for state in states]), whole([total.h for total in totals])
    assert h is not None
    assert grad_h is not None
    gates = {name: whole([state.gates[name] for state in states]) for name in states[0].gates}
    last = None
    if several:
        of_last = _of_last(stretch, place)
        last_h = whole([part.h for part in of_last])
        assert last_h is not None
        last = last_h, whole([part.c for part in of_last])
    weight_sum = None
    if calls[0].ledger.check:
        shares = [_weight_sum(*three, place[1]) for three in zip(states, totals, calls, strict=True)]
        weight_sum = torch.stack(shares).sum(0)
    return LayerPass(
        h=h,
        grad_h=grad_h,
        c=whole([state.c for state in states]),
        grad_c=whole([total.c for total in totals]),
        gates={name: gate for name, gate in gates.items() if gate is not None},
        last_answer=last,
        weight=weight,
        weight_sum=weight_sum,
    )


def _of_last(stretch: Stretch, place: Place) -> list[Gradients]:
    """The last answer's gradients at each call: of the last one that has an answer, and of those before it, zeros
    beyond a cut."""
    found: list[Gradients] = []
    answered = over = False
    for call, backward in reversed(stretch):
        kept = backward.last if place[1] in backward.asked else backward.totals  # the only answer is the last one
        part = None if over else kept.get(place)
        found.append(part or _zeros(call.states[place]))
        answered |= backward.answers[place[1]] > 0
        over |= answered and call.cut
    return found[::-1]


def _weight_sum(states: States, gradients: Gradients, call: Call, direction: int) -> Tensor:
    """Σ_k δ_kᵀ h_{k−1} in float64, [G·H,P], for the recurrent weight of one layer in one direction."""
    h, delta = states.h, gradients.recurrent
    if delta is None:  # nothing went back through this layer
        gates = states.gates or {"": h}
        return h.new_zeros(sum(gate.shape[2] for gate in gates.values()), h.shape[2], dtype=torch.float64)
    samples = torch.arange(h.shape[1], device=h.device)
    start = torch.zeros_like(samples)
    if direction == 1:
        start += len(h) - 1 if call.lengths is None else call.lengths.to(h.device) - 1
    wide = torch.float64 if h.dtype == torch.float64 else torch.float32
    total = delta[start, samples].double().t() @ states.first.double()
    if direction == 0:
        before, after = h[:-1], delta[1:]
    else:
        before, after = h[1:], delta[:-1]
    before, after = before.flatten(0, 1), after.flatten(0, 1)
    for k in range(0, len(before), CHUNK_ROWS):
        rows = slice(k, k + CHUNK_ROWS)
        total += after[rows].to(wide).t() @ before[rows].to(wide)
    return total


def _zeros(states: States) -> Gradients:
    """Of a layer that nothing went back through."""
    return Gradients(torch.zeros_like(states.h), None if states.c is None else torch.zeros_like(states.c))


def _turned(values: Tensor, call: Call, direction: int) -> Tensor:
    """[T,B,·] in the order of time → in walk order."""
    order = walked(len(values), call.lengths, reverse=direction == 1)
    if order is None:
        return values
    if call.lengths is None:
        return values.flip(0)
    order = order.to(values.device)
    return values[order, torch.arange(values.shape[1], device=values.device)]


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Along time; None where a part is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else torch.cat(known)
