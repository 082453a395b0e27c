"""The gated recurrent unit with an instrumented backward: the variant of PyTorch and cuDNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import paths, products, reference
from diagnostics.recurrence.arguments import Lengths, check, check_lengths
from diagnostics.recurrence.lineup import Lineup
from diagnostics.recurrence.trace import StateGradients, Trace
from diagnostics.recurrence.twice import differentiable


def gru(
    x: Tensor,
    h0: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Trace]:
    """Run a GRU over x and trace it.

        r_t = σ(W_ir x_t + b_ir + W_hr h_{t−1} + b_hr)
        z_t = σ(W_iz x_t + b_iz + W_hz h_{t−1} + b_hz)
        n_t = tanh(W_in x_t + b_in + r_t ⊙ (W_hn h_{t−1} + b_hn))
        h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

    Source: ``torch.nn.GRU``; it is the variant of Cho et al., arXiv:1406.1078v1, where the reset gate meets the product
    W_hn h (with b_hn inside) and not the state itself.

    Args: ``x`` [T,B,I]; ``h0`` [B,H], None for zeros; ``w_ih`` [3·H,I] and ``w_hh`` [3·H,H], blocks in the order r, z,
    n; ``b_ih`` and ``b_hh`` [3·H] or None. float32 or float64, on one device.
    ``lengths``: how many of the T steps each sample has, int64 [B] on the CPU or a sequence of whole numbers, each in
    1…T; None for all. The rest of a sample is padding: it is not read, and everything at it is zero: output, trace, and
    the gradient of x. ``reverse`` walks from each sample's last step to its first, as torch.nn does in its second
    direction: h_{t−1} above is then h_{t+1}, and output[t] still belongs to x[t].
    Returns: output [T,B,H], the state h_n [B,H] after each sample's last step (reverse: its first), and the trace,
    which the backward pass fills.
    A second derivative goes through the plain twin, ``reference.gru``: exact, and slow.
    Raises: ``ValueError`` where an argument does not fit.
    """
    check(3, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("gru", check_lengths(lengths, x), reverse)
    output, h_n = _Gru.apply(trace, x, h0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, h_n, trace


class _Gru(Function):
    """Legend: m_t = W_hn h_{t−1} + b_hn, g_t = ∂L/∂h_t in total, δ the gradients at the pre-activations and at m;
    t−1 is the step walked before t, which in reverse is t+1.

    δ_n = (1−z)(1−n²) ⊙ g;  δ_m = r ⊙ δ_n;  δ_r = m r(1−r) ⊙ δ_n;  δ_z = (h_{t−1}−n) z(1−z) ⊙ g
    g_{t−1} = ∂⁺L/∂h_{t−1} + z ⊙ g + W_hrᵀ δ_r + W_hzᵀ δ_z + W_hnᵀ δ_m
    ∂L/∂W_ih, ∂L/∂b_ih and ∂L/∂x from (δ_r, δ_z, δ_n);  ∂L/∂W_hh and ∂L/∂b_hh from (δ_r, δ_z, δ_m)
    """

    @staticmethod
    def forward(
        ctx: Any,
        trace: Trace,
        x: Tensor,
        h0: Tensor | None,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        H = w_hh.shape[1]
        outside, inside = b_ih, None  # of the reset gate's product
        if b_hh is not None:
            inside = b_hh[2 * H :]
            outside = torch.zeros_like(b_hh) if b_ih is None else b_ih.clone()
            outside[: 2 * H] += b_hh[: 2 * H]
        line, path = Lineup(x, trace.lengths, trace.reverse), paths.loops_for(x, "gru")
        rows, states = line.steps(x), line.states(x, h0, H)
        gates, memory = line.room(x, 3 * H), line.room(x, H)
        path.gru_forward(rows, w_ih, w_hh, outside, inside, states, gates, memory, line.walk)
        trace.gates = dict(zip("rzn", line.steps_back(gates).split(H, 2), strict=True))
        ctx.set_materialize_grads(False)
        ctx.trace, ctx.line, ctx.path = trace, line, path
        ctx.save_for_backward(states, gates, memory, rows, x, h0, w_ih, w_hh, b_ih, b_hh)
        return line.each(states).detach(), line.last(states)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            states, gates, memory, x, *inputs = ctx.saved_tensors
            _, _, w_ih, w_hh, *_ = inputs
            line, path, H = ctx.line, ctx.path, w_hh.shape[1]
            grad_h, delta = line.arriving(states, *arriving), line.room(x, 4 * H)
            w_nrz = torch.cat((w_hh[2 * H :], w_hh[: 2 * H]))
            _, need_x, need_h0, *need_parameters = ctx.needs_input_grad
            sums = path.Sums((need_x, *need_parameters), x, w_ih, w_nrz, slice(H, None), slice(3 * H))
            before, weights = line.steps_before(states), path.backward_weights(w_nrz)
            for block in line.walk.ordered(products.blocks(gates))[::-1]:
                rows, change, walk = products.states_of(block), delta[block], line.walk.block(block)
                path.gru_backward(grad_h[rows], change, states[rows], gates[block], memory[block], weights, walk)
                sums.add(block, change, before[block])
            ctx.trace.record(StateGradients(line.each(grad_h), None, line.steps_back(delta)[..., H:]))
            of_x = None if sums.x is None else line.steps_back(sums.x)
            h0 = line.first(grad_h) if need_h0 else None
            gradients = of_x, h0, sums.w_ih, _torch_order(sums.w_hh), sums.b_ih, _torch_order(sums.b_hh)
        return None, *differentiable(gradients, inputs, arriving, reference.gru, ctx.trace)


def _torch_order(blocks: Tensor | None) -> Tensor | None:
    """Rows m, r, z → r, z, n: m stands where the weights have n."""
    if blocks is None:
        return None
    H = blocks.shape[0] // 3
    return torch.cat((blocks[H:], blocks[:H]))
