"""The whole parameter gradient as one vector: measured in float64, clipped, measured again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diagnostics.measures.norms import sample_norms

TORCH_EPSILON = 1e-6
"""``torch.nn.utils.clip_grad_norm_`` scales by min(1, c / (‖g‖ + 1e-6)), so a clipped norm stays just below c."""


@dataclass(frozen=True)
class Clipped:
    """One gradient before and after clipping. Norms are l2 over all parameters, in float64; counts are pre-clip."""

    norm_pre: float
    norm_post: float
    nan_count: int
    inf_count: int
    zero_count: int

    @property
    def factor(self) -> float:
        """Post-clip norm ÷ pre-clip norm; 1 where nothing was clipped, nan where neither norm is a number."""
        if self.norm_post == self.norm_pre:
            return 1.0
        return self.norm_post / self.norm_pre if self.norm_pre else math.nan


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
        """Clip the gradient in place and say what was there before.

        ``norm``: g ← g · min(1, c / (‖g‖ + 1e-6)); ``value``: each entry cut to ±c; ``none``. The same as torch's
        clipping with one difference: ‖g‖ is taken in float64, so a finite gradient whose float32 norm overflows is
        scaled to c, where torch would set it to zero without a word. An infinite entry becomes nan, as in torch.
        """
        before = _norm(self.gradient)
        zero_count = self.gradient.numel() - int(torch.count_nonzero(self.gradient))
        nan_count = inf_count = 0
        if not math.isfinite(before):
            nan_count, inf_count = int(self.gradient.isnan().sum()), int(self.gradient.isinf().sum())
        after = before
        if kind == "value":
            self.gradient.clamp_(-threshold, threshold)
            after = _norm(self.gradient)
        elif kind == "norm" and not before + TORCH_EPSILON <= threshold:
            half = math.sqrt(threshold / (before + TORCH_EPSILON))  # the factor itself may be too small for float32
            self.gradient.mul_(half).mul_(half)
            after = _norm(self.gradient)
        return Clipped(before, after, nan_count, inf_count, zero_count)

    def first_non_finite(self) -> str | None:
        """The name of the first parameter that holds a nan or an infinity, or None."""
        parameters = self.parameters.detach()
        # Where a sum is finite so is every part of it; where it is not, it may only have overflowed.
        if math.isfinite(float(parameters.sum())) or bool(parameters.isfinite().all()):
            return None
        parts: Iterable[Tensor] = parameters.split(self._sizes)
        return next(name for name, part in zip(self.names, parts, strict=True) if not bool(part.isfinite().all()))


def _norm(values: Tensor) -> float:
    return float(sample_norms(values.view(1, 1, -1))[0, 0])
