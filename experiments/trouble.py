"""What became of a training step that broke: its tensors in the order in which they were computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from torch import Tensor

from diagnostics.measures.first_non_finite import Found, Stage, first_non_finite, what_went_before
from diagnostics.records import Array
from experiments.backward import Backward

WITHOUT_STATE = "positions"
"""The kind of trace that a network without recurrence leaves (see ``models.positions``)."""

NORMS_BEFORE = 20
"""How many steps back the norms are looked at."""


def first_broken(back: Backward, gradients: Mapping[str, Tensor]) -> Found | None:
    """The first value that is not finite in a forward and backward pass; ``gradients`` by parameter, pre-clip."""
    return first_non_finite(_stages(back, gradients))


def after_update(name: str, values: Tensor) -> Found | None:
    """The finding where an update, and nothing before it, left a parameter not finite."""
    return first_non_finite([Stage({f"{name} after the update": _array(values)})])


def told(found: Found | None, layers: int, norms: Iterable[float]) -> str:
    """The finding and what the norms did before it, to be added to the sentence on how a run ended."""
    parts = ["" if found is None else found.sentence(layers), what_went_before(list(norms))]
    return "".join(f"; {part}" for part in parts if part)


def _stages(back: Backward, gradients: Mapping[str, Tensor]) -> Iterator[Stage]:
    traces = back.traces
    for layer, trace in enumerate(traces):
        forward = {f"the gate {name}": _array(gate) for name, gate in trace.gates.items()}
        if trace.c is not None:
            forward["the cell state c"] = _array(trace.c)
        state = "the features" if trace.kind == WITHOUT_STATE else "the state h"
        yield Stage({**forward, state: _array(trace.h)}, layer)
    yield Stage({"the network's outputs": _array(back.outputs), "the loss": _array(back.loss)})
    for layer, trace in reversed(list(enumerate(traces))):
        if trace.kind == WITHOUT_STATE:
            yield Stage({"the gradient with respect to the features": _array(trace.grad_h)}, layer, backward=True)
            continue
        backward = {"the gradient with respect to h": _array(trace.grad_h)}
        if trace.grad_c is not None:
            backward["the gradient with respect to c"] = _array(trace.grad_c)
        backward["the gradient at the pre-activations"] = _array(trace.grad_preactivation)
        yield Stage(backward, layer, backward=True)
    yield Stage({f"the gradient of {name}": _array(values) for name, values in gradients.items()})


def _array(values: Tensor) -> Array:
    array: Array = np.asarray(values.detach().cpu().numpy())
    return array
