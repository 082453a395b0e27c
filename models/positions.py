"""Networks without recurrence, seen like the others: features at each timestep, and the gradient that comes there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence import Lengths, Trace
from diagnostics.recurrence.trace import StateGradients


def observed(features: Tensor, lengths: Lengths = None) -> tuple[Tensor, Trace]:
    """The same ``features`` [T,B,H] with 0 at padding, and a trace of kind "positions" that a backward pass fills.

    ``lengths`` [B], each in 1…T, says how many steps of each sample are not padding (None: all). The trace's ``h`` are
    the features as returned and its ``grad_h`` is the gradient with respect to them, at padding exactly 0 as is the
    gradient that is passed on to what made the features.
    """
    told = None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64)
    trace = Trace("positions", told)
    shown: Tensor = _Observed.apply(trace, features, mask(told, features))
    trace.h = shown.detach()
    return shown, trace


def mask(lengths: Tensor | None, features: Tensor) -> Tensor | None:
    """Where ``features`` [T,B,…] are padding, bool [T,B,1]; None where nothing is."""
    if lengths is None:
        return None
    steps = torch.arange(len(features), device=features.device)
    return (steps[:, None] >= lengths.to(features.device)).unsqueeze(-1)


class _Observed(Function):
    """The identity, but 0 at padding, which tells its trace of the gradient."""

    @staticmethod
    def forward(ctx: Any, trace: Trace, features: Tensor, padding: Tensor | None) -> Tensor:
        ctx.trace = trace
        ctx.save_for_backward(padding)
        return features.clone() if padding is None else features.masked_fill(padding, 0.0)

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        (grad,) = arriving
        (padding,) = ctx.saved_tensors
        if padding is not None:
            grad = grad.masked_fill(padding, 0.0)
        ctx.trace.record(StateGradients(grad, None, grad))
        return None, grad, None
