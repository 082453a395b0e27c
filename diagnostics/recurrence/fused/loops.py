"""The loops over time of float32 on the CPU, compiled for this processor, under the names of the plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diagnostics.recurrence import products
from diagnostics.recurrence.fused import samples
from diagnostics.recurrence.fused.compiled import Kernel
from diagnostics.recurrence.fused.kinds import KINDS
from diagnostics.recurrence.fused.pack import pack
from diagnostics.recurrence.walk import Walk

FLOAT = 4  # bytes


def _kernel(source: str, arguments: int) -> Kernel:
    return Kernel(f"diagnostics.recurrence.fused.{source}", ", ".join(["int64"] * arguments))


_rnn_forward, _rnn_backward = _kernel("rnn:forward", 12), _kernel("rnn:backward", 10)
_gru_forward, _gru_backward = _kernel("gru:forward", 14), _kernel("gru:backward", 11)
_lstm_forward, _lstm_backward = _kernel("lstm:forward", 13), _kernel("lstm:backward", 11)
_add = _kernel("gradients:add", 18)

KERNELS: dict[str, tuple[Kernel, ...]] = {
    "rnn": (_rnn_forward, _rnn_backward, _add),
    "gru": (_gru_forward, _gru_backward, _add),
    "lstm": (_lstm_forward, _lstm_backward, _add),
    "samples": samples.KERNELS,
}
"""What a cell's two passes run, by the kind of its trace, and what measures its samples."""


class Sums(products.Sums):
    """The sums of a backward, a block in one call."""

    def __init__(self, needed: Sequence[bool], x: Tensor, w_ih: Tensor, w_hh: Tensor, *columns: slice) -> None:
        super().__init__(needed, x, w_ih, w_hh, *columns)
        self._packed = None if self.x is None else pack(w_ih.t().contiguous())
        self._one, self._zeros = w_ih.new_ones(1), w_ih.new_zeros(w_ih.shape[1])

    def add(self, block: slice, delta: Tensor, states: Tensor) -> None:
        """Add a block: δ [S,B,·] and the states before its steps [S,B,H]."""
        x, columns = self._x[block], delta.shape[2]
        of_input, of_state = range(columns)[self._of_input], range(columns)[self._of_state]
        if (self._need_b_ih or self._need_b_hh) and not self._bias.dim():
            self._bias = delta.new_zeros(columns)
        delta_at, x_at, states_at = _addresses(delta, x, states)
        _add(
            *(delta_at, FLOAT * columns, FLOAT * of_input.start, FLOAT * of_state.start, len(of_input), len(of_state)),
            *(x_at, x.shape[2], states_at, states.shape[2], delta.shape[0] * delta.shape[1]),
            *_addresses(None if self.x is None else self.x[block], self._packed, self._w_ih_t, self.w_hh),
            *_addresses(self._bias if self._bias.dim() else None, self._one, self._zeros),
        )


def backward_weights(w: Tensor) -> Tensor:
    """``w`` [K,H], which the gradients at K pre-activations go back through, as the backward loops read it."""
    return pack(w.t().contiguous())


def rnn_forward(
    x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor | None, states: Tensor, walk: Walk, nonlinearity: str
) -> None:
    """h_t = φ(W_ih x_t + b + W_hh h₋)."""
    T, B, I, H = *x.shape, len(w_hh)
    tensors = (x, pack(w_ih), pack(w_hh), _bias(bias, w_ih), states)
    _rnn_forward(*_addresses(*tensors), _sizes(walk), T, B, I, H, int(walk.reverse), KINDS[nonlinearity])


def rnn_backward(grad_h: Tensor, delta: Tensor, states: Tensor, weights: Tensor, walk: Walk, nonlinearity: str) -> None:
    """δ_t = φ′_t ⊙ g_t and the gradient at h₋ += Wᵀ δ_t."""
    addresses = _addresses(grad_h, delta, states, weights)
    _rnn_backward(*addresses, _sizes(walk), *delta.shape, int(walk.reverse), KINDS[nonlinearity])


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
    """r, z, m, n and h_t."""
    T, B, I, H = *x.shape, memory.shape[2]
    tensors = (x, pack(w_ih, 3), pack(w_hh, 3), _bias(bias, w_ih), _bias(bias_m, w_ih[:H]), states, gates, memory)
    _gru_forward(*_addresses(*tensors), _sizes(walk), T, B, I, H, int(walk.reverse))


def gru_backward(
    grad_h: Tensor, delta: Tensor, states: Tensor, gates: Tensor, memory: Tensor, weights: Tensor, walk: Walk
) -> None:
    """δ in the order m, r, z, n."""
    addresses = _addresses(grad_h, delta, states, gates, memory, weights)
    _gru_backward(*addresses, _sizes(walk), *memory.shape, int(walk.reverse))


def lstm_forward(
    x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor | None, states: Tensor, cells: Tensor, gates: Tensor, walk: Walk
) -> None:
    """i, f, g, o, c_t and h_t."""
    T, B, I, H = *x.shape, states.shape[2]
    tensors = (x, pack(w_ih, 4), pack(w_hh, 4), _bias(bias, w_ih), states, cells, gates)
    _lstm_forward(*_addresses(*tensors), _sizes(walk), T, B, I, H, int(walk.reverse))


def lstm_backward(
    grad_h: Tensor, grad_c: Tensor, delta: Tensor, cells: Tensor, gates: Tensor, weights: Tensor, walk: Walk
) -> None:
    """δ in the order i, f, g, o."""
    T, B, H = len(gates), *cells.shape[1:]
    addresses = _addresses(grad_h, grad_c, delta, cells, gates, weights)
    _lstm_backward(*addresses, _sizes(walk), T, B, H, int(walk.reverse))


def _bias(bias: Tensor | None, w: Tensor) -> Tensor:
    return w.new_zeros(len(w)) if bias is None else bias.contiguous()


def _addresses(*tensors: Tensor | None) -> list[int]:
    """Where tensors lie; 0 for None.

    Raises ``RuntimeError`` where what lies there is not the tensor's numbers: a fake tensor, or a lazily negated one.
    """
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise AssertionError(f"a compiled loop reads contiguous float32, but got {tensor.dtype}, {tensor.stride()}")
        if tensor.is_neg() or not tensor.data_ptr():
            raise RuntimeError(f"a compiled loop reads memory, but got a {type(tensor).__name__} that is not there")
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _sizes(walk: Walk) -> Any:
    return 0 if walk.sizes is None else walk.sizes.ctypes.data
