"""The spread of a quantity over the batch: 5th percentile, median, 95th percentile (numpy)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.05, 0.5, 0.95)
"""In the order of ``diagnostics.records.BAND``."""


def band(samples: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Percentiles over the last axis, [..., B] → [..., 3], interpolated linearly as in ``numpy.percentile``.

    A nan among the samples makes all three nan: a part of the batch that is not a number is not a thing to leave out.
    Infinities are ordered like numbers, so a percentile is infinite where it falls among them (``numpy.percentile``
    says nan there).
    """
    ordered = np.sort(samples.astype(np.float64, copy=False), axis=-1)
    last = ordered.shape[-1] - 1
    places = last * np.array(PERCENTILES)
    below = places.astype(np.int64)
    part = places - below
    low, high = ordered[..., below], ordered[..., np.minimum(below + 1, last)]
    with np.errstate(invalid="ignore"):  # an infinity times 0, where ``low`` is taken
        result = np.where((part == 0) | (low == high), low, (1 - part) * low + part * high)
    result[np.isnan(ordered[..., -1])] = np.nan  # nan sorts last
    return result
