"""From the traces of one backward pass to one row of profile columns (see ``diagnostics.records.COLUMNS``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.saturation import saturated
from diagnostics.measures.state_profile import profile_columns, state_bands
from diagnostics.records import Array
from diagnostics.recurrence import Trace
from diagnostics.recurrence.trace import StateGradients
from models.traces import Sequel


def profile_row(
    traces: Sequence[Trace], input_grad: Tensor, cell: str, samples: Array | None = None
) -> dict[str, Array]:
    """One row of the profile stream from the traces of all layers and ``input_grad`` [T,B,I].

    The loss was a mean over the batch, so each sample's gradient came scaled by 1/B: that is undone. Where the loss is
    also a mean over T answers, it stays one: the loss of a whole sequence is what the profile is the gradient of.
    ``samples`` [B], bool, says which samples the bands and medians are over (None: all); nan where that is none.
    """
    size = traces[0].h.shape[1]
    if samples is not None:
        traces = [_Some(trace, samples) for trace in traces]
        input_grad = input_grad[:, torch.from_numpy(samples)]
    return {
        **profile_columns(traces, input_grad, size),
        "saturated": np.stack([_saturated(trace, cell) for trace in traces]),
    }


def answer_row(traces: Sequence[Trace], asked: int, samples: Array | None = None) -> dict[str, Array]:
    """``answer_grad`` from the traces of a backward pass of one answer's loss alone, a mean over the ``asked`` samples
    of the batch that are asked there. ``samples`` [B], bool, says which samples the band is over (None: all)."""
    if samples is not None:
        traces = [_Some(trace, samples) for trace in traces]
    return {"answer_grad": state_bands([(trace.grad_h, trace.grad_c) for trace in traces], asked)}


def _saturated(trace: Trace, cell: str) -> Array:
    """On either side of a bridge by itself: only the encoder's has padding."""
    if isinstance(trace, Sequel):
        return np.concatenate([saturated(part, cell) for part in trace.parts])
    return saturated(trace, cell)


class _Some(Trace):
    """A trace of some samples of another's."""

    __slots__ = ()

    def __init__(self, whole: Trace, samples: Array) -> None:
        which = torch.from_numpy(np.flatnonzero(samples))
        super().__init__(whole.kind, None if whole.lengths is None else whole.lengths[which], whole.reverse)

        def some(values: Tensor) -> Tensor:
            return values[:, which.to(values.device)]

        self.h, self.c = some(whole.h), None if whole.c is None else some(whole.c)
        self.gates = {name: some(values) for name, values in whole.gates.items()}
        of_c = whole.grad_c
        self.record(
            StateGradients(some(whole.grad_h), None if of_c is None else some(of_c), some(whole.grad_preactivation))
        )
