"""The simple recurrence's loops over time, compiled: the equations are those of ``diagnostics.recurrence.loops``.

All arguments are integers: addresses of float32 (of int64 for ``sizes``, 0 for None), T, B, I, H, and ``kind``, which
of the nonlinearities. ``K`` is H floats in bytes, ``reverse`` 0 or 1. The tensors are laid out as the plain loops want
them, the weights as tiles do.
"""

from __future__ import annotations

import numpy as np

from diagnostics.recurrence.fused.functions import sigmoid, tanh
from diagnostics.recurrence.fused.inner import inner
from diagnostics.recurrence.fused.kinds import IDENTITY, RELU, SIGMOID, TANH
from diagnostics.recurrence.fused.product import FLOAT, product
from diagnostics.recurrence.fused.vectors import W, first, integer, load, splat, store, where_at_most

_zero, _one = np.float32(0), np.float32(1)


@inner
def _activate(place, kind, lanes):
    a = load(place, lanes)
    if kind == TANH:
        a = tanh(a)
    elif kind == SIGMOID:
        a = sigmoid(a)
    elif kind == RELU:
        a = where_at_most(a, splat(_zero), splat(_zero), a)
    store(place, a, lanes)


def forward(x, p_x, p_h, bias, states, sizes, T, B, I, H, reverse, kind):
    """Fill ``states``."""
    K, V = FLOAT * H, FLOAT * W
    for step in range(T):
        t = T - 1 - step if reverse else step
        n = integer(sizes + 8 * t) if sizes else B
        before, after = states + (t + reverse) * B * K, states + (t + 1 - reverse) * B * K
        product(after, K, bias, 0, x + t * B * FLOAT * I, FLOAT * I, FLOAT, p_x, V, I * V, I, n, H)
        product(after, K, after, K, before, K, FLOAT, p_h, V, H * V, H, n, H)
        if kind != IDENTITY:
            for i in range(0, n * H, W):
                if i + W <= n * H:
                    _activate(after + FLOAT * i, kind, None)
                else:
                    _activate(after + FLOAT * i, kind, first(n * H - i))


@inner
def _delta(g, h, delta, kind, lanes):
    change, state, one = load(g, lanes), load(h, lanes), splat(_one)
    if kind == TANH:
        change = change * (one - state * state)
    elif kind == SIGMOID:
        change = change * ((one - state) * state)
    elif kind == RELU:
        change = where_at_most(state, splat(_zero), splat(_zero), change)
    store(delta, change, lanes)


def backward(grad_h, delta, states, p, sizes, T, B, H, reverse, kind):
    """Fill ``delta`` and complete ``grad_h``."""
    K, V = FLOAT * H, FLOAT * W
    for step in range(T):
        t = step if reverse else T - 1 - step
        n = integer(sizes + 8 * t) if sizes else B
        before, after, delta_t = (t + reverse) * B * K, (t + 1 - reverse) * B * K, delta + t * B * K
        for i in range(0, n * H, W):
            u = FLOAT * i
            at = grad_h + after + u, states + after + u, delta_t + u, kind
            if i + W <= n * H:
                _delta(*at, None)
            else:
                _delta(*at, first(n * H - i))
        into = grad_h + before
        product(into, K, into, K, delta_t, K, FLOAT, p, V, H * V, H, n, H)
