"""From the calls of one layer and what went back through them to passes: in walk order, joined along time where a call
goes on from another's final states.

Letters: T timesteps, B batch, P size of the state that is handed on, G gates, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diagnostics.watching.answers import walked
from diagnostics.watching.calls import Backward, Call, Gradients, Place, States, Way
from diagnostics.watching.changing import Change
from diagnostics.watching.doors import Landing, Straight
from diagnostics.watching.ledger import Ledger
from diagnostics.watching.passing import LayerPass, Pass


@dataclass(frozen=True)
class Watched:
    """A watched layer, as its passes name it."""

    name: str
    kind: str
    class_name: str
    weights: Sequence[str]
    """The recurrent weights' dotted names, a layer after the other and its directions in turn; "" where one is made of
    other parameters."""


Stretch = list[tuple[Call, Backward]]
"""Calls that go on from each other, and what one backward pass, or one for each, left at them."""


def follow(call: Call, first: tuple[Tensor, ...] | None, ledger: Ledger) -> tuple[Tensor, ...] | None:
    """Join the call, which is given ``first``, to the latest one of the same layer whose final states these are, or
    from whose final states they are computed; the states that it is to begin with."""
    if first is None:
        return None
    connected = [state.grad_fn is not None for state in first]
    constant = not any(state.requires_grad for state in first)
    if call.lengths is None and (all(connected) or not any(connected)):
        for other in ledger.newest_first():
            aliased = _may_go_on(other, call) and _aliased(other.ended, first)
            if aliased and not (all(connected) and _written(other.ended)):
                call.go_on_from(other, cut=not connected[0])
                return _landed(call, Straight(), first) if connected[0] else first
        if all(connected):
            change = Change(call, first)
            origin = change.origin
            if origin is not None and _may_go_on(origin, call) and _fits(origin, first):
                call.go_on_from(origin, cut=False)
                call.changed = True
                return _landed(call, change, first)
        for other in ledger.newest_first():
            if _may_go_on(other, call) and _equal(other.ended, first):
                call.go_on_from(other, cut=not connected[0])
                return first
    call.cut = constant and any(bool(state.any()) for state in first)
    return first


def _landed(call: Call, way: Way, first: Sequence[Tensor]) -> tuple[Tensor, ...]:
    call.lands = True
    return tuple(Landing.apply(call, way, *first))


def _may_go_on(other: Call, call: Call) -> bool:
    """Whether ``call`` may go on from ``other``, from which at most one does."""
    return other.owner is call.owner and other.lengths is None and other.after is None


def _fits(origin: Call, first: Sequence[Tensor]) -> bool:
    """Whether there are as many samples."""
    return all(end.shape == state.shape for end, state in zip(origin.ended, first, strict=True))


def _aliased(ended: tuple[Tensor, ...], first: Sequence[Tensor]) -> bool:
    """Whether states are in the memory of those that another call ended with."""
    return all(
        end.data_ptr() == state.data_ptr() and end.shape == state.shape and end.dtype == state.dtype
        for end, state in zip(ended, first, strict=True)
    )


def _written(ended: tuple[Tensor, ...]) -> bool:
    """Whether somebody has written into the states since they were returned."""
    return any(end._version > 0 for end in ended)


def _equal(ended: tuple[Tensor, ...], first: Sequence[Tensor]) -> bool:
    """Whether states have the same numbers as those that another call ended with, other than zeros."""
    pairs = list(zip(ended, first, strict=True))
    if any(end.shape != state.shape or end.dtype != state.dtype for end, state in pairs):
        return False
    return bool(first[0].any()) and all(torch.equal(end, state) for end, state in pairs)


def passes_of(ledger: Ledger, watched: Mapping[object, Watched]) -> list[Pass]:
    """One pass for each direction of each stretch, in the order of the backward passes."""
    calls = ledger.recorded()
    heads = dict.fromkeys(call.head() for call in calls)
    stretches = [stretch for head in heads for stretch in _stretches(list(head.chain()))]
    numbers = _numbers(stretches)
    order = sorted(range(len(stretches)), key=lambda k: min(backward.serial for _, backward in stretches[k]))
    passes = [
        replace(_pass(ledger, stretches[k], watched[stretches[k][0][0].owner], direction), call=numbers[k])
        for k in order
        for direction in range(stretches[k][0][0].directions)
    ]
    return _with_left(passes, dict(ledger.left))


def _numbers(stretches: Sequence[Stretch]) -> list[int]:
    """Of each stretch, how many others of the same layer that one run of autograd went through were called before it.
    The run of a stretch with several is its last one."""
    last = [max((backward for _, backward in stretch), key=lambda one: one.serial) for stretch in stretches]
    keys = [(stretch[0][0].owner, backward.task) for stretch, backward in zip(stretches, last, strict=True)]
    begins = [stretch[0][0].number for stretch in stretches]
    return [
        sum(other == key and begun < begin for other, begun in zip(keys, begins, strict=True))
        for key, begin in zip(keys, begins, strict=True)
    ]


def _with_left(passes: Sequence[Pass], left: dict[str, Tensor]) -> list[Pass]:
    """With the shares of the backward passes that are not handed on in the first pass of each weight."""

    def filled(layer: LayerPass) -> LayerPass:
        if layer.weight_sum is None or layer.weight not in left:
            return layer
        return replace(layer, weight_sum=layer.weight_sum + left.pop(layer.weight))

    return [replace(one, layers=[filled(layer) for layer in one.layers]) for one in passes]


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


def _pass(ledger: Ledger, stretch: Stretch, watched: Watched, direction: int) -> Pass:
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
        layers.append(
            _layer(ledger, stretch, (layer, direction), weight, several=answers > 1 and not _unknown(stretch))
        )
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
        answers=0 if _unknown(stretch) else answers,
    )


def _layer(ledger: Ledger, stretch: Stretch, place: Place, weight: str, *, several: bool) -> LayerPass:
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
    shares = [ledger.share(call, backward, place) for call, backward in stretch]
    known = [share for share in shares if share is not None]
    return LayerPass(
        h=h,
        grad_h=grad_h,
        c=whole([state.c for state in states]),
        grad_c=whole([total.c for total in totals]),
        gates={name: gate for name, gate in gates.items() if gate is not None},
        last_answer=last,
        weight=weight,
        weight_sum=torch.stack(known).sum(0) if known else None,
        rounding=states[0].rounding,
    )


def _unknown(stretch: Stretch) -> bool:
    """Whether its answers are not known: some of it may have gone through the graph of a gradient, or what arrives by
    way of a change of the state is not known."""
    return any(backward.second or backward.lost for _, backward in stretch)


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
