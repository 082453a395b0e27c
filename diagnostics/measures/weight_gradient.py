"""Where the gradient of the recurrent weights comes from: one share per timestep, its norm, and how they cancel.

Letters: T timesteps, B samples, H hidden size, G gates. δ_k is the gradient at what W_hh h_{k−1} is added to, so that

    ∂L/∂W_hh = Σ_k G_k,   G_k = Σ_b δ_k,b h_{k−1,b}ᵀ

Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013, section 2.
"""

from __future__ import annotations

import numpy as np

from diagnostics.records import Array

_BLOCK_BYTES = 64 * 2**20
"""Formed shares take at most about this much at a time."""
_CANCELLED = 1e-4
"""Where the samples cancel to less than this of what they could add up to, the sum of squares has lost half of its
digits: those shares are formed after all."""


def recurrent_delta(kind: str, grad_preactivation: Array, gates: Array | None = None) -> Array:
    """δ [T,B,G,H] from the gradient at the pre-activations [T,B,G·H] of ``diagnostics.recurrence``'s traces.

    They are the same but for the GRU's candidate, where the reset gate r stands between: δ_m = r ⊙ δ_n. ``gates``
    [G,T,B,H] are needed there alone. Raises ``ValueError`` where a GRU comes without.
    """
    blocks = {"rnn": 1, "gru": 3, "lstm": 4}
    if kind not in blocks:
        raise ValueError(f"kind must be one of {', '.join(blocks)}, but got {kind!r}")
    T, B, width = grad_preactivation.shape
    delta = np.asarray(grad_preactivation, np.float64).reshape(T, B, blocks[kind], width // blocks[kind])
    if kind != "gru":
        return delta
    if gates is None:
        raise ValueError("gates must be given for a gru: its reset gate stands before the recurrent product")
    delta = delta.copy()
    delta[:, :, 2] *= gates[0]
    return delta


def before(h: Array, h0: Array | None = None) -> Array:
    """The state before each step, [T,B,H], from those after each, ``h`` [T,B,H]; ``h0`` [B,H] is 0 where None."""
    first = np.zeros_like(h[:1]) if h0 is None else np.asarray(h0)[None]
    return np.concatenate([first, h[:-1]])


def share_norms(delta: Array, states: Array) -> Array:
    """‖G_k‖_F per gate and, last, of all gates, [T,G+1], of ``delta`` [T,B,G,H] and ``states`` h_{k−1} [T,B,H].

    Without forming G_k: ‖G_k‖² = Σ_ij (Δ_k Δ_kᵀ ⊙ H_{k−1} H_{k−1}ᵀ)_ij, of two B × B matrices. Formed nevertheless
    where that is cheaper (2 B > H) or would lose digits. A share with an entry that is not finite is nan, or infinite
    where none of its entries is nan.
    """
    delta, states, scale = _scaled(delta, states)
    B, H = states.shape[1:]
    if 2 * B > H:
        squares = _formed(delta, states)
    else:
        squares, could_be = _from_products(delta, states)
        lost = np.flatnonzero((squares < _CANCELLED * could_be).any(axis=1))
        squares[lost] = _formed(delta[lost], states[lost])
    return np.asarray(np.sqrt(np.concatenate([squares, squares.sum(axis=1, keepdims=True)], axis=1)) * scale)


def share_sum(delta: Array, states: Array) -> Array:
    """Σ_k G_k, [G·H,H]: the gradient of W_hh, of ``delta`` [T,B,G,H] and ``states`` h_{k−1} [T,B,H]."""
    T, B, G, H = delta.shape
    summed: Array = delta.reshape(T * B, G * H).T @ states.reshape(T * B, H)
    return summed


def cancellation(norms: Array, summed: Array) -> Array:
    """‖Σ G_k‖ / Σ ‖G_k‖ per gate and, last, of all gates, [G+1]: 1 where all shares point the same way, 0 where they
    cancel; nan where every share is 0.

    ``norms`` [T,G+1] from ``share_norms``, ``summed`` [G·H,H] from ``share_sum``.
    """
    parts = summed.reshape(norms.shape[1] - 1, -1)
    largest = np.abs(parts).max(initial=0.0)
    scale = largest if np.isfinite(largest) and largest > 0 else 1.0
    each = np.sqrt(((parts / scale) ** 2).sum(axis=1))
    whole = np.append(each, np.sqrt((each * each).sum())) * scale
    return _divided(whole, norms.sum(axis=0))


def sum_error(summed: Array, gradient: Array) -> float:
    """‖Σ G_k − W.grad‖ / ‖W.grad‖: the check that the shares are all of the gradient; 0 where both are 0."""
    scale = float(np.abs(gradient).max(initial=0.0))
    if scale == 0.0:
        return 0.0 if not np.abs(summed).max(initial=0.0) else float("inf")
    return float(np.linalg.norm(summed / scale - gradient / scale) / np.linalg.norm(gradient / scale))


def _scaled(delta: Array, states: Array) -> tuple[Array, Array, Array]:
    """Both with entries of ordinary size at every timestep, so that squares stay in range, and what that took [T,1]."""
    largest = [np.abs(values).reshape(len(values), -1).max(axis=1) for values in (delta, states)]
    powers = [_power(values) for values in largest]
    scaled = [
        np.ldexp(values, -power.reshape(-1, *(1,) * (values.ndim - 1)))
        for values, power in zip((delta, states), powers, strict=True)
    ]
    scale = np.ldexp(np.ldexp(1.0, powers[0]), powers[1])[:, None]
    broken = ~np.isfinite(largest[0]) | ~np.isfinite(largest[1])
    if broken.any():
        nan = np.isnan(largest[0]) | np.isnan(largest[1])
        scaled = [np.where(broken.reshape(-1, *(1,) * (values.ndim - 1)), 1.0, values) for values in scaled]
        scale[broken, 0] = np.where(nan[broken], np.nan, np.inf)
    return scaled[0], scaled[1], scale


def _power(largest: Array) -> Array:
    usable = np.where(np.isfinite(largest), largest, 1.0)
    return np.asarray(np.frexp(usable)[1], dtype=np.int32)


def _from_products(delta: Array, states: Array) -> tuple[Array, Array]:
    """‖G_k‖² and (Σ_b ‖δ_b‖ ‖h_b‖)², both [T,G]."""
    of_states = states @ states.swapaxes(1, 2)
    by_gate = delta.transpose(2, 0, 1, 3)
    of_delta = by_gate @ by_gate.swapaxes(2, 3)
    squares = (of_delta * of_states).sum(axis=(2, 3)).T
    sizes = np.sqrt(np.einsum("gtbb->gtb", of_delta) * np.einsum("tbb->tb", of_states))
    return np.maximum(squares, 0.0), sizes.sum(axis=2).T ** 2


def _formed(delta: Array, states: Array) -> Array:
    """‖G_k‖² [T,G] of shares that are formed, some timesteps at a time."""
    T, _, G, H = delta.shape
    squares = np.empty((T, G))
    size = max(1, _BLOCK_BYTES // (8 * G * H * H))
    for start in range(0, T, size):
        part = slice(start, start + size)
        shares = delta[part].reshape(-1, delta.shape[1], G * H).swapaxes(1, 2) @ states[part]
        squares[part] = (shares * shares).reshape(len(shares), G, -1).sum(axis=2)
    return squares


def _divided(above: Array, below: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)
