"""Which runs an inspection cannot look into, and why. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.rules import recurrent
from experiments.spec import Refusal, RunSpec
from models.kinds import MODELS
from tasks import TASKS


def cannot(spec: RunSpec) -> str:
    """Why a run of ``spec`` cannot be looked into, as a sentence without its full stop; "" where it can."""
    info = TASKS[spec.task]
    if not recurrent(spec):
        title = MODELS[spec.model or info.models[0]].title
        return f"Inspect looks into recurrences, but this run has none: its model is {title}"
    if spec.bidirectional:
        return "Inspect looks at one direction, but this run's network reads in two"
    if info.bridge:
        return "Inspect looks at one network, but in this run a decoder takes over from an encoder"
    if info.pictures:
        return "Inspect looks at networks that read, but this run's also looks at pictures"
    if info.lengths:
        return "Inspect looks at sequences of one length, but those of this run's task differ"
    if spec.initial != "zero":
        return "Inspect looks at networks that begin with the zero state, but this run's learns its initial state"
    if spec.softmax != "full":
        return f"Inspect looks at networks with a full softmax, but this run's is {spec.softmax}"
    return ""


def cannot_stored(spec: Mapping[str, Any]) -> str:
    """As ``cannot``, of a stored spec; "" also where this version would not run it, which whoever computes says."""
    try:
        return cannot(RunSpec.from_json(spec))
    except Refusal:
        return ""
