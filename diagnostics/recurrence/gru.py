"""The gated recurrent unit with an instrumented backward: the variant of PyTorch and cuDNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import loops, products
from diagnostics.recurrence.arguments import check
from diagnostics.recurrence.trace import StateGradients, Trace


def gru(
    x: Tensor, h0: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
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
    Returns: output [T,B,H], the final state h_n [B,H], and the trace, which the backward pass fills.
    Raises: ``ValueError`` where an argument does not fit; ``RuntimeError`` on differentiating twice.
    """
    check(3, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("gru")
    output, h_n = _Gru.apply(trace, x, h0, w_ih, w_hh, b_ih, b_hh)
    trace.h = output.detach()
    return output, h_n, trace


class _Gru(Function):
    """Legend: m_t = W_hn h_{t−1} + b_hn, g_t = ∂L/∂h_t in total, δ the gradients at the pre-activations and at m.

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
        initial = products.initial(x, h0, w_hh)
        outside, inside = b_ih, None  # of the reset gate's product
        if b_hh is not None:
            inside = b_hh[2 * H :]
            outside = torch.zeros_like(b_hh) if b_ih is None else b_ih.clone()
            outside[: 2 * H] += b_hh[: 2 * H]
        gates = products.of_inputs(x, w_ih, outside)
        output, memory = (x.new_empty(x.shape[0], x.shape[1], H) for _ in range(2))
        loops.gru_forward(output, gates, memory, initial, w_hh, inside)
        trace.gates = dict(zip("rzn", gates.split(H, 2), strict=True))
        ctx.set_materialize_grads(False)
        ctx.trace = trace
        ctx.save_for_backward(x, initial, w_ih, w_hh, output, gates, memory)
        return output, output[-1].clone()

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            x, initial, w_ih, w_hh, output, gates, memory = ctx.saved_tensors
            T, B, H = output.shape
            grad_h = products.arriving(output, *arriving)
            delta = output.new_empty(T, B, 4 * H)
            loops.gru_backward(grad_h, delta, output, gates, memory, initial, w_hh)
            of_input, of_state = delta[..., H:], delta[..., : 3 * H]
            ctx.trace.record(StateGradients(grad_h[1:], None, of_input))
            _, need_x, need_h0, need_w_ih, need_w_hh, need_b_ih, need_b_hh = ctx.needs_input_grad
            gradients = (
                products.to_inputs(of_input, w_ih) if need_x else None,
                grad_h[0].clone() if need_h0 else None,
                products.to_input_weights(of_input, x) if need_w_ih else None,
                _torch_order(products.to_recurrent_weights(of_state, output, initial)) if need_w_hh else None,
                products.to_bias(of_input) if need_b_ih else None,
                _torch_order(products.to_bias(of_state)) if need_b_hh else None,
            )
        return None, *products.only_once(gradients)


def _torch_order(blocks: Tensor) -> Tensor:
    """Rows m, r, z → r, z, n: m stands where the weights have n."""
    H = blocks.shape[0] // 3
    return torch.cat((blocks[H:], blocks[:H]))
