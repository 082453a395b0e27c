"""The spread of a quantity over the batch: 5th percentile, median, 95th percentile (numpy)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.05, 0.5, 0.95)
"""In the order of ``diagnostics.records.BAND``."""


def band(samples: NDArray[np.floating[Any]], *, overwrite: bool = False) -> NDArray[np.float64]:
    """Percentiles over the last axis, [..., B] → [..., 3], interpolated linearly as in ``numpy.percentile``.

    A nan among the samples makes all three nan: a part of the batch that is not a number is not a thing to leave out.
    Infinities are ordered like numbers, so a percentile is infinite where it falls among them (``numpy.percentile``
    says nan there). With ``overwrite``, ``samples`` (float64) end up sorted.
    """
    ordered = samples if overwrite else samples.astype(np.float64)
    ordered.sort(axis=-1)
    low_at, high_at, low_share, high_share = _neighbours(ordered.shape[-1])
    low, high = ordered.take(low_at, axis=-1), ordered.take(high_at, axis=-1)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = low_share * low + high_share * high
    if not np.isfinite(result).all():
        result = np.where((high_share == 0) | (low == high), low, result)  # not an infinity times 0
        result[np.isnan(ordered[..., -1])] = np.nan  # nan sorts last
    return result


@cache
def _neighbours(size: int) -> tuple[NDArray[Any], ...]:
    """Of each percentile of ``size`` sorted samples: the places of the two beside it, and how much each counts."""
    places = (size - 1) * np.array(PERCENTILES)
    low = places.astype(np.int64)
    return low, np.minimum(low + 1, size - 1), 1 - (places - low), places - low
