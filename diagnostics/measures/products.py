"""Singular values of products of many Jacobians, which no float64 could hold: factors are triangular and scaled.

What is left of P_k = J_τ J_{τ−1} … J_{τ−k+1} = ∂s_τ/∂s_{τ−k} after orthogonal factors are dropped is one triangular
matrix, kept as rows of ordinary size and a power of two for each. Letters: B samples, S state size, K lags.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diagnostics.measures.jacobian import Progress, Trajectory, lost
from diagnostics.records import Array

_NOTHING = -(2**40)
"""The power of two of a row that is exactly 0."""
_PASSES = 3
_CORE, _MARGIN = 16, 20
"""Powers of two: singular values this close are found together, and with neighbours this far beyond them."""
_LOG10_2 = np.log10(2.0)


def product_lags(loss_step: int) -> Array:
    """The lags k that products are looked at for, int64: 1, 2, 4, … and ``loss_step``, the whole way back.

    Empty where the loss is at the first step. Raises ``ValueError`` where ``loss_step`` is negative.
    """
    if loss_step < 0:
        raise ValueError(f"loss_step must be at least 0, but got {loss_step}")
    powers = 2 ** np.arange(loss_step.bit_length(), dtype=np.int64)
    return np.unique(np.append(powers, loss_step)) if loss_step else np.empty(0, dtype=np.int64)


def product_singular_values(
    path: Trajectory, loss_step: int, lags: Sequence[int] | Array, progress: Progress | None = None
) -> Array:
    """log10 of the singular values of ∂s_τ/∂s_{τ−k}, τ = ``loss_step``, descending, [K,B,S] for the ``lags`` k.

    −inf where a singular value is 0 to rounding (S · 2⁻⁵² of the largest in the step that made it so); nan from where
    a sample's Jacobian is not finite. Raises ``ValueError`` where a lag is not 1 … ``loss_step`` or they do not ascend.

    Source: QR accumulation as in Dieci and Van Vleck, "Computation of a few Lyapunov exponents for continuous and
    discrete dynamical systems", 1995, on the transposes, since the product grows at its early end.
    """
    lags = np.asarray(lags, dtype=np.int64)
    if lags.size and (lags[0] < 1 or lags[-1] > loss_step or (np.diff(lags) < 1).any()):
        raise ValueError(f"lags must ascend within 1 to {loss_step}, but got {lags.tolist()}")
    if loss_step >= path.steps:
        raise ValueError(f"loss_step must be a timestep below {path.steps}, but got {loss_step}")
    found = np.full((len(lags), path.samples, path.size), np.nan)
    if not lags.size:
        return found
    first = path.at(loss_step)
    basis, factor = _begin(first)
    finite = np.ones(path.samples, dtype=bool)
    for k in range(1, int(lags[-1]) + 1):
        J = first if k == 1 else path.at(loss_step - k + 1)
        finite &= np.isfinite(J).all(axis=(1, 2))
        if k > 1:
            basis, R = triangular(np.where(finite[:, None, None], J, 0.0).swapaxes(1, 2) @ basis)
            factor = factor.grown(R)
        for at in np.flatnonzero(lags == k):
            found[at] = factor.log10_singular_values()
            found[at][~finite] = np.nan
        if progress is not None:
            progress(k / int(lags[-1]))
    return found


def triangular(matrices: Array) -> tuple[Array, Array]:
    """QR of [B,S,S], with diagonal entries of R that are 0 to rounding made exactly 0."""
    Q, R = np.linalg.qr(matrices)
    return Q, _cleared(R)


def _cleared(R: Array) -> Array:
    largest = np.abs(R).max(axis=(-2, -1))[..., None]  # at most the largest σ; unlike a norm, it cannot overflow
    diagonal = np.einsum("...ii->...i", R)
    diagonal[np.abs(diagonal) <= lost(largest, R.shape[-1])] = 0.0
    return R


class _Factor:
    """B matrices as D(2^powers) · rows: ``powers`` int64 [B,S], ``rows`` [B,S,S] with entries of ordinary size."""

    def __init__(self, powers: Array, rows: Array) -> None:
        self.powers, self.rows = powers, rows

    def grown(self, R: Array) -> _Factor:
        """R times this."""
        powers, left = _scaled(R, self.powers)
        more, rows = _scaled(left @ self.rows, np.zeros_like(self.powers))
        return _Factor(np.where((powers == _NOTHING) | (more == _NOTHING), _NOTHING, powers + more), rows)

    def log10_singular_values(self) -> Array:
        """[B,S], descending."""
        return np.stack([_graded(powers, rows) for powers, rows in zip(self.powers, self.rows, strict=True)])


def _begin(J: Array) -> tuple[Array, _Factor]:
    """The basis and factor of one transposed Jacobian, by its singular values: largest first from the beginning."""
    finite = np.isfinite(J).all(axis=(1, 2), keepdims=True)
    _, sizes, right = np.linalg.svd(np.where(finite, J, 0.0))
    sizes[sizes <= lost(sizes[:, :1], J.shape[-1])] = 0.0
    powers, rows = _scaled(sizes[:, :, None] * np.eye(J.shape[-1]), np.zeros(sizes.shape, dtype=np.int64))
    return right.swapaxes(1, 2), _Factor(powers, rows)


def _scaled(matrix: Array, columns: Array) -> tuple[Array, Array]:
    """``matrix`` [...,S,S] · D(2^columns) as (powers, rows): each row's largest entry is between ½ and 1, or all 0."""
    _, exponents = np.frexp(matrix)
    reach = np.where(matrix == 0, _NOTHING, exponents.astype(np.int64) + columns[..., None, :])
    powers = reach.max(axis=-1)
    powers = np.where(powers < _NOTHING // 2, _NOTHING, powers)
    shift = np.clip(columns[..., None, :] - powers[..., :, None], -4000, 4000)
    return powers, np.where(reach < _NOTHING // 2, 0.0, np.ldexp(matrix, shift))


def _graded(powers: Array, rows: Array) -> Array:
    """log10 of the singular values, [S], of D(2^powers) · rows [S,S], however far apart they are.

    Passes of QR on the transpose, largest row first, leave a triangular matrix whose entries off the diagonal are as
    small as the singular values are apart (the QR algorithm without shifts); then those that are close to one another
    are found together from a part of ordinary range.
    """
    size = len(powers)
    for _ in range(_PASSES):
        order = np.argsort(-powers, kind="stable")
        R = _cleared(np.asarray(np.linalg.qr(rows[order].T, mode="r")))
        powers, rows = _scaled(R, powers[order])
    diagonal = np.diagonal(rows)
    place = np.where(diagonal == 0, _NOTHING, np.frexp(diagonal)[1] + powers)
    order = np.argsort(-place, kind="stable")
    place, powers, rows = place[order], powers[order], rows[np.ix_(order, order)]
    found = np.full(size, -np.inf)
    there = int((place > _NOTHING // 2).sum())
    first = 0
    while first < there:
        last = int(np.searchsorted(-place[:there], _CORE - place[first], side="right"))
        low = int(np.searchsorted(-place[:there], -place[first] - _MARGIN, side="left"))
        high = int(np.searchsorted(-place[:there], _MARGIN - place[last - 1], side="right"))
        top = int(powers[low:high].max())
        part = np.ldexp(rows[low:high, low:high], np.maximum(powers[low:high] - top, -4000)[:, None])
        with np.errstate(divide="ignore"):
            found[first:last] = np.log10(np.linalg.svd(part, compute_uv=False)[first - low : last - low])
        found[first:last] += top * _LOG10_2
        first = last
    return -np.sort(-found)
