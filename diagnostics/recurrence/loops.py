"""The loops over time of the recurrences, on tensors that the caller allocated: the plain path, on torch and NumPy.

This module is the seam between the mathematics of a step and its bookkeeping: a faster path offers functions of these
names and signatures (``diagnostics.recurrence.paths`` chooses), and nothing else has to change. Every function runs
without grad mode and differentiates nothing.

Legend: T timesteps, B batch, I input size, H hidden size, G gates; σ the logistic function, ⊙ the element-wise product;
h₋ the state before a step: h_{t−1}, or h_{t+1} where ``walk.reverse``; one row of a tensor per sample, so that W h₋ is
``h @ w.t()``. Tensors over states, [T+1,B,H], have the rows that ``walk`` speaks of. All are contiguous, save that a
backward is given consecutive timesteps of them. Samples that are not there at a step are left as they are.

Forward: ``x`` [T,B,I]; ``w_ih`` [G·H,I]; ``w_hh`` [G·H,H]; ``bias`` [G·H] or None, the sum of the two; ``states`` and
``cells`` with the initial states in place. Everything else is written.

Backward, over the whole or over a block of timesteps, of which the last that was walked comes first:

- ``weights``: what ``backward_weights`` returned for w_hh;
- ``grad_h``: on entry the row after the last step of each sample holds the total gradient there, the others what the
  loss itself contributes; on return every row does but that before the first step, which has gained what comes through
  that step;
- ``grad_c``: on entry only the row after the last step of each sample is read; on return every row holds the gradient
  by the direct path;
- ``delta`` [T,B,·]: written, the gradients at the pre-activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.recurrence import products
from diagnostics.recurrence.walk import Stretch, Walk

_quiet = np.errstate(all="ignore")  # infinities and not-a-numbers are results here, as they are to torch


Sums = products.Sums
"""What the blocks of a backward add up to."""


def backward_weights(w: Tensor) -> Any:
    """``w`` [K,H] in the layout that the backward loops want: here, as it is."""
    return w


@_quiet
def rnn_forward(
    x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor | None, states: Tensor, walk: Walk, nonlinearity: str
) -> None:
    """h_t = φ(W_ih x_t + bias + W h₋)."""
    activate = {"relu": torch.relu_, "sigmoid": torch.sigmoid_}.get(nonlinearity)
    xp, w_hh_t = _array_module(states), w_hh.t().contiguous()
    for stretch in walk.stretches(products.blocks(states[walk.after])):
        rows = stretch.after(states)
        products.of_inputs(stretch.of(x), w_ih, bias, rows)
        tensors = stretch.before(states).unbind(0), rows.unbind(0)
        for h, state, array in stretch.onward(*tensors, _rows(rows)):
            state.addmm_(h, w_hh_t)
            if nonlinearity == "tanh":
                xp.tanh(array, out=array)
            elif activate is not None:
                activate(state)


@_quiet
def rnn_backward(grad_h: Tensor, delta: Tensor, states: Tensor, weights: Any, walk: Walk, nonlinearity: str) -> None:
    """δ_t = φ′_t ⊙ g_t and g₋ += Wᵀ δ_t, with φ′ = 1−h² (tanh), h(1−h) (sigmoid), 1[h>0] (ReLU), 1 (identity).

    ``delta`` [T,B,H] receives δ_t = ∂L/∂a_t. ReLU selects instead of multiplying, as autograd does, so that an infinite
    gradient at a silent unit stays zero and does not turn into not-a-number.
    """
    for stretch in _against(walk, delta):
        xp, h, arriving = _array_module(states), stretch.after(states), stretch.after(grad_h)
        change = through = stretch.of(delta)
        combine = xp.multiply
        if nonlinearity == "tanh":
            torch.addcmul(h.new_ones(()), h, h, value=-1, out=change)
        elif nonlinearity == "sigmoid":
            torch.sub(1, h, out=change).mul_(h)
        elif nonlinearity == "relu":
            combine, bits = xp.bitwise_and, torch.int32 if h.dtype == torch.float32 else torch.int64
            arriving, change = arriving.view(bits), change.view(bits)
            change.copy_(h <= 0).sub_(1)  # all bits set where the unit speaks, none where it is silent
        else:
            change.fill_(1)
        tensors = through.unbind(0), stretch.before(grad_h).unbind(0)
        for delta_t, before, g_t, change_t in stretch.back(*tensors, _rows(arriving), _rows(change)):
            combine(g_t, change_t, out=change_t)
            before.addmm_(delta_t, weights)


@_quiet
def gru_forward(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    bias_m: Tensor | None,
    states: Tensor,
    gates: Tensor,
    memory: Tensor,
    walk: Walk,
) -> None:
    """r, z = σ(W_ih x_t + bias + W h₋), m = W_n h₋ + bias_m, n = tanh(W_in x_t + bias_n + r ⊙ m),
    h_t = (1−z) ⊙ n + z ⊙ h₋.

    ``bias`` [3H] has all biases but that inside of the reset gate's product, ``bias_m`` [H]. ``gates`` [T,B,3H]
    receives r, z, n, and ``memory`` [T,B,H] m.
    """
    H, w_hh_t, xp = states.shape[2], w_hh.t().contiguous(), _array_module(gates)
    w_rz, w_n = w_hh_t[:, : 2 * H], w_hh_t[:, 2 * H :]
    inside = memory.new_zeros(()) if bias_m is None else bias_m
    for stretch in walk.stretches(products.blocks(gates)):
        rows = stretch.of(gates)
        products.of_inputs(stretch.of(x), w_ih, bias, rows)
        r, z, n = rows.split(H, 2)
        parts = stretch.before(states), stretch.after(states), rows[..., : 2 * H], r, z, n, stretch.of(memory)
        tensors = (part.unbind(0) for part in parts)
        for h, state, rz, r_t, z_t, n_t, m, n_array in stretch.onward(*tensors, _rows(n)):
            torch.sigmoid_(rz.addmm_(h, w_rz))
            torch.addmm(inside, h, w_n, out=m)
            n_t.addcmul_(r_t, m)
            xp.tanh(n_array, out=n_array)
            torch.lerp(n_t, h, z_t, out=state)


@_quiet
def gru_backward(
    grad_h: Tensor, delta: Tensor, states: Tensor, gates: Tensor, memory: Tensor, weights: Any, walk: Walk
) -> None:
    """δ_n = (1−z)(1−n²) ⊙ g, δ_m = r ⊙ δ_n, δ_r = m r(1−r) ⊙ δ_n, δ_z = (h₋−n) z(1−z) ⊙ g, and
    g₋ += z ⊙ g + W_rᵀ δ_r + W_zᵀ δ_z + W_nᵀ δ_m.

    ``delta`` [T,B,4H] receives δ in the order m, r, z, n: the recurrent weights meet its first three blocks, hence
    ``weights`` of [3H,H] in the order n, r, z, and the input's weights its last three. All four are g times something
    known before the loop.
    """
    H = memory.shape[2]
    for stretch in _against(walk, delta):
        by_gate, change = stretch.of(gates).unflatten(2, (3, H)), stretch.of(delta)
        factors = change.unflatten(2, (4, H))  # each delta in turn is its factor times g, in place
        r, z, n = by_gate.unbind(2)
        of_m, of_r, of_z, of_n = factors.unbind(2)
        torch.sub(1, by_gate, out=factors[:, :, 1:])  # 1−r, 1−z, 1−n
        of_n.addcmul_(of_n, n).mul_(of_z)
        torch.mul(of_n, r, out=of_m)
        of_r.mul_(of_m).mul_(stretch.of(memory))
        of_z.mul_(z).mul_(stretch.before(states) - n)
        g, before = stretch.after(grad_h), stretch.before(grad_h)
        parts = g.unsqueeze(2), factors, change[..., : 3 * H], g, before, z
        for g_wide, change_t, through, g_t, before_t, keep in stretch.back(*(part.unbind(0) for part in parts)):
            change_t.mul_(g_wide)
            before_t.addcmul_(g_t, keep).addmm_(through, weights)


@_quiet
def lstm_forward(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    states: Tensor,
    cells: Tensor,
    gates: Tensor,
    walk: Walk,
) -> None:
    """i, f, o = σ(W_ih x_t + bias + W h₋), g = tanh(the same with its own rows), c_t = f ⊙ c₋ + i ⊙ g,
    h_t = o ⊙ tanh(c_t).

    ``gates`` [T,B,4H] receives i, f, g, o.
    """
    H, w_hh_t, xp = states.shape[2], w_hh.t().contiguous(), _array_module(gates)
    product = torch.empty_like(states[0])
    for stretch in walk.stretches(products.blocks(gates)):
        rows = stretch.of(gates)
        products.of_inputs(stretch.of(x), w_ih, bias, rows)
        i, f, g, o = rows.split(H, 2)
        scratch = _array(product[: rows.shape[1]])
        tensors = (part.unbind(0) for part in (stretch.before(states), rows, rows[..., : 2 * H], o))
        parts = i, f, g, o, stretch.before(cells), stretch.after(cells), stretch.after(states)
        arrays = (_rows(part) for part in parts)
        for h, gate, i_f, o_gate, i_t, f_t, g_t, o_t, c, c_t, h_t in stretch.onward(*tensors, *arrays):
            gate.addmm_(h, w_hh_t)
            torch.sigmoid_(i_f)
            torch.sigmoid_(o_gate)
            xp.tanh(g_t, out=g_t)
            xp.multiply(f_t, c, out=c_t)
            xp.multiply(i_t, g_t, out=scratch)
            xp.add(c_t, scratch, out=c_t)
            xp.tanh(c_t, out=scratch)
            xp.multiply(scratch, o_t, out=h_t)


@_quiet
def lstm_backward(
    grad_h: Tensor, grad_c: Tensor, delta: Tensor, cells: Tensor, gates: Tensor, weights: Any, walk: Walk
) -> None:
    """With ċ = g^c_t + o(1−tanh²c) ⊙ g^h_t the total gradient at c_t:
    δ_i = g i(1−i) ⊙ ċ, δ_f = c₋ f(1−f) ⊙ ċ, δ_g = i(1−g²) ⊙ ċ, δ_o = tanh(c) o(1−o) ⊙ g^h_t,
    g^c₋ = f ⊙ ċ and g^h₋ += Wᵀ δ.

    ``delta`` [T,B,4H] receives δ in the order i, f, g, o.
    """
    H, xp = cells.shape[2], _array_module(cells)
    for stretch in _against(walk, delta):
        by_gate, change = stretch.of(gates).unflatten(2, (4, H)), stretch.of(delta)
        factors = change.unflatten(2, (4, H))  # each delta in turn is its factor times ċ or g^h, in place
        i, f, g, o = by_gate.unbind(2)
        of_i, of_f, of_g, of_o = factors.unbind(2)
        torch.sub(1, by_gate, out=factors)  # 1−i, 1−f, 1−g, 1−o
        of_i.mul_(i).mul_(g)
        of_f.mul_(f).mul_(stretch.before(cells))
        of_g.addcmul_(of_g, g).mul_(i)
        after = stretch.after(cells)
        slopes = torch.empty_like(after, memory_format=torch.contiguous_format)
        xp.tanh(_array(after), out=_array(slopes))
        of_o.mul_(o).mul_(slopes)
        torch.addcmul(slopes.new_ones(()), slopes, slopes, value=-1, out=slopes).mul_(o)
        kept, total = f.contiguous(), torch.empty_like(slopes[0])
        wide, total_array = total.unsqueeze(1), _array(total)
        tensors = (part.unbind(0) for part in (factors[:, :, :3], change, stretch.before(grad_h)))
        parts = of_o, slopes, kept, stretch.after(grad_h), stretch.after(grad_c), stretch.before(grad_c)
        arrays = (_rows(part) for part in parts)
        for change_t, through, before, change_o, slope, keep, g_h, g_c, c_before in stretch.back(*tensors, *arrays):
            xp.multiply(g_h, slope, out=total_array)
            xp.add(total_array, g_c, out=total_array)
            change_t.mul_(wide)
            xp.multiply(g_h, change_o, out=change_o)
            xp.multiply(total_array, keep, out=c_before)
            before.addmm_(through, weights)


def _against(walk: Walk, rows: Tensor) -> list[Stretch]:
    """The stretches of all timesteps, the last that was walked first."""
    return walk.stretches([slice(0, len(rows))])[::-1]


# On the CPU the small element-wise steps are NumPy's, on memory that the tensors share: a call costs a third of
# torch's, and tanh, as accurate as torch's to the last places, a fifth (measured at [32,64] float32). Torch offers them
# under the same names, so that one loop serves every device. Products, sigmoid and broadcasts over gates are torch's.


def _array_module(like: Tensor) -> Any:
    return np if like.device.type == "cpu" else torch


def _array(tensor: Tensor) -> Any:
    return tensor.detach().numpy() if tensor.device.type == "cpu" else tensor


def _rows(tensor: Tensor) -> Sequence[Any]:
    return list(tensor.detach().numpy()) if tensor.device.type == "cpu" else tensor.unbind(0)
