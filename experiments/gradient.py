"""The whole parameter gradient as one vector: measured in float64, clipped, measured again."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from diagnostics.measures.whole_gradient import Clipped, clip


class Flat:
    """All parameters of a network that are trained, laid end to end, and their gradients likewise.

    The network's parameters become views of ``parameters``, one leaf that an optimiser updates in a single call, and
    their ``.grad`` views of ``parameters.grad``, which a backward pass adds to: nothing is ever gathered or copied.
    """

    def __init__(self, network: nn.Module) -> None:
        trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in trained]
        self.members = members = [p for _, p in trained]
        self.parameters = nn.Parameter(torch.cat([p.detach().flatten() for p in members]))
        self.gradient = torch.zeros_like(self.parameters)
        self.parameters.grad = self.gradient
        self._sizes = [p.numel() for p in members]
        values = self.parameters.detach().split(self._sizes)
        gradients = self.gradient.split(self._sizes)
        for member, value, gradient in zip(members, values, gradients, strict=True):
            member.data = value.view_as(member)
            member.grad = gradient.view_as(member)

    def clip(self, kind: str, threshold: float) -> Clipped:
        """Clip the gradient in place and say what was there before (see ``whole_gradient.clip``)."""
        return clip([self.gradient], kind, threshold)

    def first_non_finite(self) -> str | None:
        """The name of the first parameter that holds a nan or an infinity, or None."""
        parameters = self.parameters.detach()
        # Where a sum is finite so is every part of it; where it is not, it may only have overflowed.
        if math.isfinite(float(parameters.sum())) or bool(parameters.isfinite().all()):
            return None
        parts: Iterable[Tensor] = parameters.split(self._sizes)
        return next(name for name, part in zip(self.names, parts, strict=True) if not bool(part.isfinite().all()))
