"""How long a gate remembers: τ = 1/(1−f) steps, for the LSTM's forget gate and the GRU's update gate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diagnostics.records import Array

PER_DECADE = 8


class Distribution(NamedTuple):
    """How often each time scale occurs; the counts, ``forever`` and ``not_finite`` add up to all values."""

    edges: Array
    """Bounds of the bins in steps, [bins + 1], evenly spaced on a log axis from 1 step on."""
    counts: Array
    """int64 [bins]; a bin holds its lower bound, the last one both."""
    forever: int
    """How many gates are exactly 1: they forget nothing, and have no time scale to put into a bin."""
    not_finite: int
    median: float
    """In steps, over all that are numbers, gates of exactly 1 counting as infinite; nan where there are none."""


def time_scale(gate: Array) -> Array:
    """τ = 1/(1−f) in steps, of the shape of ``gate`` (0 to 1): after τ steps at f, 1/e is left, nearly. Infinite at 1.

    With a constant gate the LSTM's direct path is ∂c_t/∂c_k = f^(t−k), and τ = 1 + f + f² + …. nan stays nan.
    Raises ``ValueError`` where a value lies outside 0 to 1.

    Source: Tallec and Ollivier, "Can recurrent neural networks warp time?", 2018.
    """
    gate = np.asarray(gate, dtype=np.float64)
    if (gate < 0).any() or (gate > 1).any():
        raise ValueError(f"gate must lie within 0 to 1, but got {gate[(gate < 0) | (gate > 1)].flat[0]}")
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 - gate))


def distribution(gate: Array, per_decade: int = PER_DECADE) -> Distribution:
    """Sort the time scales of ``gate`` (any shape, values 0 to 1) into bins, ``per_decade`` to a factor of ten.

    The bins end with the decade that holds the longest. Raises ``ValueError`` where a value lies outside 0 to 1.
    """
    tau = time_scale(gate).ravel()
    tau = tau[~(missing := np.isnan(tau))]
    lasting = tau[np.isfinite(tau)]
    decades = max(1, int(np.ceil(np.log10(lasting.max())))) if lasting.size else 1
    edges = 10.0 ** (np.arange(decades * per_decade + 1) / per_decade)
    counts, _ = np.histogram(lasting, bins=edges)
    ordered = np.sort(tau)
    low, high = (ordered[[(len(tau) - 1) // 2, len(tau) // 2]]) if tau.size else (np.nan, np.nan)
    median = float(low if low == high else (low + high) / 2)
    return Distribution(edges, counts, int(np.isinf(tau).sum()), int(missing.sum()), median)
