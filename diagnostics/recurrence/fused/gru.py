"""The GRU's loops over time, compiled: the equations are those of ``diagnostics.recurrence.loops``.

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
from diagnostics.recurrence.fused.vectors import W, first, fma, integer, load, splat, store

_one = np.float32(1)


def _cell(row: int, rows: int) -> Any:
    of_r, of_z, of_m, of_n = range(row, 4 * rows, rows)  # where in the tile they, or their pre-activations, are

    @inner(forceinline=True)
    def cell(tile, at, lanes):
        gates, memory, h_before, h_after, K = at
        r, z, m = sigmoid(tile[of_r]), sigmoid(tile[of_z]), tile[of_m]
        n = tanh(fma(r, m, tile[of_n]))
        place = gates + row * 3 * K
        store(place, r, lanes)
        store(place + K, z, lanes)
        store(place + 2 * K, n, lanes)
        store(memory + row * K, m, lanes)
        store(h_after + row * K, fma(z, load(h_before + row * K, lanes) - n, n), lanes)

    return cell


def _units(rows: int) -> Any:
    """A vector of units of ``rows`` samples: their pre-activations and what follows from them."""
    cells, two, three = each_row(rows, _cell), 2 * rows, 3 * rows

    @inner
    def units(x, I, p_x, bias, h, H, p_h, bias_m, at, lanes):
        V, K = FLOAT * W, FLOAT * H
        of_m = begin(rows, (bias_m,), (0,), lanes)
        of_x = begin(rows, (bias, bias + K, bias + 2 * K), (0, 0, 0), lanes)
        of_x = plus_product(rows, of_x, x, FLOAT * I, FLOAT, p_x, V, I * V, I, None)
        of_h = plus_product(rows, of_x[:two] + of_m, h, K, FLOAT, p_h, V, H * V, H, None)
        cells(of_h + of_x[two:three], at, lanes)

    return units


_some, _single = _units(ROWS), _units(1)


@inner
def _samples(n, x, I, p_x, bias, h, H, p_h, bias_m, gates, memory, h_before, h_after, lanes):
    K, r = FLOAT * H, 0
    while r + ROWS <= n:
        at = gates + r * 3 * K, memory + r * K, h_before + r * K, h_after + r * K, K
        _some(x + r * FLOAT * I, I, p_x, bias, h + r * K, H, p_h, bias_m, at, lanes)
        r += ROWS
    while r < n:
        at = gates + r * 3 * K, memory + r * K, h_before + r * K, h_after + r * K, K
        _single(x + r * FLOAT * I, I, p_x, bias, h + r * K, H, p_h, bias_m, at, lanes)
        r += 1


def forward(x, p_x, p_h, bias, bias_m, states, gates, memory, sizes, T, B, I, H, reverse):
    """Fill ``states``, ``gates`` and ``memory``."""
    K = FLOAT * H
    for step in range(T):
        t = T - 1 - step if reverse else step
        n = integer(sizes + 8 * t) if sizes else B
        before, after = states + (t + reverse) * B * K, states + (t + 1 - reverse) * B * K
        x_t, gates_t, memory_t = x + t * B * FLOAT * I, gates + t * B * 3 * K, memory + t * B * K
        for j in range(0, H, W):
            u = FLOAT * j
            inputs = x_t, I, p_x + 3 * u * I, bias + u, before, H, p_h + 3 * u * H, bias_m + u
            at = gates_t + u, memory_t + u, before + u, after + u
            if j + W <= H:
                _samples(n, *inputs, *at, None)
            else:
                _samples(n, *inputs, *at, first(H - j))


@inner
def _deltas(g_h, delta, h_before, gates, memory, g_before, K, lanes):
    one = splat(_one)
    r, z, n = load(gates, lanes), load(gates + K, lanes), load(gates + 2 * K, lanes)
    arriving, m = load(g_h, lanes), load(memory, lanes)
    of_n = (one - n * n) * (one - z)
    of_m = of_n * r
    store(delta, arriving * of_m, lanes)
    store(delta + K, arriving * ((one - r) * of_m * m), lanes)
    store(delta + 2 * K, arriving * ((one - z) * z * (load(h_before, lanes) - n)), lanes)
    store(delta + 3 * K, arriving * of_n, lanes)
    store(g_before, fma(arriving, z, load(g_before, lanes)), lanes)


def backward(grad_h, delta, states, gates, memory, p, sizes, T, B, H, reverse):
    """Fill ``delta``, in the order m, r, z, n, and complete ``grad_h``."""
    K = FLOAT * H
    for step in range(T):
        t = step if reverse else T - 1 - step
        n = integer(sizes + 8 * t) if sizes else B
        before, after, wide = (t + reverse) * B * K, (t + 1 - reverse) * B * K, t * B * 4 * K
        for r in range(n):
            for j in range(0, H, W):
                u, row = r * K + FLOAT * j, t * B + r
                at_gates = gates + row * 3 * K + FLOAT * j, memory + row * K + FLOAT * j
                at_delta = delta + row * 4 * K + FLOAT * j
                at = grad_h + after + u, at_delta, states + before + u, *at_gates, grad_h + before + u, K
                if j + W <= H:
                    _deltas(*at, None)
                else:
                    _deltas(*at, first(H - j))
        into, V = grad_h + before, FLOAT * W
        product(into, K, into, K, delta + wide, 4 * K, FLOAT, p, V, 3 * H * V, 3 * H, n, H)
