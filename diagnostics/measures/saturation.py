"""The share of units whose nonlinearity has gone flat, so that no gradient passes it (torch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.recurrence import Trace, paths

TANH_FLAT = 0.95
GATE_FLAT = 0.05

_SIGMOID_GATES = {"gru": "rz", "lstm": "ifo"}


def saturated(trace: Trace, nonlinearity: str) -> NDArray[np.float64]:
    """Share of saturated units at each timestep, over batch and units, [T].

    tanh: |h| > 0.95; sigmoid: h below 0.05 or above 0.95; relu: exactly 0; identity: never. GRU and LSTM: of their
    sigmoid gates (r, z and i, f, o) together, below 0.05 or above 0.95. Nothing that is nan counts, nor does padding:
    the share is of those samples that have the timestep, and 0 where none has. A trace of kind positions has no
    nonlinearity that is known: never. ``nonlinearity`` matters only for a trace of kind rnn.
    """
    share = _whole(trace, nonlinearity)
    if trace.lengths is None:
        return share
    B = trace.h.shape[1]
    there = (np.arange(len(share))[:, None] < trace.lengths.numpy()).sum(axis=1)
    flat = trace.kind in _SIGMOID_GATES or nonlinearity in ("sigmoid", "relu")  # all that is 0 at padding counted
    return np.asarray((share * B - (flat and trace.kind != "positions") * (B - there)) / np.maximum(there, 1))


def _whole(trace: Trace, nonlinearity: str) -> NDArray[np.float64]:
    """As ``saturated``, with padding counted as what it holds, which is 0."""
    if trace.kind == "positions":
        return np.zeros(len(trace.h))
    if trace.kind != "rnn":
        gates = [trace.gates[name] for name in _SIGMOID_GATES[trace.kind]]
        return _share(gates, 0.5, 0.5 - GATE_FLAT)
    if nonlinearity == "tanh":
        return _share([trace.h], 0.0, TANH_FLAT)
    if nonlinearity == "sigmoid":
        return _share([trace.h], 0.5, 0.5 - GATE_FLAT)
    if nonlinearity == "relu":
        return _share([trace.h], 0.0, None)
    return np.zeros(len(trace.h))


def _share(tensors: Sequence[Tensor], centre: float, beyond: float | None) -> NDArray[np.float64]:
    """Share of entries farther than ``beyond`` from ``centre``, or equal to it for None; over all the tensors, [T]."""
    counts = np.zeros(len(tensors[0]), dtype=np.int64)
    compiled = paths.samples_for(tensors[0])
    for values in tensors:
        if compiled is None:
            flags = values == centre if beyond is None else (values - centre).abs() > beyond
            # NumPy counts flags several times faster than torch sums them.
            counts += np.count_nonzero(flags.flatten(1).cpu().numpy(), axis=1)
        elif beyond is None:
            compiled.equal(values, centre, counts)
        else:
            compiled.beyond(values, centre, beyond, counts)
    return np.asarray(counts / max(1, len(tensors) * tensors[0][0].numel()))  # of no samples, as of padding: 0
