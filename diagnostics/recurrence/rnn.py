"""The simple recurrence h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) with an instrumented backward."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import paths, products, reference
from diagnostics.recurrence.arguments import Lengths, check, check_lengths, check_nonlinearity
from diagnostics.recurrence.lineup import Lineup
from diagnostics.recurrence.trace import StateGradients, Trace
from diagnostics.recurrence.twice import differentiable


def rnn(
    x: Tensor,
    h0: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str = "tanh",
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Trace]:
    """Run h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) over x and trace it.

    Source: the equation of ``torch.nn.RNN``, with two nonlinearities more.

    Args: ``x`` [T,B,I]; ``h0`` [B,H], None for zeros; ``w_ih`` [H,I]; ``w_hh`` [H,H]; ``b_ih`` and ``b_hh`` [H] or
    None; ``nonlinearity`` φ: "tanh", "relu", "sigmoid" or "identity". float32 or float64, on one device.
    ``lengths``: how many of the T steps each sample has, int64 [B] on the CPU or a sequence of whole numbers, each in
    1…T; None for all. The rest of a sample is padding: it is not read, and everything at it is zero: output, trace, and
    the gradient of x. ``reverse`` walks from each sample's last step to its first, as torch.nn does in its second
    direction: h_{t−1} above is then h_{t+1}, and output[t] still belongs to x[t].
    Returns: output [T,B,H], the state h_n [B,H] after each sample's last step (reverse: its first), and the trace,
    which the backward pass fills.
    A second derivative goes through the plain twin, ``reference.rnn``: exact, and slow.
    Raises: ``ValueError`` where an argument does not fit.
    """
    check(1, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    check_nonlinearity(nonlinearity)
    trace = Trace("rnn", check_lengths(lengths, x), reverse)
    output, h_n = _Rnn.apply(trace, nonlinearity, x, h0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, h_n, trace


class _Rnn(Function):
    """Legend: a_t the pre-activation, g_t = ∂L/∂h_t in total, δ_t = ∂L/∂a_t; sums over t and the batch; t−1 is the step
    walked before t, which in reverse is t+1.

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
        line, path = Lineup(x, trace.lengths, trace.reverse), paths.loops_for(x, "rnn")
        rows, states = line.steps(x), line.states(x, h0, len(w_hh))
        path.rnn_forward(rows, w_ih, w_hh, products.total(b_ih, b_hh), states, line.walk, nonlinearity)
        ctx.set_materialize_grads(False)
        ctx.trace, ctx.nonlinearity, ctx.line, ctx.path = trace, nonlinearity, line, path
        ctx.save_for_backward(states, rows, x, h0, w_ih, w_hh, b_ih, b_hh)
        return line.each(states).detach(), line.last(states)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            states, x, *inputs = ctx.saved_tensors
            _, _, w_ih, w_hh, *_ = inputs
            line, path = ctx.line, ctx.path
            grad_h, delta = line.arriving(states, *arriving), line.room(x, len(w_hh))
            _, _, need_x, need_h0, *need_parameters = ctx.needs_input_grad
            sums = path.Sums((need_x, *need_parameters), x, w_ih, w_hh)
            before, weights = line.steps_before(states), path.backward_weights(w_hh)
            for block in line.walk.ordered(products.blocks(delta))[::-1]:
                rows, change, walk = products.states_of(block), delta[block], line.walk.block(block)
                path.rnn_backward(grad_h[rows], change, states[rows], weights, walk, ctx.nonlinearity)
                sums.add(block, change, before[block])
            ctx.trace.record(StateGradients(line.each(grad_h), None, line.steps_back(delta)))
            of_x = None if sums.x is None else line.steps_back(sums.x)
            h0 = line.first(grad_h) if need_h0 else None
            gradients = of_x, h0, sums.w_ih, sums.w_hh, sums.b_ih, sums.b_hh
        twin = partial(reference.rnn, nonlinearity=ctx.nonlinearity)
        return None, None, *differentiable(gradients, inputs, arriving, twin, ctx.trace)
