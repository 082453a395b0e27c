"""The LSTM's loops over time, compiled: the equations are those of ``diagnostics.recurrence.loops``.

All arguments are integers: addresses of float32 (of int64 for ``sizes``, 0 for None), and T, B, I, H. ``K`` is H
floats in bytes, ``reverse`` 0 or 1. The tensors are laid out as the plain loops want them, the weights as tiles do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diagnostics.recurrence.fused.cells import each_row
from diagnostics.recurrence.fused.functions import sigmoid, tanh
from diagnostics.recurrence.fused.inner import inner
from diagnostics.recurrence.fused.product import FLOAT, product
from diagnostics.recurrence.fused.tile import ROWS, begin, plus_product
from diagnostics.recurrence.fused.vectors import W, first, integer, load, splat, store

_one = np.float32(1)


def _cell(row: int, rows: int) -> Any:
    of_i, of_f, of_g, of_o = range(row, 4 * rows, rows)  # where in the tile their pre-activations are

    @inner(forceinline=True)
    def cell(tile, at, lanes):
        gates, c_before, c_after, h_after, K = at
        i, f, g, o = sigmoid(tile[of_i]), sigmoid(tile[of_f]), tanh(tile[of_g]), sigmoid(tile[of_o])
        c = f * load(c_before + row * K, lanes) + i * g
        place = gates + row * 4 * K
        store(place, i, lanes)
        store(place + K, f, lanes)
        store(place + 2 * K, g, lanes)
        store(place + 3 * K, o, lanes)
        store(c_after + row * K, c, lanes)
        store(h_after + row * K, o * tanh(c), lanes)

    return cell


def _units(rows: int) -> Any:
    """A vector of units of ``rows`` samples: their pre-activations and what follows from them."""
    cells = each_row(rows, _cell)

    @inner
    def units(x, I, p_x, bias, h, H, p_h, at, lanes):
        V, K = FLOAT * W, FLOAT * H
        tile = begin(rows, (bias, bias + K, bias + 2 * K, bias + 3 * K), (0, 0, 0, 0), lanes)
        tile = plus_product(rows, tile, x, FLOAT * I, FLOAT, p_x, V, I * V, I, None)
        tile = plus_product(rows, tile, h, K, FLOAT, p_h, V, H * V, H, None)
        cells(tile, at, lanes)

    return units


_some, _single = _units(ROWS), _units(1)


@inner
def _samples(n, x, I, p_x, bias, h, H, p_h, gates, c_before, c_after, h_after, lanes):
    K, r = FLOAT * H, 0
    while r + ROWS <= n:
        at = gates + r * 4 * K, c_before + r * K, c_after + r * K, h_after + r * K, K
        _some(x + r * FLOAT * I, I, p_x, bias, h + r * K, H, p_h, at, lanes)
        r += ROWS
    while r < n:
        at = gates + r * 4 * K, c_before + r * K, c_after + r * K, h_after + r * K, K
        _single(x + r * FLOAT * I, I, p_x, bias, h + r * K, H, p_h, at, lanes)
        r += 1


def forward(x, p_x, p_h, bias, states, cells, gates, sizes, T, B, I, H, reverse):
    """Fill ``states``, ``cells`` and ``gates``."""
    K = FLOAT * H
    for step in range(T):
        t = T - 1 - step if reverse else step
        n = integer(sizes + 8 * t) if sizes else B
        before, after = (t + reverse) * B * K, (t + 1 - reverse) * B * K
        x_t, gates_t = x + t * B * FLOAT * I, gates + t * B * 4 * K
        for j in range(0, H, W):
            u = FLOAT * j
            inputs = x_t, I, p_x + 4 * u * I, bias + u, states + before, H, p_h + 4 * u * H
            at = gates_t + u, cells + before + u, cells + after + u, states + after + u
            if j + W <= H:
                _samples(n, *inputs, *at, None)
            else:
                _samples(n, *inputs, *at, first(H - j))


@inner
def _deltas(g_h, g_c, delta, c_after, c_before, gates, g_c_before, K, lanes):
    one = splat(_one)
    i, f, g, o = load(gates, lanes), load(gates + K, lanes), load(gates + 2 * K, lanes), load(gates + 3 * K, lanes)
    arriving, squashed = load(g_h, lanes), tanh(load(c_after, lanes))
    of_c = arriving * (o * (one - squashed * squashed)) + load(g_c, lanes)
    store(delta, of_c * ((one - i) * i * g), lanes)
    store(delta + K, of_c * ((one - f) * f * load(c_before, lanes)), lanes)
    store(delta + 2 * K, of_c * ((one - g * g) * i), lanes)
    store(delta + 3 * K, arriving * ((one - o) * o * squashed), lanes)
    store(g_c_before, of_c * f, lanes)


def backward(grad_h, grad_c, delta, cells, gates, p, sizes, T, B, H, reverse):
    """Fill ``delta`` and ``grad_c``, and complete ``grad_h``."""
    K = FLOAT * H
    for step in range(T):
        t = step if reverse else T - 1 - step
        n = integer(sizes + 8 * t) if sizes else B
        before, after, wide = (t + reverse) * B * K, (t + 1 - reverse) * B * K, t * B * 4 * K
        for r in range(n):
            for j in range(0, H, W):
                u, v = r * K + FLOAT * j, wide + r * 4 * K + FLOAT * j
                at_c = cells + after + u, cells + before + u
                at = grad_h + after + u, grad_c + after + u, delta + v, *at_c, gates + v, grad_c + before + u, K
                if j + W <= H:
                    _deltas(*at, None)
                else:
                    _deltas(*at, first(H - j))
        into, V = grad_h + before, FLOAT * W
        product(into, K, into, K, delta + wide, 4 * K, FLOAT, p, V, 4 * H * V, 4 * H, n, H)
