"""The gradient of each parameter tensor by itself: its norm, the update beside it, and how its entries are spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diagnostics.records import Array

BINS_PER_DECADE = 2
MOST_DECADES = 40
"""No histogram spans more; entries below it are counted in its first bin."""


class Histogram(NamedTuple):
    """Entries of P tensors by size. ``counts`` int64 [P,N] has the finite entries that are not 0, by bin of log10 |g|
    between ``edges`` [N+1]; ``zeros``, ``infs`` and ``nans`` [P] are those that have no place on a log axis."""

    edges: Array
    counts: Array
    zeros: Array
    infs: Array
    nans: Array


def norm(values: Array) -> float:
    """The l2 norm of all entries in float64, without squares that leave the range; nan and infinity stay."""
    sizes = np.abs(np.ravel(np.asarray(values, dtype=np.float64)))
    largest = float(sizes.max(initial=0.0))
    if not 0 < largest < math.inf:
        return largest
    return float(np.linalg.norm(sizes / largest)) * largest


def update_ratio(before: Array, after: Array) -> float:
    """‖Δθ‖ / ‖θ‖: how far one update moves a tensor, beside its own length before; nan where that is 0."""
    length = norm(before)
    moved = norm(np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64))
    return moved / length if length else math.nan


def histogram(gradients: Sequence[Array]) -> Histogram:
    """The sizes of the entries of several tensors over the same bins, half a decade each, edges at whole and half
    powers of ten. One bin from 10⁰ to 10^½ where there is no entry to bin."""
    sizes = [np.abs(np.ravel(np.asarray(values, dtype=np.float64))) for values in gradients]
    logs = [np.log10(values[np.isfinite(values) & (values > 0)]) for values in sizes]
    low, high = _span(logs)
    edges = np.arange(low, high + 1) / BINS_PER_DECADE
    places = [np.clip(np.floor(part * BINS_PER_DECADE).astype(np.int64) - low, 0, high - low - 1) for part in logs]
    return Histogram(
        edges,
        np.stack([np.bincount(part, minlength=high - low) for part in places]).astype(np.int64),
        _counted([values == 0 for values in sizes]),
        _counted([np.isinf(values) for values in sizes]),
        _counted([np.isnan(values) for values in sizes]),
    )


def _span(logs: Sequence[Array]) -> tuple[int, int]:
    """The first and last edge, in half decades."""
    joined = np.concatenate([*logs, np.empty(0)])
    if not joined.size:
        return 0, 1
    low = math.floor(joined.min() * BINS_PER_DECADE)
    high = math.floor(joined.max() * BINS_PER_DECADE) + 1
    return max(low, high - MOST_DECADES * BINS_PER_DECADE), high


def _counted(marks: Sequence[Array]) -> Array:
    return np.array([int(part.sum()) for part in marks], dtype=np.int64)
