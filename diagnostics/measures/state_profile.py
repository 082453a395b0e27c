"""One row of the profile stream from states and their gradients: norms per sample, and their spread over the batch
(torch). What each column is says ``diagnostics.records.COLUMNS``.

Letters: L layers, T timesteps, B batch, I input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from torch import Tensor

from diagnostics.measures.band import band
from diagnostics.measures.norms import sample_norms
from diagnostics.records import Array


class States(Protocol):
    """What a layer's profile is made of: ``h`` and ``grad_h`` [T,B,H], ``c`` and ``grad_c`` likewise or None."""

    @property
    def h(self) -> Tensor: ...  # noqa: D102
    @property
    def c(self) -> Tensor | None: ...  # noqa: D102
    @property
    def grad_h(self) -> Tensor: ...  # noqa: D102
    @property
    def grad_c(self) -> Tensor | None: ...  # noqa: D102


def profile_columns(
    layers: Sequence[States], input_grad: Tensor | None, scale: float, present: Array | None = None
) -> dict[str, Array]:
    """``state_grad``, ``grad_h``, ``state_norm`` and, where they are known, ``grad_c`` and ``input_grad``.

    ``scale`` is what gradients are multiplied by: B undoes a mean over the batch. ``present`` [T], int: only so many of
    the first samples have the timestep; None: all. Where no sample is left, everything is nan. ``grad_c`` is nan for
    the layers without a cell state where others have one.
    """
    L, (T, B) = len(layers), layers[0].h.shape[:2]
    gated = [layer.grad_c is not None for layer in layers]
    quantities = 4 if any(gated) else 2
    norms = np.zeros((quantities * L + (input_grad is not None), T, B))  # one array, and so one call of what sorts it
    by_layer = norms[: quantities * L].reshape(quantities, L, T, B)
    for index, layer in enumerate(layers):
        sample_norms(layer.grad_h, by_layer[0, index])
        sample_norms(layer.h, by_layer[1, index])
        if (of_c := layer.grad_c) is not None:
            sample_norms(of_c, by_layer[2, index])
    if any(gated):
        np.hypot(by_layer[0], by_layer[2], out=by_layer[3])
    if input_grad is not None:
        sample_norms(input_grad, norms[-1])
    bands = _bands(norms, present)
    of_h, of_states, *of_cells = bands[: quantities * L].reshape(quantities, L, T, 3)
    row = {
        "state_grad": scale * (of_cells[1] if any(gated) else of_h),
        "grad_h": scale * of_h[..., 1],
        "state_norm": of_states[..., 1],
    }
    if any(gated):
        row["grad_c"] = scale * np.where(np.array(gated)[:, None], of_cells[0][..., 1], np.nan)
    if input_grad is not None:
        row["input_grad"] = scale * bands[-1]
    return row


def state_bands(gradients: Sequence[tuple[Tensor, Tensor | None]], scale: float, present: Array | None = None) -> Array:
    """The band of ‖(∂L/∂h, ∂L/∂c)‖ over the batch, [L,T,3], from (grad_h, grad_c) of every layer; else as above."""
    T, B = gradients[0][0].shape[:2]
    norms = np.empty((len(gradients), T, B))
    for (of_h, of_c), into in zip(gradients, norms, strict=True):
        sample_norms(of_h, into)
        if of_c is not None:
            np.hypot(into, sample_norms(of_c), out=into)
    return scale * _bands(norms, present)


def _bands(norms: Array, present: Array | None) -> Array:
    """``band`` of norms [..,T,B], which are overwritten, over the samples that are there: [..,T,3]."""
    *_, T, B = norms.shape
    if present is None and B:
        return band(norms, overwrite=True)
    result = np.full((*norms.shape[:-1], 3), np.nan)
    counts = np.zeros(T, dtype=np.int64) if present is None else present
    borders = [0, *(np.flatnonzero(np.diff(counts)) + 1), T]
    for first, last in pairwise(borders):
        if T and counts[first]:
            result[..., first:last, :] = band(norms[..., first:last, : counts[first]])
    return result
