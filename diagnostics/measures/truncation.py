"""Truncated backpropagation: where a sequence is cut into chunks, and how far its gradient is from the full one.

The state is carried from chunk to chunk and detached at the borders, so that the forward pass is that of the whole
sequence while a loss's gradient reaches back only to the beginning of its own chunk.

Source: Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories", 1990; bias against chunk length: Aicher, Foti, Fox, "Adaptively truncating backpropagation through time
to control gradient bias", 2019.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from diagnostics.records import Array


def chunks(steps: int, length: int) -> list[slice]:
    """The timesteps 0 … ``steps`` − 1 in consecutive chunks of ``length``, counted back from the end: the last chunk,
    which holds the (last) loss, is whole, and the first is what is left.

    Raises ``ValueError`` where either is below 1.
    """
    if steps < 1 or length < 1:
        raise ValueError(f"steps and length must be at least 1, but got {steps} and {length}")
    borders = [*range(steps, 0, -length), 0][::-1]
    return [slice(first, last) for first, last in pairwise(borders)]


def chunk_lengths(steps: int) -> Array:
    """The chunk lengths that are looked at, rising, int64: 1, 2, 4, … and ``steps``, which is no truncation."""
    powers = 2 ** np.arange(steps.bit_length(), dtype=np.int64)
    return np.union1d(powers[powers < steps], [steps])


def cosine(one: Array, other: Array) -> float:
    """⟨one, other⟩ / (‖one‖ ‖other‖) of all entries; nan where one of them is 0 everywhere or not finite."""
    one, other = _unit(one), _unit(other)
    return float(np.clip(one @ other, -1.0, 1.0)) if one.size else math.nan


def relative_error(approximate: Array, exact: Array) -> float:
    """‖approximate − exact‖ / ‖exact‖ of all entries; nan where ``exact`` is 0 everywhere or one is not finite."""
    approximate, exact = np.ravel(approximate), np.ravel(exact)
    scale = float(np.abs(exact).max(initial=0.0))
    if not 0 < scale < math.inf or not np.isfinite(approximate).all():
        return math.nan
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(approximate / scale - exact / scale) / np.linalg.norm(exact / scale))


def _unit(values: Array) -> Array:
    flat = np.ravel(np.asarray(values, dtype=np.float64))
    scale = float(np.abs(flat).max(initial=0.0))
    if not 0 < scale < math.inf:  # nan is in no range
        return np.full(flat.shape, math.nan)
    scaled = flat / scale
    return np.asarray(scaled / np.linalg.norm(scaled))
