"""What every recurrence's backward shares: products batched over time, and the refusal of a second derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def of_inputs(x: Tensor, w_ih: Tensor, bias: Tensor | None) -> Tensor:
    """x_t W_ihᵀ + bias for all t in one product: x [T,B,I], w_ih [K,I], bias [K] → [T,B,K]."""
    flat = x.reshape(-1, x.shape[2])
    product = flat @ w_ih.t() if bias is None else torch.addmm(bias, flat, w_ih.t())
    return product.view(x.shape[0], x.shape[1], -1)


def to_inputs(delta: Tensor, w_ih: Tensor) -> Tensor:
    """∂L/∂x_t = δ_t W_ih for all t in one product: delta [T,B,K] → [T,B,I]."""
    return (_flat(delta) @ w_ih).view(delta.shape[0], delta.shape[1], -1)


def to_input_weights(delta: Tensor, x: Tensor) -> Tensor:
    """∂L/∂W_ih = Σ_t δ_tᵀ x_t: delta [T,B,K], x [T,B,I] → [K,I]."""
    return _flat(delta).t() @ x.reshape(-1, x.shape[2])


def to_recurrent_weights(delta: Tensor, states: Tensor, h0: Tensor) -> Tensor:
    """∂L/∂W_hh = Σ_t δ_tᵀ h_{t−1}: delta [T,B,K], states [T,B,H], h0 [B,H] → [K,H]."""
    gradient = delta[0].t() @ h0
    if len(delta) > 1:
        gradient.addmm_(_flat(delta[1:]).t(), states[:-1].view(-1, states.shape[2]))
    return gradient


def initial(x: Tensor, state: Tensor | None, w_hh: Tensor) -> Tensor:
    """The initial state [B,H]: the one given, or zeros."""
    return x.new_zeros(x.shape[1], w_hh.shape[1]) if state is None else state


def total(b_ih: Tensor | None, b_hh: Tensor | None) -> Tensor | None:
    """The sum of the two biases, of which either may be None."""
    if b_ih is None or b_hh is None:
        return b_hh if b_ih is None else b_ih
    return b_ih + b_hh


def to_biases(delta: Tensor, need_b_ih: bool, need_b_hh: bool) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of two biases that are added: equal, but never one tensor, since clipping works in place."""
    if not (need_b_ih or need_b_hh):
        return None, None
    gradient = to_bias(delta)
    return gradient if need_b_ih else None, gradient.clone() if need_b_hh else None


def to_bias(delta: Tensor) -> Tensor:
    """∂L/∂b = Σ_t Σ_batch δ_t: delta [T,B,K] → [K]."""
    return delta.sum((0, 1))


def arriving(like: Tensor, of_output: Tensor | None, of_last: Tensor | None) -> Tensor:
    """The loss's own use of each state as a fresh tensor [T+1,B,H], its row 0 (the initial state) zero.

    ``like`` [T,B,H]; ``of_output`` [T,B,H] and ``of_last`` [B,H] are the gradients that autograd hands in, None where
    the loss does not use the output or the final state.
    """
    T, B, H = like.shape
    gradient = like.new_empty(T + 1, B, H)
    if of_output is None:
        gradient.zero_()
    else:
        gradient[0].zero_()
        gradient[1:].copy_(of_output)
    if of_last is not None:
        gradient[T].add_(of_last)
    return gradient


class _Once(Function):
    """The identity, which refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "the gradient of a recurrence must not be differentiated again; "
            "diagnostics.recurrence.reference has plain twins that can be"
        )


def only_once(gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Mark the gradients that a backward returns, so that differentiating them raises instead of being silently wrong.

    ``torch.autograd.function.once_differentiable`` is silent where the incoming gradient is a constant, as it is for
    ``output.sum().backward(create_graph=True)``.
    """
    if not torch.is_grad_enabled():
        return tuple(gradients)
    return tuple(None if gradient is None else _Once.apply(gradient.requires_grad_()) for gradient in gradients)


def _flat(tensor: Tensor) -> Tensor:
    """[T,B,K] → [T·B,K] without a copy where rows are evenly spaced, as blocks of a wider tensor are."""
    return tensor.flatten(0, 1)
