"""The share of units whose nonlinearity has gone flat, so that no gradient passes it (torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.recurrence import Trace, paths

TANH_FLAT = 0.95
GATE_FLAT = 0.05

_SIGMOID_GATES = {"gru": "rz", "lstm": "ifo"}


class Gated(Protocol):
    """What a share is of: the state ``h`` [T,B,H], and ``gates`` [T,B,H] each, by name."""

    @property
    def h(self) -> Tensor: ...  # noqa: D102
    @property
    def gates(self) -> Mapping[str, Tensor]: ...  # noqa: D102


def saturated(trace: Trace, nonlinearity: str) -> NDArray[np.float64]:
    """Share of saturated units at each timestep, over batch and units, [T].

    tanh: |h| > 0.95; sigmoid: h below 0.05 or above 0.95; relu: exactly 0; identity: never. GRU and LSTM: of their
    sigmoid gates (r, z and i, f, o) together, below 0.05 or above 0.95. Nothing that is nan counts, nor does padding:
    the share is of those samples that have the timestep, and 0 where none has. A trace of kind positions has no
    nonlinearity that is known: never. ``nonlinearity`` matters only for a trace of kind rnn.
    """
    if trace.kind == "positions":
        return np.zeros(len(trace.h))
    there = None
    if trace.lengths is not None:
        there = (np.arange(len(trace.h))[:, None] < trace.lengths.numpy()).sum(axis=1)
    return share_saturated(trace, nonlinearity if trace.kind == "rnn" else trace.kind, there)


def share_saturated(states: Gated, cell: str, present: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """As ``saturated``, of a ``cell``: tanh, sigmoid, relu, gru, lstm, or any other, which never is.

    ``present`` [T] says how many samples have the timestep, None: all; the others hold 0 there.
    """
    share = _whole(states, cell)
    if present is None:
        return share
    B = states.h.shape[1]
    flat = cell in _SIGMOID_GATES or cell in ("sigmoid", "relu")  # all that is 0 at padding counted
    return np.asarray((share * B - flat * (B - present)) / np.maximum(present, 1))


def _whole(states: Gated, cell: str) -> NDArray[np.float64]:
    """As ``share_saturated``, with padding counted as what it holds, which is 0."""
    if cell in _SIGMOID_GATES:
        gates = [states.gates[name] for name in _SIGMOID_GATES[cell]]
        return _share(gates, 0.5, 0.5 - GATE_FLAT)
    if cell == "tanh":
        return _share([states.h], 0.0, TANH_FLAT)
    if cell == "sigmoid":
        return _share([states.h], 0.5, 0.5 - GATE_FLAT)
    if cell == "relu":
        return _share([states.h], 0.0, None)
    return np.zeros(len(states.h))


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
