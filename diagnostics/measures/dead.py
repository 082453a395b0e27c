"""Dead units: those of a ReLU layer that are exactly 0, through which no gradient passes (NumPy)."""

from __future__ import annotations

import numpy as np

from diagnostics.records import Array


def dead(h: Array) -> Array:
    """Share of units that are exactly 0 for every sample, at each timestep: ``h`` [T,B,H] → [T].

    A unit that is 0 for one sample alone is off, as half of them are; 0 for every sample it passes no gradient at t.
    """
    share: Array = (_checked(h) == 0).all(axis=1).mean(axis=1)
    return share


def never_on(h: Array) -> float:
    """Share of units that are exactly 0 at every timestep of every sample, for ``h`` [T,B,H].

    The gradient of such a unit's weights is 0 for these samples, so that only others could bring it back.
    """
    return float((_checked(h) == 0).all(axis=(0, 1)).mean())


def _checked(h: Array) -> Array:
    if np.ndim(h) != 3 or 0 in np.shape(h):
        raise ValueError(f"h must be states [T, B, H] with none of them 0, but got the shape {np.shape(h)}")
    return h
