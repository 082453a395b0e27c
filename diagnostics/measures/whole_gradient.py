"""The whole parameter gradient, laid out in any number of tensors: measured in float64, and clipped (torch)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diagnostics.measures.norms import sample_norms
from diagnostics.measures.what_if import TORCH_EPSILON

SMALL = 2**14
"""Of parts with at most so many entries torch takes the norm: its code is in the processor's cache while it trains."""


@dataclass(frozen=True)
class Measured:
    """One gradient: its l2 norm in float64, and how many of its entries are nan, infinite, exactly 0."""

    norm: float
    nan_count: int
    inf_count: int
    zero_count: int


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

    @property
    def broken(self) -> bool:
        """Whether the gradient was not finite before clipping; a norm that is nan may only be not known."""
        return self.nan_count + self.inf_count > 0 or math.isinf(self.norm_pre)


def measured(gradients: Sequence[Tensor]) -> Measured:
    """What there is to say of a gradient in parts, dense tensors of any shapes."""
    nonzero = [torch.count_nonzero(part) for part in gradients]
    zero_count = sum(part.numel() for part in gradients) - int(sum(together(nonzero)))
    norm = norm_of(gradients)
    if math.isfinite(norm):
        return Measured(norm, 0, 0, zero_count)
    nans = sum(together([part.isnan().sum() for part in gradients]))
    infinities = sum(together([part.isinf().sum() for part in gradients]))
    return Measured(norm, int(nans), int(infinities), zero_count)


def norm_of(gradients: Sequence[Tensor]) -> float:
    """The l2 norm of all parts together, in float64: it neither underflows nor overflows where a float32 norm would."""
    if any(part.device.type not in ("cpu", "mps") for part in gradients):
        with torch.no_grad():
            norms = together([_norm(part) for part in gradients])
    else:
        norms = [
            float(_norm(part) if _small(part) else sample_norms(part.reshape(1, 1, -1))[0, 0]) for part in gradients
        ]
    if len(norms) == 1:
        return norms[0]
    return math.nan if any(map(math.isnan, norms)) else math.hypot(*norms)  # of inf and nan, hypot says inf


def surely_finite(parts: Sequence[Tensor]) -> bool:
    """Whether norms and sums were finite, as they are only where every entry is; where one is not, the sum of a large
    part may only have overflowed."""
    return all(map(math.isfinite, together([_norm(part) if _small(part) else part.sum() for part in parts])))


def _small(part: Tensor) -> bool:
    return part.numel() <= SMALL and part.device.type != "mps"  # which has no float64


def _norm(part: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(part.detach(), dtype=torch.float64)
    return norm


def clip(gradients: Sequence[Tensor], kind: str, threshold: float, before: Measured | None = None) -> Clipped:
    """Clip the gradient in place and say what was there before; ``before``: what ``measured`` said of it just now.

    ``norm``: g ← g · min(1, c / (‖g‖ + 1e-6)); ``value``: each entry cut to ±c; ``none``. The same as torch's
    clipping with one difference: ‖g‖ is taken in float64, so a finite gradient whose float32 norm overflows is
    scaled to c, where torch would set it to zero without a word. An infinite entry becomes nan, as in torch.
    """
    found = measured(gradients) if before is None else before
    after = found.norm
    with torch.no_grad():
        if kind == "value":
            for part in gradients:
                part.clamp_(-threshold, threshold)
            after = norm_of(gradients)
        elif kind == "norm" and not found.norm + TORCH_EPSILON <= threshold:
            # The factor itself may be too small for float32.
            half = math.sqrt(threshold / (found.norm + TORCH_EPSILON))
            for part in gradients:
                part.mul_(half).mul_(half)
            after = norm_of(gradients)
    return Clipped(found.norm, after, found.nan_count, found.inf_count, found.zero_count)


def together(scalars: Sequence[Tensor]) -> list[float]:
    """Numbers on whatever devices, in their order; each device is waited for once."""
    found = [0.0] * len(scalars)
    by_device: dict[torch.device, list[int]] = {}
    for index, one in enumerate(scalars):
        by_device.setdefault(one.device, []).append(index)
    for device, indices in by_device.items():
        held = [scalars[index] for index in indices]
        values = (
            [float(one) for one in held]
            if device.type in ("cpu", "mps")
            else torch.stack([one.double() for one in held]).tolist()
        )
        for index, value in zip(indices, values, strict=True):
            found[index] = value
    return found
