"""Products of a batch of rows with packed weights, tile by tile."""

from __future__ import annotations

from typing import Any

from diagnostics.recurrence.fused.inner import inner
from diagnostics.recurrence.fused.tile import ROWS, plus, plus_product, write, zeros
from diagnostics.recurrence.fused.vectors import W, first

FLOAT = 4  # bytes


def _columns(rows: int, vectors: int) -> Any:
    """A tile of ``rows`` rows and ``vectors`` neighbouring vectors of a row-major result."""
    V = FLOAT * W

    @inner
    def of_four(into, into_row, start, start_row, a, a_row, a_k, p, p_k, p_vector, K, lanes):
        tile = plus_product(rows, zeros(rows, 4), a, a_row, a_k, p, p_k, p_vector, K, lanes)
        there = (start, start + V, start + 2 * V, start + 3 * V)
        tile = plus(rows, tile, there, (start_row, start_row, start_row, start_row), lanes)
        write(rows, tile, (into, into + V, into + 2 * V, into + 3 * V), into_row, lanes)

    @inner
    def of_two(into, into_row, start, start_row, a, a_row, a_k, p, p_k, p_vector, K, lanes):
        tile = plus_product(rows, zeros(rows, 2), a, a_row, a_k, p, p_k, p_vector, K, lanes)
        tile = plus(rows, tile, (start, start + V), (start_row, start_row), lanes)
        write(rows, tile, (into, into + V), into_row, lanes)

    @inner
    def of_one(into, into_row, start, start_row, a, a_row, a_k, p, p_k, p_vector, K, lanes):
        tile = plus_product(rows, zeros(rows, 1), a, a_row, a_k, p, p_k, p_vector, K, lanes)
        write(rows, plus(rows, tile, (start,), (start_row,), lanes), (into,), into_row, lanes)

    return {1: of_one, 2: of_two, 4: of_four}[vectors]


def _band(vectors: int) -> Any:
    """All rows of ``vectors`` neighbouring vectors."""
    some, one = _columns(ROWS, vectors), _columns(1, vectors)

    @inner
    def band(into, into_row, start, start_row, a, a_row, a_k, p, p_k, p_vector, K, M, lanes):
        r = 0
        while r + ROWS <= M:
            at = into + r * into_row, into_row, start + r * start_row, start_row, a + r * a_row, a_row, a_k
            some(*at, p, p_k, p_vector, K, lanes)
            r += ROWS
        while r < M:
            at = into + r * into_row, into_row, start + r * start_row, start_row, a + r * a_row, a_row, a_k
            one(*at, p, p_k, p_vector, K, lanes)
            r += 1

    return band


_four, _two, _one = _band(4), _band(2), _band(1)


@inner
def product(into, into_row, start, start_row, a, a_row, a_k, p, p_k, p_vector, K, M, N):
    """into [M,N] = start [M,N] + A [M,K] P [K,N]; addresses, and in bytes what lies between rows, two k, two vectors.

    P may be packed, or rows of memory as they are. The sum over k is made on its own before it meets ``start``, so that
    a long sum, made of many products, has the errors of sums of K terms and of as many as there are products.
    """
    n, rest = 0, (K, M)
    while n + 4 * W <= N:
        at = into + n * FLOAT, into_row, start + n * FLOAT, start_row, a, a_row, a_k
        _four(*at, p + n // W * p_vector, p_k, p_vector, *rest, None)
        n += 4 * W
    at = into + n * FLOAT, into_row, start + n * FLOAT, start_row, a, a_row, a_k
    if n + 2 * W <= N:
        _two(*at, p + n // W * p_vector, p_k, p_vector, *rest, None)
        n += 2 * W
    at = into + n * FLOAT, into_row, start + n * FLOAT, start_row, a, a_row, a_k
    if n + W <= N:
        _one(*at, p + n // W * p_vector, p_k, p_vector, *rest, None)
        n += W
    at = into + n * FLOAT, into_row, start + n * FLOAT, start_row, a, a_row, a_k
    if n < N:
        _one(*at, p + n // W * p_vector, p_k, p_vector, *rest, first(N - n))
