"""The gradient of a recurrence as something that can be differentiated, by way of the recurrence's plain twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.recurrence.trace import StateGradients, Trace

Twin = Callable[..., tuple[Tensor, Tensor | tuple[Tensor, ...], Trace]]
"""From the inputs of a recurrence, ``lengths`` and ``reverse`` to output, final state or states, and trace."""


def differentiable(
    gradients: Sequence[Tensor | None],
    inputs: Sequence[Tensor | None],
    arriving: Sequence[Tensor | None],
    twin: Twin,
    trace: Trace,
) -> tuple[Tensor | None, ...]:
    """The ``gradients`` that a backward has formed at its ``inputs`` out of those ``arriving`` at its outputs, as they
    are; where autograd records the backward pass (``create_graph``), as functions of ``inputs`` and ``arriving``.

    Only where they are differentiated is there more to compute: then the ``twin`` runs anew and autograd goes through
    its backward. What that finds at the states is told to the listener of ``trace``.
    """
    if not torch.is_grad_enabled():
        return tuple(gradients)
    found: tuple[Tensor | None, ...] = _Twice.apply(tuple(gradients), twin, trace, len(inputs), *inputs, *arriving)
    return found


class _Twice(Function):
    """(inputs, arriving) → gradients, which are known."""

    @staticmethod
    def forward(
        ctx: Any, gradients: tuple[Tensor | None, ...], twin: Twin, trace: Trace, count: int, *given: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """``given``: the ``count`` inputs, and what arrives at the outputs."""
        ctx.twin, ctx.trace, ctx.count = twin, trace, count
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given)
        return gradients

    @staticmethod
    def backward(ctx: Any, *second: Any) -> Any:
        again = torch.is_grad_enabled()
        of_given: list[Tensor | None] = [None] * len(ctx.saved_tensors)
        asked = [k for k, gradient in enumerate(second) if gradient is not None]
        device = ctx.saved_tensors[0].device.type
        with torch.enable_grad(), torch.autocast(device, enabled=False):
            # views: where this is differentiated in turn, they lead on to what was given
            given: list[Any] = [None if tensor is None else tensor.view_as(tensor) for tensor in ctx.saved_tensors]
            output, finals, trace = ctx.twin(*given[: ctx.count], lengths=ctx.trace.lengths, reverse=ctx.trace.reverse)
            ends = (output, *(finals if isinstance(finals, tuple) else (finals,)))
            pairs = [
                (end, at)
                for end, at in zip(ends, given[ctx.count :], strict=True)
                if end.requires_grad and at is not None
            ]
            if not pairs or not asked:
                return None, None, None, None, *of_given
            first = torch.autograd.grad(
                [end for end, _ in pairs],
                [given[k] for k in asked],
                [at for _, at in pairs],
                create_graph=True,
                allow_unused=True,
            )
            known = [
                (one, second[k]) for one, k in zip(first, asked, strict=True) if one is not None and one.requires_grad
            ]
            wanted = [k for k, needed in enumerate(ctx.needs_input_grad[4:]) if needed]
            if not known:
                return None, None, None, None, *of_given
            rows = [trace.grad_h, trace.grad_preactivation, *([] if trace.grad_c is None else [trace.grad_c])]
            for row in rows:  # what follows is the second derivative's own
                row.zero_()
            found = torch.autograd.grad(
                [one for one, _ in known],
                [given[k] for k in wanted],
                [of_one for _, of_one in known],
                create_graph=again,
                allow_unused=True,
            )
        for k, gradient in zip(wanted, found, strict=True):
            of_given[k] = gradient
        h, preactivation, *c = (row.clone() for row in rows)
        ctx.trace.tell(StateGradients(h, c[0] if c else None, preactivation))
        return None, None, None, None, *of_given
