"""Refuse a second derivative in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def only_once(gradients: Sequence[Tensor | None], sources: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Mark the gradients that a backward returns, so that differentiating them raises instead of being silently wrong.

    ``sources`` are the tensors that they depend on. ``torch.autograd.function.once_differentiable`` does not know
    these, and is silent where the incoming gradient is a constant, as it is for ``output.sum()``.
    """
    if not torch.is_grad_enabled():
        return tuple(gradients)
    return tuple(None if gradient is None else _Once.apply(gradient, *sources) for gradient in gradients)


class _Once(Function):
    """The identity on its first argument, which refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *sources: Tensor | None) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "the gradient of a recurrence must not be differentiated again; "
            "diagnostics.recurrence.reference has plain twins that can be"
        )
