"""Lyapunov exponents of a recurrence along the states that it went through: how fast neighbouring states part."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from diagnostics.measures.jacobian import Progress, Trajectory
from diagnostics.measures.products import triangular
from diagnostics.records import Array

_MOST_WARM_UP = 100
_BLOCKS = 8
"""Into how many stretches of time a sample is cut for the uncertainty, where it is long enough."""


class Spectrum(NamedTuple):
    """Exponents per step, natural logarithm, descending; finite-time ones, of trajectories of ``steps`` steps."""

    exponents: Array
    """λ, [S]; −inf where a direction is lost altogether (to rounding), nan where a Jacobian is not finite."""
    error: Array
    """[S], the standard error of the mean over stretches of time and samples; nan where there are fewer than two."""
    warm_up: int
    """How many steps at the beginning were left out."""
    steps: int
    """How many steps of each sample were used."""


def warm_up_of(steps: int) -> int:
    """How many of ``steps`` steps are left for the directions to settle: a fifth, at most 100."""
    return min(steps // 5, _MOST_WARM_UP)


def lyapunov(
    path: Trajectory, *, last: int | None = None, warm_up: int | None = None, progress: Progress | None = None
) -> Spectrum:
    """λ_i = (1/N) Σ_t ln |R_ii,t| with Q_t R_t = J_t Q_{t−1}, over the steps 1 … ``last`` after ``warm_up`` of them.

    ``last`` (None: the last timestep) is where the trajectory is cut, as at the loss; ``warm_up`` None takes
    ``warm_up_of``. The exponents are the mean over all steps and samples; the error is that of the means of up to eight
    stretches of each sample, taken as independent.

    Without any step, at a ``last`` of 0, all of it is nan. Raises ``ValueError`` where no step is left after a
    ``warm_up`` that was asked for.

    Source: Benettin et al. 1980; for recurrent networks Vogt et al., "On Lyapunov exponents for RNNs", 2022, and
    Engelken et al., "Lyapunov spectra of chaotic recurrent neural networks", 2023.
    """
    last = path.steps - 1 if last is None else last
    if not 0 <= last < path.steps:
        raise ValueError(f"last must be a timestep from 0 to {path.steps - 1}, but got {last}")
    if last == 0 and warm_up is None:
        return Spectrum(np.full(path.size, np.nan), np.full(path.size, np.nan), 0, 0)
    warm_up = warm_up_of(last) if warm_up is None else warm_up
    if not 0 <= warm_up < last:
        raise ValueError(f"warm_up must be at least 0 and below the {last} steps that there are, but got {warm_up}")
    growth = _growth(path, last, progress)[warm_up:]
    exponents = growth.mean(axis=(0, 1))
    error = _error(growth)
    order = np.argsort(-exponents, kind="stable")  # −inf and nan come last
    return Spectrum(exponents[order], error[order], warm_up, len(growth))


def _growth(path: Trajectory, last: int, progress: Progress | None) -> Array:
    """ln |R_ii| at the steps 1 … last, [last,B,S]."""
    # A random start: directions that are exactly apart (an LSTM that is all zeros) would never be put in order.
    start = np.random.default_rng(0).standard_normal((path.size, path.size))
    Q = np.broadcast_to(np.linalg.qr(start)[0], (path.samples, path.size, path.size))
    growth = np.empty((last, path.samples, path.size))
    finite = np.ones(path.samples, dtype=bool)
    for t in range(1, last + 1):
        J = path.at(t)
        finite &= np.isfinite(J).all(axis=(1, 2))
        Q, R = triangular(np.where(finite[:, None, None], J, 0.0) @ Q)
        with np.errstate(divide="ignore"):
            growth[t - 1] = np.log(np.abs(np.einsum("bii->bi", R)))
        growth[t - 1, ~finite] = np.nan
        if progress is not None:
            progress(t / last)
    return growth


def _error(growth: Array) -> Array:
    """Standard error [S] of the mean of ``growth`` [N,B,S] from the means of stretches; nan where it has none."""
    edges = np.linspace(0, len(growth), min(_BLOCKS, len(growth)) + 1).round().astype(int)
    means = np.concatenate([growth[a:b].mean(axis=0) for a, b in pairwise(edges)])
    if len(means) < 2:
        return np.full(growth.shape[-1], np.nan)
    with np.errstate(invalid="ignore"):  # −inf less −inf: an exponent of −inf has no error
        return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(len(means)))
