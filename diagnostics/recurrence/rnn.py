"""The simple recurrence h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) with an instrumented backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import loops, products
from diagnostics.recurrence.arguments import check, check_nonlinearity
from diagnostics.recurrence.once import only_once
from diagnostics.recurrence.trace import StateGradients, Trace


def rnn(
    x: Tensor,
    h0: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor, Trace]:
    """Run h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) over x and trace it.

    Source: the equation of ``torch.nn.RNN``, with two nonlinearities more.

    Args: ``x`` [T,B,I]; ``h0`` [B,H], None for zeros; ``w_ih`` [H,I]; ``w_hh`` [H,H]; ``b_ih`` and ``b_hh`` [H] or
    None; ``nonlinearity`` φ: "tanh", "relu", "sigmoid" or "identity". float32 or float64, on one device.
    Returns: output [T,B,H], the final state h_n [B,H], and the trace, which the backward pass fills.
    Raises: ``ValueError`` where an argument does not fit; ``RuntimeError`` on differentiating twice.
    """
    check(1, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    check_nonlinearity(nonlinearity)
    trace = Trace("rnn")
    output, h_n = _Rnn.apply(trace, nonlinearity, x, h0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, h_n, trace


class _Rnn(Function):
    """Legend: a_t the pre-activation, g_t = ∂L/∂h_t in total, δ_t = ∂L/∂a_t; sums over t and the batch.

    δ_t = φ′(a_t) ⊙ g_t;  g_{t−1} = ∂⁺L/∂h_{t−1} + W_hhᵀ δ_t
    ∂L/∂W_ih = Σ δ_t x_tᵀ;  ∂L/∂W_hh = Σ δ_t h_{t−1}ᵀ;  ∂L/∂b = Σ δ_t;  ∂L/∂x_t = W_ihᵀ δ_t
    """

    @staticmethod
    def forward(
        ctx: Any,
        trace: Trace,
        nonlinearity: str,
        x: Tensor,
        h0: Tensor | None,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        states = products.states_from(x, h0, len(w_hh))
        bias, w_hh_t = products.total(b_ih, b_hh), w_hh.t().contiguous()
        for block in products.blocks(states[1:]):
            rows = states[products.states_of(block)]
            products.of_inputs(x[block], w_ih, bias, rows[1:])
            loops.rnn_forward(rows, w_hh_t, nonlinearity)
        ctx.set_materialize_grads(False)
        ctx.trace, ctx.nonlinearity = trace, nonlinearity
        ctx.save_for_backward(states, x, h0, w_ih, w_hh, b_ih, b_hh)
        return states[1:].detach(), states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            states, *inputs = ctx.saved_tensors
            x, _, w_ih, w_hh, *_ = inputs
            grad_h, delta = products.arriving(states, *arriving), torch.empty_like(states[1:])
            _, _, need_x, need_h0, *need_parameters = ctx.needs_input_grad
            sums = products.Sums((need_x, *need_parameters), x, w_ih, w_hh)
            for block in reversed(products.blocks(delta)):
                rows, change = products.states_of(block), delta[block]
                loops.rnn_backward(grad_h[rows], change, states[rows], w_hh, ctx.nonlinearity)
                sums.add(block, change, states[block])
            ctx.trace.record(StateGradients(grad_h[1:], None, delta))
            h0 = grad_h[0].clone() if need_h0 else None
        return None, None, *only_once((sums.x, h0, sums.w_ih, sums.w_hh, sums.b_ih, sums.b_hh), (*inputs, *arriving))
