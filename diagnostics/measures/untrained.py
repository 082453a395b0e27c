"""The state gradient of a recurrent layer as it begins, before any training. NumPy, float64.

Forward and backward of the cells as ``diagnostics.recurrence.reference`` has them, and the rules by which a network's
layers begin (torch's default, orthogonal, identity, scaled; the memory gate's bias), small enough to run anew at every
move of a slider.

Letters: T timesteps, B samples, I input size, H hidden size, G row blocks of the weights (rnn 1; GRU r, z, n; LSTM i,
f, g, o), K = T − 1 steps back from the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from diagnostics.measures.numbers import number
from diagnostics.records import Array

SIMPLE: Mapping[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "sigmoid": (lambda a: _sigmoid(a), lambda h: h * (1 - h)),
    "relu": (lambda a: np.maximum(a, 0.0), lambda h: (h > 0).astype(np.float64)),
    "identity": (lambda a: a, np.ones_like),
}
"""Each simple cell's nonlinearity, and its slope as a function of its value."""

BLOCKS = {"gru": 3, "lstm": 4}
"""G of the gated cells."""

INPUTS, SAMPLES, ANSWERS = 32, 16, 10
"""What the layer is probed with: I, B, and how many answers the random head has."""

_MEMORY, _INPUT = 1, 0  # GRU: z is block 1; LSTM: f is block 1 and i block 0


class Layer(NamedTuple):
    """One recurrent layer with torch.nn's parameters: weights [G·H,I] and [G·H,H], biases [G·H]."""

    cell: str
    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array


class Way(NamedTuple):
    """How a layer begins: ``init`` and ``gate_bias`` as a run's spec has them (None: as ``init`` leaves it)."""

    cell: str
    init: str = "torch"
    gate_bias: float | str | None = None


class Untrained(NamedTuple):
    """A profile by lag, arrays [K+1]: the 5th percentile, median and 95th over the samples, as l2 norms."""

    way: Way
    low: Array
    median: Array
    high: Array


def untrained(way: Way, hidden: int, timesteps: int, seed: int = 0) -> Untrained:
    """The profile of a layer that begins in this ``way``, read by a head that begins as ours do.

    ``SAMPLES`` sequences of ``timesteps`` independent words, each embedded as N(0, 1)^I, go through the layer; the loss
    is the cross-entropy of a linear head with ``ANSWERS`` answers at the last step. Chrono's horizon is ``timesteps``.
    The same ``seed`` draws the same numbers whatever the way, so that only the way makes a difference.
    """
    layer = begin(way, hidden, INPUTS, timesteps, seed)
    rng = np.random.default_rng((seed, 3))
    x = rng.standard_normal((timesteps, SAMPLES, INPUTS))
    bound = 1 / math.sqrt(hidden)
    head = rng.uniform(-bound, bound, (ANSWERS, hidden))
    right = rng.integers(ANSWERS, size=SAMPLES)
    with np.errstate(all="ignore"):  # what overflows is shown as such
        h, kept = forward(layer, x)
        wrong = _softmax(h[-1] @ head.T) - np.eye(ANSWERS)[right]
        by_lag = state_gradient(layer, h, kept, wrong @ head)[::-1]
        low, median, high = np.percentile(by_lag, (5, 50, 95), axis=1, method="nearest")
    return Untrained(way, low, median, high)


