"""The loops over time of the recurrences: only what is sequential, on tensors that the caller allocated.

This module is the seam between the mathematics of a step and its bookkeeping: a faster loop offers functions of these
signatures, and nothing else has to change. Every function runs without grad mode and differentiates nothing.

Legend: T timesteps, B batch, H hidden size; σ the logistic function, ⊙ the element-wise product; h₋ = h_{t−1}.
``grad_h`` [T+1,B,H] has a row per state including the initial one: row t+1 belongs to h_t, row 0 to the initial state.
On entry rows 1…T hold the loss's own use of h_t and row 0 is zero; on return every row holds the total gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rnn_forward(states: Tensor, h0: Tensor, w_hh: Tensor, nonlinearity: str) -> None:
    """h_t = φ(a_t + W h₋), in place of a_t.

    ``states`` [T,B,H] holds the input's part of the pre-activations, with biases, and on return h; ``h0`` [B,H].
    """
    activate = {"tanh": torch.tanh_, "relu": torch.relu_, "sigmoid": torch.sigmoid_, "identity": None}[nonlinearity]
    weight, h = w_hh.t(), h0
    for state in states.unbind(0):
        state.addmm_(h, weight)
        if activate is not None:
            activate(state)
        h = state


def rnn_backward(grad_h: Tensor, delta: Tensor, states: Tensor, w_hh: Tensor, nonlinearity: str) -> None:
    """δ_t = φ′_t ⊙ g_t and g_{t−1} += Wᵀ δ_t, with φ′ = 1−h² (tanh), h(1−h) (sigmoid), 1[h>0] (ReLU), 1 (identity).

    ``delta`` [T,B,H] receives δ_t = ∂L/∂a_t. ReLU selects instead of multiplying, as autograd does, so that an infinite
    gradient at a silent unit stays zero and does not turn into not-a-number.
    """
    if nonlinearity == "relu":
        slopes = states <= 0
    elif nonlinearity == "tanh":
        slopes = torch.addcmul(states.new_ones(()), states, states, value=-1)
    elif nonlinearity == "sigmoid":
        slopes = torch.addcmul(states, states, states, value=-1)
    else:
        slopes = states.new_ones(()).expand(states.shape)
    silent = states.new_zeros(())
    gradients = grad_h.unbind(0)
    for t, (slope, change) in reversed(list(enumerate(zip(slopes.unbind(0), delta.unbind(0), strict=True)))):
        if nonlinearity == "relu":
            torch.where(slope, silent, gradients[t + 1], out=change)
        else:
            torch.mul(gradients[t + 1], slope, out=change)
        gradients[t].addmm_(change, w_hh)


def gru_forward(states: Tensor, gates: Tensor, memory: Tensor, h0: Tensor, w_hh: Tensor, b_hn: Tensor | None) -> None:
    """r, z = σ(a + W h₋), m = W_n h₋ + b_hn, n = tanh(a_n + r ⊙ m), h_t = (1−z) ⊙ n + z ⊙ h₋.

    ``gates`` [T,B,3H] holds the input's part of the pre-activations in the order r, z, n, with all biases but b_hn,
    and on return the gates; ``memory`` [T,B,H] receives m, and ``states`` [T,B,H] h.
    """
    hidden, h = h0.shape[1], h0
    w_rz, w_n = w_hh[: 2 * hidden].t(), w_hh[2 * hidden :].t()
    bias = memory.new_zeros(()) if b_hn is None else b_hn
    rz_all, n_all = gates[..., : 2 * hidden].unbind(0), gates[..., 2 * hidden :].unbind(0)
    r_all = gates[..., :hidden].unbind(0)
    z_all = gates[..., hidden : 2 * hidden].unbind(0)
    for rz, r, z, n, m, state in zip(rz_all, r_all, z_all, n_all, memory.unbind(0), states.unbind(0), strict=True):
        torch.sigmoid_(rz.addmm_(h, w_rz))
        torch.addmm(bias, h, w_n, out=m)
        torch.tanh_(n.addcmul_(r, m))
        h = torch.lerp(n, h, z, out=state)


def gru_backward(
    grad_h: Tensor, delta: Tensor, states: Tensor, gates: Tensor, memory: Tensor, h0: Tensor, w_hh: Tensor
) -> None:
    """δ_n = (1−z)(1−n²) ⊙ g, δ_m = r ⊙ δ_n, δ_r = m r(1−r) ⊙ δ_n, δ_z = (h₋−n) z(1−z) ⊙ g, and
    g_{t−1} += z ⊙ g + W_rᵀ δ_r + W_zᵀ δ_z + W_nᵀ δ_m.

    ``delta`` [T,B,4H] receives δ in the order m, r, z, n: the recurrent weights meet its first three blocks and the
    input's weights its last three. All four are g times something known before the loop.
    """
    T, B, H = states.shape
    r, z, n = gates.view(T, B, 3, H).unbind(2)
    factors = states.new_empty(T, B, 4, H)
    f_m, f_r, f_z, f_n = factors.unbind(2)
    torch.mul(torch.addcmul(n.new_ones(()), n, n, value=-1), 1 - z, out=f_n)
    torch.mul(f_n, r, out=f_m)
    torch.mul(f_m, memory, out=f_r).mul_(1 - r)
    torch.sub(h0, n[0], out=f_z[0])
    torch.sub(states[:-1], n[1:], out=f_z[1:])
    f_z.mul_(z).mul_(1 - z)
    weight = torch.cat((w_hh[2 * H :], w_hh[: 2 * H]))  # rows in the order of delta: n (for m), r, z
    recurrent = delta[..., : 3 * H].unbind(0)
    steps = zip(factors.unbind(0), delta.view(T, B, 4, H).unbind(0), z.unbind(0), recurrent, strict=True)
    gradients, wide = grad_h.unbind(0), grad_h.unsqueeze(2).unbind(0)
    for t, (factor, change, keep, through) in reversed(list(enumerate(steps))):
        torch.mul(wide[t + 1], factor, out=change)
        gradients[t].addcmul_(gradients[t + 1], keep).addmm_(through, weight)


def lstm_forward(
    states: Tensor, cells: Tensor, squashed: Tensor, gates: Tensor, h0: Tensor, c0: Tensor, w_hh: Tensor
) -> None:
    """i, f, o = σ(a + W h₋), g = tanh(a + W h₋), c_t = f ⊙ c₋ + i ⊙ g, h_t = o ⊙ tanh(c_t).

    ``gates`` [T,B,4H] holds the input's part of the pre-activations in the order i, f, g, o, with biases, and on return
    the gates; ``cells``, ``squashed`` and ``states`` [T,B,H] receive c, tanh(c) and h.
    """
    H, weight, h, c = h0.shape[1], w_hh.t(), h0, c0
    blocks = [gates[..., k * H : (k + 1) * H].unbind(0) for k in range(4)]
    two = gates[..., : 2 * H].unbind(0)
    steps = zip(gates.unbind(0), two, *blocks, cells.unbind(0), squashed.unbind(0), states.unbind(0), strict=True)
    for gate, i_f, i, f, g, o, cell, squash, state in steps:
        gate.addmm_(h, weight)
        torch.sigmoid_(i_f)
        torch.tanh_(g)
        torch.sigmoid_(o)
        c = torch.mul(f, c, out=cell).addcmul_(i, g)
        h = torch.mul(torch.tanh(c, out=squash), o, out=state)


def lstm_backward(
    grad_h: Tensor,
    grad_c: Tensor,
    delta: Tensor,
    cells: Tensor,
    squashed: Tensor,
    gates: Tensor,
    c0: Tensor,
    w_hh: Tensor,
) -> None:
    """With ċ = grad_c_t + o(1−tanh²c) ⊙ g_h the total gradient at c_t:
    δ_i = g i(1−i) ⊙ ċ, δ_f = c₋ f(1−f) ⊙ ċ, δ_g = i(1−g²) ⊙ ċ, δ_o = tanh(c) o(1−o) ⊙ g_h,
    grad_c_{t−1} = f ⊙ ċ and g_h_{t−1} += Wᵀ δ.

    ``grad_c`` [T+1,B,H] has rows as ``grad_h``, its last holding the loss's own use of the final c; ``delta`` [T,B,4H]
    receives δ in the order i, f, g, o.
    """
    T, B, H = cells.shape
    i, f, g, o = gates.view(T, B, 4, H).unbind(2)
    factors = cells.new_empty(T, B, 4, H)
    f_i, f_f, f_g, f_o = factors.unbind(2)
    one = cells.new_ones(())
    to_cell = torch.addcmul(one, squashed, squashed, value=-1).mul_(o)
    torch.addcmul(i, i, i, value=-1, out=f_i).mul_(g)
    torch.addcmul(f, f, f, value=-1, out=f_f)
    f_f[0].mul_(c0)
    f_f[1:].mul_(cells[:-1])
    torch.addcmul(one, g, g, value=-1, out=f_g).mul_(i)
    torch.addcmul(o, o, o, value=-1, out=f_o).mul_(squashed)
    total = cells.new_empty(B, H)
    wide = total.unsqueeze(1)
    blocks = delta.view(T, B, 4, H)
    steps = zip(
        factors[:, :, :3].unbind(0),
        f_o.unbind(0),
        blocks[:, :, :3].unbind(0),
        blocks[:, :, 3].unbind(0),
        delta.unbind(0),
        f.unbind(0),
        to_cell.unbind(0),
        strict=True,
    )
    of_h, of_c = grad_h.unbind(0), grad_c.unbind(0)
    for t, (factor, factor_o, change, change_o, through, keep, squash) in reversed(list(enumerate(steps))):
        torch.addcmul(of_c[t + 1], of_h[t + 1], squash, out=total)
        torch.mul(wide, factor, out=change)
        torch.mul(of_h[t + 1], factor_o, out=change_o)
        torch.mul(total, keep, out=of_c[t])
        of_h[t].addmm_(through, w_hh)
