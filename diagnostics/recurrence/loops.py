"""The loops over time of the recurrences: only what is sequential, on tensors that the caller allocated.

This module is the seam between the mathematics of a step and its bookkeeping: a faster loop offers functions of these
signatures, and nothing else has to change. Every function runs without grad mode and differentiates nothing. T is the
length of what it is given, a whole sequence or a block of it.

Legend: T timesteps, B batch, H hidden size; σ the logistic function, ⊙ the element-wise product; h₋ = h_{t−1}; one row
of a tensor per sample, so that W h₋ is ``h @ w.t()``. Tensors over states, [T+1,B,H], have a row per state including
the one before the first step: row t+1 belongs to step t.

- ``states`` and ``cells``: row 0 holds the state before the first step, on entry and on return.
- ``grad_h``: on entry the last row holds the total gradient at the last state, the others what the loss itself
  contributes; on return every row does but the first, which has gained the share of step 0.
- ``grad_c``: on entry only the last row is read; on return every row holds the gradient by the direct path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_quiet = np.errstate(all="ignore")  # infinities and not-a-numbers are results here, as they are to torch


@_quiet
def rnn_forward(states: Tensor, w_hh_t: Tensor, nonlinearity: str) -> None:
    """h_t = φ(a_t + W h₋), in place of a_t.

    Rows 1…T of ``states`` hold the input's part of the pre-activations, with biases, and on return h; ``w_hh_t`` [H,H]
    is Wᵀ.
    """
    h, *rows = states.unbind(0)
    activate = {"relu": torch.relu_, "sigmoid": torch.sigmoid_}.get(nonlinearity)
    xp = _array_module(states)
    for state, array in zip(rows, _rows(states[1:]), strict=True):
        state.addmm_(h, w_hh_t)
        if nonlinearity == "tanh":
            xp.tanh(array, out=array)
        elif activate is not None:
            activate(state)
        h = state


@_quiet
def rnn_backward(grad_h: Tensor, delta: Tensor, states: Tensor, w_hh: Tensor, nonlinearity: str) -> None:
    """δ_t = φ′_t ⊙ g_t and g_{t−1} += Wᵀ δ_t, with φ′ = 1−h² (tanh), h(1−h) (sigmoid), 1[h>0] (ReLU), 1 (identity).

    ``delta`` [T,B,H] receives δ_t = ∂L/∂a_t. ReLU selects instead of multiplying, as autograd does, so that an infinite
    gradient at a silent unit stays zero and does not turn into not-a-number.
    """
    xp, h, arriving, change = _array_module(states), states[1:], grad_h[1:], delta
    combine = xp.multiply
    if nonlinearity == "tanh":
        torch.addcmul(h.new_ones(()), h, h, value=-1, out=delta)
    elif nonlinearity == "sigmoid":
        torch.sub(1, h, out=delta).mul_(h)
    elif nonlinearity == "relu":
        combine, bits = xp.bitwise_and, torch.int32 if h.dtype == torch.float32 else torch.int64
        arriving, change = arriving.view(bits), change.view(bits)
        change.copy_(h <= 0).sub_(1)  # all bits set where the unit speaks, none where it is silent
    else:
        delta.fill_(1)
    tensors = (rows.unbind(0) for rows in (delta, grad_h[:-1]))
    arrays = (_rows(rows) for rows in (arriving, change))
    for through, before, g_t, change_t in _backwards(*tensors, *arrays):
        combine(g_t, change_t, out=change_t)
        before.addmm_(through, w_hh)


@_quiet
def gru_forward(states: Tensor, gates: Tensor, memory: Tensor, w_hh_t: Tensor, b_hn: Tensor | None) -> None:
    """r, z = σ(a + W h₋), m = W_n h₋ + b_hn, n = tanh(a_n + r ⊙ m), h_t = (1−z) ⊙ n + z ⊙ h₋.

    ``gates`` [T,B,3H] holds the input's part of the pre-activations in the order r, z, n, with all biases but b_hn,
    and on return the gates; ``memory`` [T,B,H] receives m, and ``states`` h; ``w_hh_t`` [H,3H] is Wᵀ.
    """
    H, h = states.shape[2], states[0]
    w_rz, w_n = w_hh_t[:, : 2 * H], w_hh_t[:, 2 * H :]
    bias = memory.new_zeros(()) if b_hn is None else b_hn
    r, z, n = gates.split(H, 2)
    xp = _array_module(gates)
    tensors = (rows.unbind(0) for rows in (gates[..., : 2 * H], r, z, n, memory, states[1:]))
    for rz, r_t, z_t, n_t, m, state, n_array in zip(*tensors, _rows(n), strict=True):
        torch.sigmoid_(rz.addmm_(h, w_rz))
        torch.addmm(bias, h, w_n, out=m)
        n_t.addcmul_(r_t, m)
        xp.tanh(n_array, out=n_array)
        h = torch.lerp(n_t, h, z_t, out=state)


@_quiet
def gru_backward(grad_h: Tensor, delta: Tensor, states: Tensor, gates: Tensor, memory: Tensor, w_nrz: Tensor) -> None:
    """δ_n = (1−z)(1−n²) ⊙ g, δ_m = r ⊙ δ_n, δ_r = m r(1−r) ⊙ δ_n, δ_z = (h₋−n) z(1−z) ⊙ g, and
    g_{t−1} += z ⊙ g + W_rᵀ δ_r + W_zᵀ δ_z + W_nᵀ δ_m.

    ``delta`` [T,B,4H] receives δ in the order m, r, z, n: the recurrent weights meet its first three blocks, hence
    ``w_nrz`` [3H,H], and the input's weights its last three. All four are g times something known before the loop.
    """
    T, B, H = memory.shape
    r, z, n = gates.view(T, B, 3, H).unbind(2)
    factors = delta.view(T, B, 4, H)  # each delta in turn is its factor times g, in place
    of_m, of_r, of_z, of_n = factors.unbind(2)
    torch.sub(1, gates.view(T, B, 3, H), out=factors[:, :, 1:])  # 1−r, 1−z, 1−n
    of_n.addcmul_(of_n, n).mul_(of_z)
    torch.mul(of_n, r, out=of_m)
    of_r.mul_(of_m).mul_(memory)
    of_z.mul_(z).mul_(states[:-1] - n)
    tensors = (grad_h[1:].unsqueeze(2), factors, delta[..., : 3 * H], grad_h[1:], grad_h[:-1], z)
    for g_wide, change, through, g, before, keep in _backwards(*(rows.unbind(0) for rows in tensors)):
        change.mul_(g_wide)
        before.addcmul_(g, keep).addmm_(through, w_nrz)


@_quiet
def lstm_forward(states: Tensor, cells: Tensor, gates: Tensor, w_hh_t: Tensor) -> None:
    """i, f, o = σ(a + W h₋), g = tanh(a + W h₋), c_t = f ⊙ c₋ + i ⊙ g, h_t = o ⊙ tanh(c_t).

    ``gates`` [T,B,4H] holds the input's part of the pre-activations in the order i, f, g, o, with biases, and on return
    the gates; ``cells`` and ``states`` receive c and h; ``w_hh_t`` [H,4H] is Wᵀ.
    """
    H, h = states.shape[2], states[0]
    i, f, g, o = gates.split(H, 2)
    xp, product = _array_module(gates), torch.empty_like(h)
    c, scratch = _array(cells[0]), _array(product)
    tensors = (rows.unbind(0) for rows in (gates, gates[..., : 2 * H], o, states[1:]))
    arrays = (_rows(rows) for rows in (i, f, g, o, cells[1:], states[1:]))
    for gate, i_f, o_gate, state, i_t, f_t, g_t, o_t, c_t, h_t in zip(*tensors, *arrays, strict=True):
        gate.addmm_(h, w_hh_t)
        torch.sigmoid_(i_f)
        torch.sigmoid_(o_gate)
        xp.tanh(g_t, out=g_t)
        xp.multiply(f_t, c, out=c_t)
        xp.multiply(i_t, g_t, out=scratch)
        xp.add(c_t, scratch, out=c_t)
        xp.tanh(c_t, out=scratch)
        xp.multiply(scratch, o_t, out=h_t)
        h, c = state, c_t


@_quiet
def lstm_backward(grad_h: Tensor, grad_c: Tensor, delta: Tensor, cells: Tensor, gates: Tensor, w_hh: Tensor) -> None:
    """With ċ = g^c_t + o(1−tanh²c) ⊙ g^h_t the total gradient at c_t:
    δ_i = g i(1−i) ⊙ ċ, δ_f = c₋ f(1−f) ⊙ ċ, δ_g = i(1−g²) ⊙ ċ, δ_o = tanh(c) o(1−o) ⊙ g^h_t,
    g^c_{t−1} = f ⊙ ċ and g^h_{t−1} += Wᵀ δ.

    ``delta`` [T,B,4H] receives δ in the order i, f, g, o.
    """
    T, B, H = len(gates), *cells.shape[1:]
    i, f, g, o = gates.view(T, B, 4, H).unbind(2)
    factors = delta.view(T, B, 4, H)  # each delta in turn is its factor times ċ or g^h, in place
    of_i, of_f, of_g, of_o = factors.unbind(2)
    torch.sub(1, gates.view(T, B, 4, H), out=factors)  # 1−i, 1−f, 1−g, 1−o
    of_i.mul_(i).mul_(g)
    of_f.mul_(f).mul_(cells[:-1])
    of_g.addcmul_(of_g, g).mul_(i)
    xp, slopes = _array_module(cells), torch.empty_like(cells[1:])
    xp.tanh(_array(cells[1:]), out=_array(slopes))
    of_o.mul_(o).mul_(slopes)
    torch.addcmul(slopes.new_ones(()), slopes, slopes, value=-1, out=slopes).mul_(o)
    kept, total = f.contiguous(), torch.empty_like(cells[0])
    wide, total_array = total.unsqueeze(1), _array(total)
    tensors = (rows.unbind(0) for rows in (factors[:, :, :3], delta, grad_h[:-1]))
    arrays = (_rows(rows) for rows in (of_o, slopes, kept, grad_h[1:], grad_c[1:], grad_c[:-1]))
    for change, through, before, change_o, slope, keep, g_h, g_c, c_before in _backwards(*tensors, *arrays):
        xp.multiply(g_h, slope, out=total_array)
        xp.add(total_array, g_c, out=total_array)
        change.mul_(wide)
        xp.multiply(g_h, change_o, out=change_o)
        xp.multiply(total_array, keep, out=c_before)
        before.addmm_(through, w_hh)


def _backwards(*rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of several tensors together, from the last timestep to the first."""
    return zip(*(reversed(sequence) for sequence in rows), strict=True)


# On the CPU the small element-wise steps are NumPy's, on memory that the tensors share: a call costs a third of
# torch's, and tanh, as accurate as torch's to the last places, a fifth (measured at [32,64] float32). Torch offers them
# under the same names, so that one loop serves every device. Products, sigmoid and broadcasts over gates are torch's.


def _array_module(like: Tensor) -> Any:
    return np if like.device.type == "cpu" else torch


def _array(tensor: Tensor) -> Any:
    return tensor.detach().numpy() if tensor.device.type == "cpu" else tensor


def _rows(tensor: Tensor) -> Sequence[Any]:
    return list(tensor.detach().numpy()) if tensor.device.type == "cpu" else tensor.unbind(0)
