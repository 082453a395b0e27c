"""The long short-term memory with an instrumented backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import loops, products
from diagnostics.recurrence.arguments import check, pair
from diagnostics.recurrence.once import only_once
from diagnostics.recurrence.trace import StateGradients, Trace


def lstm(
    x: Tensor,
    state: tuple[Tensor | None, Tensor | None] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, Tensor], Trace]:
    """Run an LSTM over x and trace it.

        i_t, f_t, o_t = σ(W_i· x_t + b_i· + W_h· h_{t−1} + b_h·),  g_t = tanh(the same with its own rows)
        c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Source: ``torch.nn.LSTM`` without projection.

    Args: ``x`` [T,B,I]; ``state`` (h0, c0) [B,H] each, None for zeros (the pair or one of it); ``w_ih`` [4·H,I] and
    ``w_hh`` [4·H,H], blocks in the order i, f, g, o; ``b_ih`` and ``b_hh`` [4·H] or None. float32 or float64, on one
    device.
    Returns: output [T,B,H], the final state (h_n, c_n) [B,H] each, and the trace, which the backward pass fills.
    Raises: ``ValueError`` where an argument does not fit; ``RuntimeError`` on differentiating twice.
    """
    h0, c0 = pair(state)
    check(4, x, {"h0": h0, "c0": c0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("lstm")
    output, h_n, c_n = _Lstm.apply(trace, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, (h_n, c_n), trace


class _Lstm(Function):
    """Legend: g^h_t = ∂L/∂h_t in total, g^c_t = ∂L/∂c_t by its direct path, ċ_t = ∂L/∂c_t in total, δ at the gates.

    ċ_t = g^c_t + o(1−tanh²c_t) ⊙ g^h_t;  g^c_{t−1} = f_t ⊙ ċ_t
    δ_i = g i(1−i) ⊙ ċ;  δ_f = c_{t−1} f(1−f) ⊙ ċ;  δ_g = i(1−g²) ⊙ ċ;  δ_o = tanh(c) o(1−o) ⊙ g^h
    g^h_{t−1} = ∂⁺L/∂h_{t−1} + W_hhᵀ δ_t;  ∂L/∂W_ih = Σ δ_t x_tᵀ;  ∂L/∂W_hh = Σ δ_t h_{t−1}ᵀ;  ∂L/∂b = Σ δ_t
    """

    @staticmethod
    def forward(
        ctx: Any,
        trace: Trace,
        x: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        H = w_hh.shape[1]
        states, cells = products.states_from(x, h0, H), products.states_from(x, c0, H)
        gates = x.new_empty(*x.shape[:2], 4 * H)
        bias, w_hh_t = products.total(b_ih, b_hh), w_hh.t().contiguous()
        for block in products.blocks(gates):
            rows = products.states_of(block)
            products.of_inputs(x[block], w_ih, bias, gates[block])
            loops.lstm_forward(states[rows], cells[rows], gates[block], w_hh_t)
        trace.c, trace.gates = cells[1:], dict(zip("ifgo", gates.split(H, 2), strict=True))
        ctx.set_materialize_grads(False)
        ctx.trace = trace
        ctx.save_for_backward(states, cells, gates, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
        return states[1:].detach(), states[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            states, cells, gates, *inputs = ctx.saved_tensors
            x, _, _, w_ih, w_hh, *_ = inputs
            of_output, of_last_h, of_last_c = arriving
            grad_h = products.arriving(states, of_output, of_last_h)
            grad_c = products.arriving(cells, None, of_last_c)
            delta = torch.empty_like(gates)
            _, need_x, need_h0, need_c0, *need_parameters = ctx.needs_input_grad
            sums = products.Sums((need_x, *need_parameters), x, w_ih, w_hh)
            for block in reversed(products.blocks(gates)):
                rows, change = products.states_of(block), delta[block]
                loops.lstm_backward(grad_h[rows], grad_c[rows], change, cells[rows], gates[block], w_hh)
                sums.add(block, change, states[block])
            ctx.trace.record(StateGradients(grad_h[1:], grad_c[1:], delta))
            h0, c0 = grad_h[0].clone() if need_h0 else None, grad_c[0].clone() if need_c0 else None
        return None, *only_once((sums.x, h0, c0, sums.w_ih, sums.w_hh, sums.b_ih, sums.b_hh), (*inputs, *arriving))