def begin(way: Way, hidden: int, inputs: int, horizon: int, seed: int = 0) -> Layer:
    """A layer [H = ``hidden``, I = ``inputs``] as ``models.initialise`` lets it begin, drawn from numbers of its own.

    ``horizon`` is chrono's T_max in timesteps. Raises ``ValueError`` for an unknown cell or ``init``. Sources: Le,
    Jaitly and Hinton 2015 (identity), Saxe et al. 2014 (orthogonal), Tallec and Ollivier 2018 (chrono).
    """
    if way.cell not in SIMPLE and way.cell not in BLOCKS:
        raise ValueError(f"cell must be one of {', '.join([*SIMPLE, *BLOCKS])}, but got {way.cell!r}")
    blocks = BLOCKS.get(way.cell, 1)
    rng, bound = np.random.default_rng((seed, 0)), 1 / math.sqrt(hidden)
    shapes = ((blocks * hidden, inputs), (blocks * hidden, hidden), (blocks * hidden,), (blocks * hidden,))
    w_ih, w_hh, b_ih, b_hh = (rng.uniform(-bound, bound, shape) for shape in shapes)
    kind, _, factor = way.init.partition(":")
    if kind == "orthogonal":
        draws = np.random.default_rng((seed, 1))
        w_hh = np.concatenate([_orthogonal(draws.standard_normal((hidden, hidden))) for _ in range(blocks)])
    elif kind == "identity":
        w_hh = np.tile(np.eye(hidden), (blocks, 1))
        b_ih, b_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)
    elif kind == "scaled":
        w_hh = w_hh * float(factor)
    elif kind != "torch":
        raise ValueError(f"init must be one of torch, orthogonal, identity, scaled:F, but got {way.init!r}")
    if way.gate_bias is not None and way.cell in BLOCKS:
        for block, value in _gate_biases(way, hidden, horizon, seed).items():
            rows = slice(block * hidden, (block + 1) * hidden)
            b_ih[rows], b_hh[rows] = value, 0.0
    return Layer(way.cell, w_ih, w_hh, b_ih, b_hh)


def _gate_biases(way: Way, hidden: int, horizon: int, seed: int) -> Mapping[int, Array | float]:
    """The whole bias of each block that a gate bias sets."""
    if way.gate_bias != "chrono":
        assert way.gate_bias is not None
        return {_MEMORY: float(way.gate_bias)}
    drawn = np.log(np.random.default_rng((seed, 2)).uniform(1.0, max(1.0, horizon - 1.0), hidden))
    return {_MEMORY: drawn} | ({_INPUT: -drawn} if way.cell == "lstm" else {})


def _orthogonal(normal: Array) -> Array:
    """A uniformly distributed orthogonal matrix from a normal one. Source: Mezzadri 2007, as torch does it."""
    q, r = np.linalg.qr(normal)
    spread: Array = q * np.sign(np.diag(r))
    return spread


def forward(layer: Layer, x: Array) -> tuple[Array, dict[str, Array]]:
    """The states h [T,B,H] for x [T,B,I] from zeros, and what a gated cell's backward needs, each [T,B,H]."""
    from_x = x @ layer.w_ih.T + layer.b_ih
    h = np.zeros((len(x), x.shape[1], layer.w_hh.shape[1]))
    if layer.cell in SIMPLE:
        curve, recurrent = SIMPLE[layer.cell][0], layer.w_hh.T
        now = h[0]
        for t in range(len(x)):
            h[t] = now = curve(from_x[t] + now @ recurrent + layer.b_hh)
        return h, {}
    return _gru(layer, from_x, h) if layer.cell == "gru" else _lstm(layer, from_x, h)


def _gru(layer: Layer, from_x: Array, h: Array) -> tuple[Array, dict[str, Array]]:
    H, recurrent = h.shape[2], layer.w_hh.T
    r, z, n, m = (np.empty_like(h) for _ in range(4))
    now = np.zeros_like(h[0])
    for t in range(len(h)):
        from_h = now @ recurrent + layer.b_hh
        gates = _sigmoid(from_x[t, :, : 2 * H] + from_h[:, : 2 * H])
        r[t], z[t], m[t] = gates[:, :H], gates[:, H:], from_h[:, 2 * H :]
        n[t] = np.tanh(from_x[t, :, 2 * H :] + r[t] * m[t])
        h[t] = now = (1 - z[t]) * n[t] + z[t] * now
    return h, {"r": r, "z": z, "n": n, "m": m}


