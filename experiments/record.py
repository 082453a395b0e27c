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
    L, (T, B) = len(traces), traces[0].h.shape[:2]
    measured = [[trace.grad_h for trace in traces], [trace.h for trace in traces]]
    if traces[0].c is not None:
        measured.append([trace.grad_c for trace in traces if trace.grad_c is not None])
    gated = len(measured) == 3
    samples = np.empty(((4 if gated else 2) * L + 1, T, B))  # one array, and so one call of what sorts it
    by_layer = samples[:-1].reshape(-1, L, T, B)
    for values, into in zip(measured, by_layer, strict=False):
        _norms(values, into)
    if gated:
        np.hypot(by_layer[0], by_layer[2], out=by_layer[3])
    sample_norms(input_grad, samples[-1])
    bands = band(samples, overwrite=True)
    of_h, of_states, *of_cells = bands[:-1].reshape(-1, L, T, 3)
    row = {
        "input_grad": B * bands[-1],
        "state_grad": B * (of_cells[1] if gated else of_h),
        "grad_h": B * of_h[..., 1],
        "state_norm": of_states[..., 1],
        "saturated": np.stack([saturated(trace, cell) for trace in traces]),
    }
    if gated:
        row["grad_c"] = B * of_cells[0][..., 1]
    return row


def answer_row(traces: Sequence[Trace]) -> dict[str, Array]:
    """``answer_grad`` from the traces of a backward pass of the last answer's loss alone, a mean over the batch."""
    T, B = traces[0].h.shape[:2]
    norms = _norms([trace.grad_h for trace in traces], np.empty((len(traces), T, B)))
    if traces[0].c is not None:
        cells = [trace.grad_c for trace in traces if trace.grad_c is not None]
        np.hypot(norms, _norms(cells, np.empty_like(norms)), out=norms)
    return {"answer_grad": B * band(norms, overwrite=True)}


def _norms(values: Sequence[Tensor], into: Array) -> Array:
    for value, row in zip(values, into, strict=True):
        sample_norms(value, row)
    return into
