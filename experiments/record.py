"""From the traces of one backward pass to one row of profile columns (see ``diagnostics.records.COLUMNS``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from diagnostics.measures.band import band
from diagnostics.measures.norms import sample_norms
from diagnostics.measures.saturation import saturated
from diagnostics.records import Array
from diagnostics.recurrence import Trace


def profile_row(traces: Sequence[Trace], input_grad: Tensor, cell: str) -> dict[str, Array]:
    """One row of the profile stream from the traces of all layers and ``input_grad`` [T,B,I].

    The loss was a mean over the batch, so each sample's gradient came scaled by 1/B: that is undone. Where the loss is
    also a mean over T answers, it stays one: the loss of a whole sequence is what the profile is the gradient of.
    """
    B = traces[0].h.shape[1]
    of_h = B * _norms([trace.grad_h for trace in traces])
    cells = [trace.grad_c for trace in traces]
    row = {
        "input_grad": band(B * sample_norms(input_grad)),
        "grad_h": _median(of_h),
        "state_norm": _median(_norms([trace.h for trace in traces])),
        "saturated": np.stack([saturated(trace, cell) for trace in traces]),
    }
    of_state = of_h
    if cells[0] is not None:
        of_c = B * _norms([c for c in cells if c is not None])
        row["grad_c"] = _median(of_c)
        of_state = np.hypot(of_h, of_c)
    row["state_grad"] = band(of_state)
    return row


def answer_row(traces: Sequence[Trace]) -> dict[str, Array]:
    """``answer_grad`` from the traces of a backward pass of the last answer's loss alone, a mean over the batch."""
    B = traces[0].h.shape[1]
    norms = _norms([trace.grad_h for trace in traces])
    if traces[0].grad_c is not None:
        norms = np.hypot(norms, _norms([trace.grad_c for trace in traces if trace.grad_c is not None]))
    return {"answer_grad": band(B * norms)}


def _norms(values: Sequence[Tensor]) -> Array:
    return np.stack([sample_norms(value) for value in values])


def _median(samples: Array) -> Array:
    return band(samples)[..., 1]
