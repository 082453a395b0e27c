"""What the recurrences share around their loops: products batched over blocks of timesteps, and their sums.

Legend: T timesteps, S timesteps of a block, B batch, I input size, H hidden size, K rows of the weights (G·H);
δ [T,B,K] the gradient at the pre-activations, Σ over timesteps and the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

BLOCK_BYTES = 1 << 21
"""A block's pre-activations take about as much: what the loop wrote is still in the cache when the products read it."""

SKINNY = 32
"""Products with fewer columns are several times faster as products with as few rows, measured with MKL."""


def blocks(like: Tensor) -> list[slice]:
    """The timesteps of ``like`` [T,B,K] in consecutive blocks; one block where there is no such cache to mind."""
    T = like.shape[0]
    step_bytes = like[0].numel() * like.element_size()
    size = max(1, BLOCK_BYTES // step_bytes) if like.device.type == "cpu" else T
    return [slice(start, min(start + size, T)) for start in range(0, T, size)]


def states_of(block: slice) -> slice:
    """A block's rows in a tensor [T+1,·] with a row per state: its own, and that of the state before it."""
    return slice(block.start, block.stop + 1)


def total(b_ih: Tensor | None, b_hh: Tensor | None) -> Tensor | None:
    """The sum of the two biases, of which either may be None."""
    if b_ih is None or b_hh is None:
        return b_hh if b_ih is None else b_ih
    return b_ih + b_hh


def of_inputs(x: Tensor, w_ih: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """out = x W_ihᵀ + bias in one product: x [S,B,I], w_ih [K,I], bias [K] or None, out [S,B,K]."""
    if not out.is_contiguous():  # a part of the batch
        out.copy_(linear(x, w_ih, bias))
        return
    flat, flat_out = x.reshape(-1, x.shape[2]), out.view(-1, out.shape[2])
    if bias is None:
        torch.mm(flat, w_ih.t(), out=flat_out)
    else:
        torch.addmm(bias, flat, w_ih.t(), out=flat_out)


class Sums:
    """The gradients of x, w_ih, w_hh and the two biases, gathered block by block; None where not ``needed``.

    ∂L/∂x_t = W_ihᵀ δ_t;  ∂L/∂W_ih = Σ δ_t x_tᵀ;  ∂L/∂W_hh = Σ δ_t h₋ᵀ;  ∂L/∂b = Σ δ_t, with h₋ the state before step t

    The columns of δ that belong to the rows of the input's weights and of the recurrent weights are ``of_input`` and
    ``of_state``: all of them, except for a GRU.
    """

    def __init__(
        self,
        needed: Sequence[bool],
        x: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        of_input: slice = slice(None),
        of_state: slice = slice(None),
    ) -> None:
        need_x, need_w_ih, need_w_hh, self._need_b_ih, self._need_b_hh = needed
        self._x, self._w_ih, self._of_input, self._of_state = x, w_ih, of_input, of_state
        self.x = torch.empty_like(x, memory_format=torch.contiguous_format) if need_x else None
        self._w_ih_t = w_ih.new_zeros(w_ih.shape[1], w_ih.shape[0]) if need_w_ih else None
        self.w_hh = torch.zeros_like(w_hh, memory_format=torch.contiguous_format) if need_w_hh else None
        self._bias = w_ih.new_zeros(())

    @property
    def w_ih(self) -> Tensor | None:
        """[K,I], in the layout of the parameter."""
        return None if self._w_ih_t is None else self._w_ih_t.t().contiguous()

    @property
    def b_ih(self) -> Tensor | None:
        """[K], a tensor of its own: clipping works in place, and most often b_hh has the same numbers."""
        return self._bias[self._of_input].clone() if self._need_b_ih else None

    @property
    def b_hh(self) -> Tensor | None:
        """[K], a tensor of its own, too."""
        return self._bias[self._of_state].clone() if self._need_b_hh else None

    def add(self, block: slice, delta: Tensor, states: Tensor) -> None:
        """Add a block: δ [S,B,·] and the states before its steps [S,B,H]."""
        delta, x = delta.flatten(0, 1), self._x[block].reshape(-1, self._x.shape[2])
        of_input, of_state = delta[:, self._of_input], delta[:, self._of_state]
        if self.x is not None:
            into = self.x[block].view(x.shape)
            if self._w_ih.shape[1] < SKINNY:
                into.copy_((self._w_ih.t() @ of_input.t()).t())
            else:
                torch.mm(of_input, self._w_ih, out=into)
        if self._w_ih_t is not None:
            self._w_ih_t.addmm_(x.t(), of_input)
        if self.w_hh is not None:
            self.w_hh.addmm_(of_state.t(), states.flatten(0, 1))
        if self._need_b_ih or self._need_b_hh:
            self._bias = self._bias + delta.sum(0)
