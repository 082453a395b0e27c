"""The long short-term memory with an instrumented backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import paths, products, reference
from diagnostics.recurrence.arguments import Lengths, check, check_lengths, pair
from diagnostics.recurrence.lineup import Lineup
from diagnostics.recurrence.trace import StateGradients, Trace
from diagnostics.recurrence.twice import differentiable


def lstm(
    x: Tensor,
    state: tuple[Tensor | None, Tensor | None] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor], Trace]:
    """Run an LSTM over x and trace it.

        i_t, f_t, o_t = σ(W_i· x_t + b_i· + W_h· h_{t−1} + b_h·),  g_t = tanh(the same with its own rows)
        c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Source: ``torch.nn.LSTM`` without projection.

    Args: ``x`` [T,B,I]; ``state`` (h0, c0) [B,H] each, None for zeros (the pair or one of it); ``w_ih`` [4·H,I] and
    ``w_hh`` [4·H,H], blocks in the order i, f, g, o; ``b_ih`` and ``b_hh`` [4·H] or None. float32 or float64, on one
    device.
    ``lengths``: how many of the T steps each sample has, int64 [B] on the CPU or a sequence of whole numbers, each in
    1…T; None for all. The rest of a sample is padding: it is not read, and everything at it is zero: output, trace, and
    the gradient of x. ``reverse`` walks from each sample's last step to its first, as torch.nn does in its second
    direction: t−1 above is then t+1, and output[t] still belongs to x[t].
    Returns: output [T,B,H], the state (h_n, c_n) [B,H] each after each sample's last step (reverse: its first), and the
    trace, which the backward pass fills.
    A second derivative goes through the plain twin, ``reference.lstm``: exact, and slow.
    Raises: ``ValueError`` where an argument does not fit.
    """
    h0, c0 = pair(state)
    check(4, x, {"h0": h0, "c0": c0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("lstm", check_lengths(lengths, x), reverse)
    output, h_n, c_n = _Lstm.apply(trace, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, (h_n, c_n), trace


class _Lstm(Function):
    """Legend: g^h_t = ∂L/∂h_t in total, g^c_t = ∂L/∂c_t by its direct path, ċ_t = ∂L/∂c_t in total, δ at the gates;
    t−1 is the step walked before t, which in reverse is t+1.

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
        line, path = Lineup(x, trace.lengths, trace.reverse), paths.loops_for(x, "lstm")
        rows, states, cells = line.steps(x), line.states(x, h0, H), line.states(x, c0, H)
        gates = line.room(x, 4 * H)
        path.lstm_forward(rows, w_ih, w_hh, products.total(b_ih, b_hh), states, cells, gates, line.walk)
        trace.c, trace.gates = line.each(cells), dict(zip("ifgo", line.steps_back(gates).split(H, 2), strict=True))
        ctx.set_materialize_grads(False)
        ctx.trace, ctx.line, ctx.path = trace, line, path
        ctx.save_for_backward(states, cells, gates, rows, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
        return line.each(states).detach(), line.last(states), line.last(cells)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            states, cells, gates, x, *inputs = ctx.saved_tensors
            _, _, _, w_ih, w_hh, *_ = inputs
            line, path = ctx.line, ctx.path
            of_output, of_last_h, of_last_c = arriving
            grad_h, grad_c = line.arriving(states, of_output, of_last_h), line.arriving(cells, None, of_last_c)
            delta = line.room(x, len(w_hh))
            _, need_x, need_h0, need_c0, *need_parameters = ctx.needs_input_grad
            sums = path.Sums((need_x, *need_parameters), x, w_ih, w_hh)
            before, weights = line.steps_before(states), path.backward_weights(w_hh)
            for block in line.walk.ordered(products.blocks(gates))[::-1]:
                rows, change, walk = products.states_of(block), delta[block], line.walk.block(block)
                path.lstm_backward(grad_h[rows], grad_c[rows], change, cells[rows], gates[block], weights, walk)
                sums.add(block, change, before[block])
            ctx.trace.record(StateGradients(line.each(grad_h), line.each(grad_c), line.steps_back(delta)))
            of_x = None if sums.x is None else line.steps_back(sums.x)
            h0, c0 = line.first(grad_h) if need_h0 else None, line.first(grad_c) if need_c0 else None
            gradients = of_x, h0, c0, sums.w_ih, sums.w_hh, sums.b_ih, sums.b_hh
        return None, *differentiable(gradients, inputs, arriving, _twin, ctx.trace)


def _twin(x: Tensor, h0: Tensor | None, c0: Tensor | None, *parameters: Any, **how: Any) -> Any:
    return reference.lstm(x, (h0, c0), *parameters, **how)
