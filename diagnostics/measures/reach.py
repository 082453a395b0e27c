"""Reach: how many steps back from the loss a gradient profile first falls below a share of its value at the loss."""

from __future__ import annotations

import math

import numpy as np

from diagnostics.records import Array

REACH_THRESHOLD = 0.01
"""The share of the value at the loss below which the gradient counts as not having reached: 1 %."""


def reach(profile_by_lag: Array, threshold: float = REACH_THRESHOLD) -> int:
    """Return the reach of a profile, in steps: reach_ε = min{k : φ_k < ε φ_0}, and K where there is no such k.

    ``profile_by_lag`` is φ, shape ``[K + 1]``: φ_k is the gradient norm k steps before the loss, φ_0 the one at the
    loss. ``threshold`` is ε. A φ_k that is not a number is not below anything, and an infinite one is above
    everything: neither ends the reach. So the reach never falls when ε does.

    Raises ``ValueError`` where the profile is empty, φ_0 is not a finite positive number, or ε is not in (0, 1].

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, for the
    quantity (the norm of ∂L/∂h along time); the threshold is this project's convention.
    """
    phi = checked_profile(profile_by_lag)
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must be above 0 and at most 1, but got {threshold}")
    below = np.flatnonzero(phi < threshold * phi[0])
    return int(below[0]) if below.size else phi.size - 1


def checked_profile(profile_by_lag: Array) -> Array:
    """Return the profile as float64, shape ``[K + 1]``; raise ``ValueError`` where φ_0 cannot be compared with."""
    phi = np.asarray(profile_by_lag, dtype=np.float64)
    if phi.ndim != 1 or phi.size == 0:
        raise ValueError(f"profile_by_lag must be one row of at least one value, but got the shape {phi.shape}")
    if not (math.isfinite(phi[0]) and phi[0] > 0.0):
        raise ValueError(f"profile_by_lag must begin with a finite positive value at the loss, but got {phi[0]}")
    return phi
