"""What the owner of a watched model can try, in the terms of torch. It never promises that a change will help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostics.measures.advice import against_breaking, against_growth, bias_for, in_vain, too_often
from diagnostics.measures.evidence import Evidence, Kind
from diagnostics.measures.numbers import number, steps


def watched_advice(evidence: Evidence | None, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return up to three short instructions, each beginning with its verb.

    ``spec`` is the run's spec as JSON: of it count the cell ("lstm", "gru", "tanh", "relu" or a class of the person's
    own), how the loop clips ("" where nobody said) and the direction that was walked.
    """
    if evidence is not None and evidence.together:
        return (
            "Take the loss at the last timestep alone for a while, to see how far its gradient comes. Where nn.RNN, "
            "nn.GRU or nn.LSTM does the same, use that: its last answer is told apart.",
        )
    if evidence is None or evidence.kind is None:
        return ()
    return tuple(_SAID[evidence.kind](evidence, spec))[:3]


def _faded(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.cut_off:
        asked = (
            "and what is further back gets none"
            if e.unasked
            else f"and what is asked for lies {steps(e.distance)} back"
        )
        return [f"Detach the state less often: the gradient is cut after {steps(e.truncate)}, {asked}."]
    said = [_cell(e, str(spec.get("cell"))), *_start(str(spec.get("cell")))]
    said.append(
        "Shorten the way: coarser timesteps, or pooling or attention over all states, which give the loss a path past "
        "the recurrence."
    )
    if e.clipped > 0:
        said.append("Leave clipping aside: it shortens a gradient that is too long and cannot bring back a faded one.")
    return said


def _cell(e: Evidence, cell: str) -> str:
    """Which cell, or which gate's bias, carries a gradient further."""
    # Where nobody said how far the answer lies, a change is only called for if it lies further than the gradient comes.
    needed = f", if answers depend on more than {steps(e.reach)} back" if e.unasked and e.reach is not None else ""
    bias, memory = number(bias_for(e.distance)), f"a memory for about {steps(e.distance)}"
    if cell in _GATES:
        gate, place = _GATES[cell]
        return (
            f"Start the {gate} gate open{needed}: about {bias} added to its bias, in torch the {place} of bias_hh, "
            f"keeps {memory}."
        )
    if cell in _START:
        return (
            f"Try nn.LSTM or nn.GRU instead of nn.RNN{needed}: a forget or update gate's bias of {bias} keeps {memory}."
        )
    return (
        f"Carry the state on by addition{needed}: through a gate that starts open, or a residual path, a gradient goes "
        "back unshortened."
    )


_GATES = {"lstm": ("forget", "second quarter"), "gru": ("update", "second third")}
_START = {"tanh": ("an orthogonal", "nn.init.orthogonal_"), "relu": ("an identity", "nn.init.eye_")}


def _start(cell: str) -> list[str]:
    if cell not in _START:
        return []
    matrix, call = _START[cell]
    return [f"Start from {matrix} recurrent matrix, {call} on weight_hh: by itself it neither shrinks nor stretches."]


def _reaches(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    watched = spec.get("watched")
    if e.of == 0 and isinstance(watched, Mapping) and watched.get("direction") == "reverse":
        return [
            "Read the reverse direction where it ends, in h_n, if it is to know of the whole sequence: at the last "
            "timestep it has read one."
        ]
    if e.edge and not e.unasked:
        return _faded(e, spec)
    if e.of == 0:
        return []
    return [
        "Look elsewhere if it does not learn: at the data, the learning rate, the size, the time. The gradient "
        "arrives.",
        *too_often(e),
    ]


def _exploding(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    said = against_growth(e, spec.get("clip"))
    cell = str(spec.get("cell"))
    if cell in _GATES:
        said.append("Try a lower learning rate or a smaller weight_hh to begin with, so that no state is stretched.")
    elif cell in _START:
        said.append("Try nn.init.orthogonal_ on weight_hh, or nn.LSTM or nn.GRU instead of nn.RNN: this one stretches.")
    else:
        said.append("Try smaller or orthogonal recurrent weights to begin with, or a gated cell: this one stretches.")
    return said


def _diverged(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.diverged_step == 0:
        return [
            "Begin with smaller weights, or look at the data: it broke before the first update, where neither learning "
            "rate nor clipping has any say."
        ]
    clip, cell = spec.get("clip"), spec.get("cell")
    said = against_breaking(e, clip)
    said.append("Try a lower learning rate: a tenth, to begin with.")
    said += in_vain(e, clip)
    if cell == "relu":
        said.append("Start from a smaller weight_hh, or take nn.LSTM or nn.GRU: nothing bounds this cell's state.")
    return said


_SAID: Mapping[Kind, Callable[[Evidence, Mapping[str, Any]], list[str]]] = {
    "vanishing": _faded,
    "fades": _faded,
    "reaches": _reaches,
    "exploding": _exploding,
    "diverged": _diverged,
}
