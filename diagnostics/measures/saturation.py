"""The share of units whose nonlinearity has gone flat, so that no gradient passes it (torch)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.recurrence import Trace

TANH_FLAT = 0.95
GATE_FLAT = 0.05

_SIGMOID_GATES = {"gru": "rz", "lstm": "ifo"}


def saturated(trace: Trace, nonlinearity: str) -> NDArray[np.float64]:
    """Share of saturated units at each timestep, over batch and units, [T].

    tanh: |h| > 0.95; sigmoid: h below 0.05 or above 0.95; relu: exactly 0; identity: never. GRU and LSTM: of their
    sigmoid gates (r, z and i, f, o) together, below 0.05 or above 0.95. Nothing that is nan counts.
    ``nonlinearity`` matters only for a trace of kind rnn.
    """
    if trace.kind != "rnn":
        shares = [_flat(trace.gates[name]) for name in _SIGMOID_GATES[trace.kind]]
        return np.asarray(sum(shares) / len(shares))
    if nonlinearity == "tanh":
        return _share(trace.h.abs() > TANH_FLAT)
    if nonlinearity == "sigmoid":
        return _flat(trace.h)
    if nonlinearity == "relu":
        return _share(trace.h == 0)
    return np.zeros(len(trace.h))


def _flat(gate: Tensor) -> NDArray[np.float64]:
    return _share((gate - 0.5).abs() > 0.5 - GATE_FLAT)


def _share(flags: Tensor) -> NDArray[np.float64]:
    # numpy counts flags several times faster than torch sums them
    counts = np.count_nonzero(flags.flatten(1).cpu().numpy(), axis=1)
    return np.asarray(counts / flags[0].numel())