def _lstm(layer: Layer, from_x: Array, h: Array) -> tuple[Array, dict[str, Array]]:
    H, recurrent = h.shape[2], layer.w_hh.T
    i, f, g, o, c = (np.empty_like(h) for _ in range(5))
    now, memory = np.zeros_like(h[0]), np.zeros_like(h[0])
    for t in range(len(h)):
        a = from_x[t] + now @ recurrent + layer.b_hh
        i[t], f[t], o[t] = _sigmoid(a[:, :H]), _sigmoid(a[:, H : 2 * H]), _sigmoid(a[:, 3 * H :])
        g[t] = np.tanh(a[:, 2 * H : 3 * H])
        c[t] = memory = f[t] * memory + i[t] * g[t]
        h[t] = now = o[t] * np.tanh(memory)
    return h, {"i": i, "f": f, "g": g, "o": o, "c": c}


def state_gradient(layer: Layer, h: Array, kept: Mapping[str, Array], direct: Array) -> Array:
    """The norm of the state gradient [T,B], of h, or of h and c together, for ``direct`` = ∂L/∂h_{T−1} [B,H].

    ``h`` and ``kept`` are what ``forward`` gave. The equations are those of backpropagation through time:

        rnn   ∂h_{t−1} = δ_t W_hh,  δ_t = ∂h_t φ′
        GRU   ∂h_{t−1} = ∂h_t z + [δr δz δn·r] W_hh,  δn = ∂h_t (1−z)(1−n²),  δz = ∂h_t (h_{t−1}−n) z(1−z),
              δr = δn m r(1−r),  m = W_hn h_{t−1} + b_hn
        LSTM  e_t = ∂c_t + ∂h_t o (1−tanh² c_t),  ∂c_{t−1} = e_t f,  ∂h_{t−1} = [δi δf δg δo] W_hh
    """
    back = _BACK.get(layer.cell, _back_simple)
    norms = np.empty(h.shape[:2])
    of_h, of_c = direct, np.zeros_like(direct)
    for t in range(len(h) - 1, -1, -1):
        norms[t] = np.hypot(np.linalg.norm(of_h, axis=1), np.linalg.norm(of_c, axis=1))
        if t:
            of_h, of_c = back(layer, h, kept, t, of_h, of_c)
    return norms


def _back_simple(
    layer: Layer, h: Array, kept: Mapping[str, Array], t: int, of_h: Array, of_c: Array
) -> tuple[Array, Array]:
    return (of_h * SIMPLE[layer.cell][1](h[t])) @ layer.w_hh, of_c


def _back_gru(
    layer: Layer, h: Array, kept: Mapping[str, Array], t: int, of_h: Array, of_c: Array
) -> tuple[Array, Array]:
    r, z, n, m = (kept[name][t] for name in "rznm")
    dn = of_h * (1 - z) * (1 - n * n)
    dz = of_h * (h[t - 1] - n) * z * (1 - z)
    dr = dn * m * r * (1 - r)
    return of_h * z + np.concatenate([dr, dz, dn * r], axis=1) @ layer.w_hh, of_c


def _back_lstm(
    layer: Layer, h: Array, kept: Mapping[str, Array], t: int, of_h: Array, of_c: Array
) -> tuple[Array, Array]:
    i, f, g, o, c = (kept[name][t] for name in "ifgoc")
    squashed = np.tanh(c)
    e = of_c + of_h * o * (1 - squashed * squashed)
    parts = (
        e * g * i * (1 - i),
        e * kept["c"][t - 1] * f * (1 - f),
        e * i * (1 - g * g),
        of_h * squashed * o * (1 - o),
    )
    return np.concatenate(parts, axis=1) @ layer.w_hh, e * f


_BACK = {"gru": _back_gru, "lstm": _back_lstm}


def described(way: Way) -> str:
    """How it begins, in a few words."""
    kind, _, factor = way.init.partition(":")
    said = f"scaled by {number(float(factor))}" if factor else "torch’s default" if kind == "torch" else kind
    if way.gate_bias is None or way.cell not in BLOCKS:
        return said
    return f"{said}, {'chrono' if way.gate_bias == 'chrono' else f'gate bias {number(float(way.gate_bias))}'}"


def _sigmoid(a: Array) -> Array:
    # Without overflow at either end: σ(a) = (1 + tanh(a/2)) / 2.
    value: Array = 0.5 * (1.0 + np.tanh(0.5 * a))
    return value


def _softmax(a: Array) -> Array:
    powers = np.exp(a - a.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares
