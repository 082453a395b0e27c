"""How often clipping changed the gradient, and the thresholds that there are."""

from __future__ import annotations

import math

import numpy as np

from diagnostics.records import Array

THRESHOLD_LEAST, THRESHOLD_MOST = 1e-12, 1e12
"""A run can be asked to be clipped, by norm or by value, at a threshold from the first to the second, both included."""


def is_threshold(value: float) -> bool:
    """Whether a run can be asked to be clipped at ``value``."""
    return THRESHOLD_LEAST <= value <= THRESHOLD_MOST


def clipped_share(clip_factor: Array) -> float:
    """Return the share of training steps, 0 to 1, on which clipping changed the gradient; nan where there are none.

    ``clip_factor`` is post-clip norm ÷ pre-clip norm, shape ``[N]``: 1 where nothing was clipped. Steps where it is not
    a number (a gradient that was not one) count as not clipped: no clipping rule repairs those.
    """
    factor = np.asarray(clip_factor, dtype=np.float64)
    return float(np.mean(factor < 1.0)) if factor.size else math.nan
