"""From the traces of one backward pass to one row of profile columns (see ``diagnostics.records.COLUMNS``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.band import band
from diagnostics.measures.norms import sample_norms
from diagnostics.measures.saturation import saturated
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
    L, (T, B) = len(traces), traces[0].h.shape[:2]
    measured = [[trace.grad_h for trace in traces], [trace.h for trace in traces]]
    if traces[0].c is not None:
        measured.append([trace.grad_c for trace in traces if trace.grad_c is not None])
    gated = len(measured) == 3
    kinds = 4 if gated else 2
    norms = np.empty((kinds * L + 1, T, B))  # one array, and so one call of what sorts it
    by_layer = norms[:-1].reshape(kinds, L, T, B)
    for values, into in zip(measured, by_layer, strict=False):
        _norms(values, into)
    if gated:
        np.hypot(by_layer[0], by_layer[2], out=by_layer[3])
    sample_norms(input_grad, norms[-1])
    bands = _band(norms)
    of_h, of_states, *of_cells = bands[:-1].reshape(-1, L, T, 3)
    row = {
        "input_grad": size * bands[-1],
        "state_grad": size * (of_cells[1] if gated else of_h),
        "grad_h": size * of_h[..., 1],
        "state_norm": of_states[..., 1],
        "saturated": np.stack([_saturated(trace, cell) for trace in traces]),
    }
    if gated:
        row["grad_c"] = size * of_cells[0][..., 1]
    return row


def answer_row(traces: Sequence[Trace], asked: int, samples: Array | None = None) -> dict[str, Array]:
    """``answer_grad`` from the traces of a backward pass of one answer's loss alone, a mean over the ``asked`` samples
    of the batch that are asked there. ``samples`` [B], bool, says which samples the band is over (None: all)."""
    if samples is not None:
        traces = [_Some(trace, samples) for trace in traces]
    T, B = traces[0].h.shape[:2]
    norms = _norms([trace.grad_h for trace in traces], np.empty((len(traces), T, B)))
    if traces[0].c is not None:
        cells = [trace.grad_c for trace in traces if trace.grad_c is not None]
        np.hypot(norms, _norms(cells, np.empty_like(norms)), out=norms)
    return {"answer_grad": asked * _band(norms)}


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


def _band(norms: Array) -> Array:
    """``band`` of norms [.., B], which may be overwritten; nan where there are no samples."""
    return band(norms, overwrite=True) if norms.shape[-1] else np.full((*norms.shape[:-1], 3), np.nan)


def _norms(values: Sequence[Tensor], into: Array) -> Array:
    for value, row in zip(values, into, strict=True):
        sample_norms(value, row)
    return into
