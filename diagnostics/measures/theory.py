"""What W_hh alone says about gradients through time: the bound, the spectral radius, and lines to the k-th power.

Letters: H hidden size, G gates; k steps back from the loss.
"""

from __future__ import annotations

import math

import numpy as np

from diagnostics.measures.jacobian import GATES
from diagnostics.records import Array

SLOPES = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0, "identity": 1.0}
"""γ, the steepest slope of a simple cell's nonlinearity."""


def gamma(cell: str) -> float:
    """γ of a simple cell; nan for gated ones, which no bound of the form (γ σ_max)^k holds for.

    Raises ``ValueError`` for a cell that is not known.
    """
    if cell not in GATES:
        raise ValueError(f"cell must be one of {', '.join(GATES)}, but got {cell!r}")
    return SLOPES.get(cell, math.nan)


def sigma_max(w_hh: Array) -> float:
    """The largest singular value of W_hh [G·H,H], all gate blocks together; nan where an entry is not finite.

    For a simple cell ‖J‖ ≤ γ σ_max: below 1 gradients must vanish, above 1 they may grow, but need not.
    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """
    w_hh = np.asarray(w_hh, dtype=np.float64)
    return float(np.linalg.norm(w_hh, 2)) if np.isfinite(w_hh).all() else math.nan


def eigenvalues(w_hh: Array) -> Array:
    """The eigenvalues of each gate's block of W_hh [G·H,H], as (real, imaginary): [G,H,2], largest modulus first.

    nan for a block with an entry that is not finite. Raises ``ValueError`` where the rows are no multiple of H.
    """
    w_hh = np.asarray(w_hh, dtype=np.float64)
    if w_hh.ndim != 2 or len(w_hh) % w_hh.shape[1]:
        raise ValueError(f"w_hh must have the shape [G·H,H], but got {w_hh.shape}")
    blocks = w_hh.reshape(-1, w_hh.shape[1], w_hh.shape[1])
    found = np.full((*blocks.shape[:2], 2), np.nan)
    for block, pairs in zip(blocks, found, strict=True):
        if np.isfinite(block).all():
            values = np.linalg.eigvals(block)
            values = values[np.argsort(-np.abs(values), kind="stable")]
            pairs[:] = np.stack([values.real, values.imag], axis=-1)
    return found


def spectral_radius(w_hh: Array) -> float:
    """The largest |λ| of W_hh; with gates, of any one gate's block, where it belongs to no bound and no rate.

    It is not σ_max: with W = [[0, a], [0, 0]] it is 0, while one step can grow a gradient by a. Alone it rules only
    the growth of W's own powers in the long run, hence that of a linear network.
    """
    return float(np.hypot(*np.moveaxis(eigenvalues(w_hh), -1, 0)).max())


def power_line(factor: float, lags: Array) -> Array:
    """log10 of factor^k at the ``lags`` k, of their shape: what no float64 need hold. −inf where it is exactly 0.

    Raises ``ValueError`` where the factor is negative.
    """
    if factor < 0:
        raise ValueError(f"factor must be at least 0, but got {factor}")
    lags = np.asarray(lags, dtype=np.float64)
    if factor == 0:
        return np.where(lags == 0, 0.0, -np.inf)
    return lags * math.log10(factor) if math.isfinite(factor) else np.where(lags == 0, 0.0, factor)
