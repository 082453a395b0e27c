"""Decay: the factor by which a gradient profile changes per step back from the loss, and its half-life."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from diagnostics.records import Array


class Decay(NamedTuple):
    """A fitted decay and what the fit could not use."""

    factor: float
    """β: below 1 the gradient shrinks on its way back, above 1 it grows; nan where fewer than two values remain."""
    used: int
    zeros: int
    """How many values were exactly 0 and left out."""
    non_finite: int
    """How many values were nan or infinite and left out."""


def decay(profile_by_lag: Array) -> Decay:
    """Fit the decay per step: ln β is the least-squares slope of ln φ_k over k.

    ``profile_by_lag`` is φ, shape ``[K + 1]``, where φ_k is the gradient norm k steps before the loss (any unit: the
    slope does not depend on it). Exact zeros have no logarithm; they, nan and infinities are left out and counted.

    Raises ``ValueError`` where the profile is not one row or has a negative value (a norm has none).
    """
    phi = np.asarray(profile_by_lag, dtype=np.float64)
    if phi.ndim != 1:
        raise ValueError(f"profile_by_lag must be one row, but got the shape {phi.shape}")
    if (phi < 0).any():
        raise ValueError(f"profile_by_lag must hold norms, which are at least 0, but got {phi.min()}")
    finite = np.isfinite(phi)
    usable = finite & (phi > 0)
    lags = np.flatnonzero(usable).astype(np.float64)
    factor = math.nan
    if lags.size >= 2:
        centred = lags - lags.mean()
        slope = float(centred @ np.log(phi[usable]) / (centred @ centred))
        factor = math.exp(slope) if slope < 709.0 else math.inf  # exp overflows float64 beyond ln(1.8e308)
    return Decay(factor, int(usable.sum()), int((phi == 0).sum()), int((~finite).sum()))


def half_life(factor: float) -> float:
    """Return the half-life in steps, ln ½ / ln β, of a decay ``factor`` β per step.

    0 where β = 0, infinite where β ≥ 1 (nothing is halved), nan where β is nan. Raises ``ValueError`` where β < 0.
    """
    if factor < 0:
        raise ValueError(f"factor must be at least 0, but got {factor}")
    if math.isnan(factor):
        return math.nan
    if factor == 0:
        return 0.0
    return math.inf if factor >= 1 else math.log(0.5) / math.log(factor)
