"""The first value that is not finite in one training step, in the order in which the step was computed.

Forward, layer by layer from the bottom and timestep by timestep: gates, c, h. Then the loss. Backward, from the top
layer down and from the last timestep to the first: the gradients with respect to h, c and the pre-activations. Then the
gradients of the parameters, and last the parameters after the update.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from diagnostics.measures.numbers import number
from diagnostics.records import Array

_BEGINS = "the first value that was not finite"


class Stage(NamedTuple):
    """Tensors that are computed together: in every timestep one after another, or, without ``layer``, each whole.

    ``tensors`` by the name that a person reads, in the order of computation; with a ``layer`` they are [T,…].
    ``backward`` walks from the last timestep to the first.
    """

    tensors: Mapping[str, Array]
    layer: int | None = None
    backward: bool = False


def forward_stage(
    layer: int, gates: Mapping[str, Array], c: Array | None, h: Array, what: str = "the state h"
) -> Stage:
    """What a recurrent layer computes at each timestep, [T,…] each; ``what`` names ``h``."""
    cells = {} if c is None else {"the cell state c": c}
    return Stage({**{f"the gate {name}": gate for name, gate in gates.items()}, **cells, what: h}, layer)


def backward_stage(layer: int, grad_h: Array, grad_c: Array | None = None, preactivation: Array | None = None) -> Stage:
    """What its backward pass computes at each timestep, [T,…] each, as far as it is known."""
    given = {"h": grad_h, "c": grad_c}
    tensors = {f"the gradient with respect to {name}": values for name, values in given.items() if values is not None}
    if preactivation is not None:
        tensors["the gradient at the pre-activations"] = preactivation
    return Stage(tensors, layer, backward=True)


class Found(NamedTuple):
    """Where the first value that is not finite stands; ``layer`` and ``timestep`` are None where there is none."""

    tensor: str
    layer: int | None
    timestep: int | None
    value: str
    """What the tensor holds there: "nan", "infinite", or both, in words."""
    entries: int
    """How many of its entries there are not finite."""
    of: int
    """How many entries it has there."""

    def sentence(self, layers: int = 1) -> str:
        """``the first value that was not finite: 3 of 256 entries of the state h, layer 1, timestep 17, infinite``."""
        places = [] if self.layer is None or layers == 1 else [f"layer {self.layer + 1} of {layers}"]
        places += [] if self.timestep is None else [f"timestep {self.timestep}"]
        many = "" if self.of == 1 else f"{self.entries} of {self.of} entries of "
        where = ", ".join([f"{many}{self.tensor}", *places])
        return f"{_BEGINS}: {where} ({self.value})"

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return self._asdict()


def first_non_finite(stages: Iterable[Stage]) -> Found | None:
    """The first value that is not finite, or None. ``stages`` come in the order of computation; those behind the first
    finding are not asked for."""
    for stage in stages:
        found = _whole(stage) if stage.layer is None else _by_timestep(stage)
        if found is not None:
            return found
    return None


def _whole(stage: Stage) -> Found | None:
    for name, values in stage.tensors.items():
        if not np.isfinite(values).all():
            return _found(name, None, None, values)
    return None


def _by_timestep(stage: Stage) -> Found | None:
    best: tuple[int, str] | None = None
    for name, values in stage.tensors.items():
        broken = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if broken.size:
            t = int(broken[-1] if stage.backward else broken[0])
            if best is None or (t > best[0] if stage.backward else t < best[0]):
                best = t, name
    if best is None:
        return None
    t, name = best
    return _found(name, stage.layer, t, stage.tensors[name][t])


def _found(name: str, layer: int | None, timestep: int | None, values: Array) -> Found:
    nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    value = "nan and infinite" if nans and infinities else "nan" if nans else "infinite"
    return Found(name, layer, timestep, value, nans + infinities, int(np.size(values)))


def in_words(detail: str) -> str:
    """What the sentence on how a run ended says of its first value that was not finite, and of the norms before it, as
    a sentence of its own; "" where it says nothing of that."""
    _, begins, rest = detail.partition(_BEGINS)
    return f"{begins[:1].upper()}{begins[1:]}{rest}." if begins else ""


def what_went_before(norms: Sequence[float]) -> str:
    """What the pre-clip gradient norms of the steps before, oldest first, did, in words; "" where there were none.

    It compares the last of them with their median: a norm that grew tenfold or more is said to have grown.
    """
    usable = [norm for norm in norms if math.isfinite(norm)]
    if not usable:
        return ""
    shown = ", ".join(number(norm) for norm in usable[-5:])
    count = len(usable[-5:])
    steps = "in the step before" if count == 1 else f"in the {count} steps before"
    middle = float(np.median(usable))
    grew = "grew" if middle > 0 and usable[-1] >= 10 * middle else "gave no warning" if count > 1 else "was"
    end = f": {shown}" if grew != "was" else f" {shown}"
    return f"{steps} the gradient's norm (pre-clip) {grew}{end}"
