"""The gradients of the weights, the biases and the inputs from those at the pre-activations, compiled."""

from __future__ import annotations

from diagnostics.recurrence.fused.product import FLOAT, product
from diagnostics.recurrence.fused.vectors import W

CHUNK_BYTES = 1 << 17
"""Of δ at a time: all four sums read it while it is in the second cache."""

CHUNK_ROWS = 512
"""Of δ at most: a chunk is summed row after row, and the rounding errors of that grow with the number of rows."""


def add(delta, delta_row, of_input, of_state, K_input, K_state, x, I, h, H, M, dx, p, dw_ih_t, dw_hh, db, one, zero):
    """δ [M,·] in rows of ``delta_row`` bytes, with the columns of the input's weights from the byte ``of_input`` on.

    dx [M,I] = δ W_ih;  dw_ih_t [I,K_input] += xᵀ δ;  dw_hh [K_state,H] += δᵀ h;  db += Σ δ; each left out where its
    address is 0. ``p`` is W_ihᵀ, packed; ``one`` and ``zero`` are where a 1 and I zeros lie.
    """
    V = FLOAT * W
    chunk = max(1, min(CHUNK_ROWS, CHUNK_BYTES // delta_row))
    columns = delta_row // FLOAT
    for start in range(0, M, chunk):
        rows = min(chunk, M - start)
        d, x_at, h_at = delta + start * delta_row, x + start * I * FLOAT, h + start * H * FLOAT
        if dw_hh:
            product(
                dw_hh, H * FLOAT, dw_hh, H * FLOAT, d + of_state, FLOAT, delta_row, h_at, H * FLOAT, V, rows, K_state, H
            )
        if dw_ih_t:
            wide = K_input * FLOAT
            product(dw_ih_t, wide, dw_ih_t, wide, x_at, FLOAT, I * FLOAT, d + of_input, delta_row, V, rows, I, K_input)
        if dx:
            into = dx + start * I * FLOAT
            product(into, I * FLOAT, zero, 0, d + of_input, delta_row, FLOAT, p, V, K_input * V, K_input, rows, I)
        if db:
            product(db, 0, db, 0, one, 0, 0, d, delta_row, V, rows, 1, columns)
