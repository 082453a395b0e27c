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
_STARTS = 4
"""How many random starts there are at least, over all samples."""


class Spectrum(NamedTuple):
    """Exponents per step, natural logarithm, descending; finite-time ones, of trajectories of ``steps`` steps."""

    exponents: Array
    """λ, [S]; −inf where a direction is lost altogether (to rounding), nan where a Jacobian is not finite."""
    error: Array
    """[S], the standard error: the largest of those over stretches of time, over samples and over random starts;
    nan where the exponent is not finite."""
    warm_up: int
    """How many steps at the beginning were left out."""
    steps: int
    """How many steps of each sample were used."""


def warm_up_of(steps: int) -> int:
    """How many of ``steps`` steps are left for the directions to settle: a fifth, at most 100."""
    return min(steps // 5, _MOST_WARM_UP)


def starts_of(samples: int) -> int:
    """How many random starts each sample has: one, and where there are fewer than four samples so many more that the
    exponents' dependence on the start can be seen."""
    return max(1, _STARTS // samples)


def lyapunov(
    path: Trajectory,
    *,
    last: int | None = None,
    warm_up: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Spectrum:
    """λ_i = (1/N) Σ_t ln |R_ii,t| with Q_t R_t = J_t Q_{t−1}, over the steps 1 … ``last`` after ``warm_up`` of them.

    ``last`` (None: the last timestep) is where the trajectory is cut, as at the loss; ``warm_up`` None takes
    ``warm_up_of``. The exponents are the mean over all steps, samples and starts: Q_0 is random, drawn
    from ``seed``, and another for every sample, or several for each where there are fewer than four samples.

    The error is the largest of three standard errors of that mean: over up to eight stretches of time of each sample,
    taken as independent; over the samples' own means; and over the starts of each sample, where it has several. The
    first alone would leave out that a short trajectory goes on growing as its start had it, at every step: since no
    two samples share a start, their scatter holds that.

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
    growth = _growth(path, last, seed, progress)[warm_up:]
    exponents = growth.mean(axis=(0, 1, 2))
    error = _error(growth)
    order = np.argsort(-exponents, kind="stable")  # −inf and nan come last
    return Spectrum(exponents[order], error[order], warm_up, len(growth))


def _growth(path: Trajectory, last: int, seed: int, progress: Progress | None) -> Array:
    """ln |R_ii| at the steps 1 … last, [last,B,R,S] for R starts of every sample."""
    B, R, S = path.samples, starts_of(path.samples), path.size
    # Random starts: directions that are exactly apart (an LSTM that is all zeros) would never be put in order.
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((B * R, S, S)))[0]
    growth = np.empty((last, B * R, S))
    finite = np.ones(B, dtype=bool)
    for t in range(1, last + 1):
        J = path.at(t)
        finite &= np.isfinite(J).all(axis=(1, 2))
        grown = np.where(finite[:, None, None], J, 0.0)[:, None] @ Q.reshape(B, R, S, S)
        Q, triangle = triangular(grown.reshape(B * R, S, S))
        with np.errstate(divide="ignore"):
            growth[t - 1] = np.log(np.abs(np.einsum("bii->bi", triangle)))
        growth[t - 1, ~np.repeat(finite, R)] = np.nan
        if progress is not None:
            progress(t / last)
    return growth.reshape(last, B, R, S)


def _error(growth: Array) -> Array:
    """Standard error [S] of the mean of ``growth`` [N,B,R,S]; nan where an exponent is not finite."""
    N, B = growth.shape[:2]
    edges = np.linspace(0, N, min(_BLOCKS, N) + 1).round().astype(int)
    with np.errstate(invalid="ignore"):  # −inf less −inf: an exponent of −inf has no error
        stretches = np.concatenate([growth[a:b].mean(axis=(0, 2)) for a, b in pairwise(edges)])
        own = growth.mean(axis=0)
        found = [_variance(stretches), _variance(own.mean(axis=1)), _variance(own.swapaxes(0, 1)).mean(axis=0) / B]
        return np.asarray(np.sqrt(np.fmax.reduce(found)))


def _variance(values: Array) -> Array:
    """Of the mean over the first axis, from the scatter along it; nan where there are fewer than two values."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.var(axis=0, ddof=1) / len(values))
