"""What a person hands to ``w.step``, checked, and the row of the step stream that comes of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, SupportsFloat

import torch
from torch import Tensor

from diagnostics.measures.whole_gradient import Clipped


class Losses:
    """The loss of every training step, or of none: which it is, the first step says."""

    def __init__(self) -> None:
        self.known: bool | None = None
        self._last = math.nan
        self._warned = False

    def value(self, loss: Tensor | SupportsFloat | None) -> float:
        """The loss as a number, nan where it is not known. Raises ``ValueError`` where it is not one number."""
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise ValueError(f"loss must be one number, but got a tensor of shape {tuple(loss.shape)}")
        if self.known is None:
            self.known = loss is not None
        if (loss is not None) != self.known and not self._warned:
            self._warned = True
            what = "without: the loss before is repeated" if self.known else "with one: it is not recorded"
            warnings.warn(
                f"loss must be given at every training step or at none, but one came {what}",
                RuntimeWarning,
                stacklevel=3,
            )
        if self.known and loss is not None:
            self._last = float(loss.detach() if isinstance(loss, Tensor) else loss)
        return self._last


def optimizers(given: Any) -> list[torch.optim.Optimizer]:
    """The optimiser, or several, as a list; raises ``TypeError`` or ``ValueError`` where they are none that can be
    stepped here."""
    chosen = list(given) if isinstance(given, Sequence) else [given]
    for one in chosen:
        if not (hasattr(one, "param_groups") and callable(getattr(one, "step", None))):
            raise TypeError(f"optimizer must be a torch optimizer or a list of them, but got {one!r}")
        if isinstance(one, torch.optim.LBFGS):
            raise ValueError(
                "optimizer must be one that makes one update from one gradient, but LBFGS calls the model several "
                "times within its step: call w.clipped() after optimizer.step(closure) instead: it takes the last call"
            )
    if not chosen:
        raise ValueError("optimizer must be a torch optimizer or a list of them, but got an empty list")
    return chosen


def another(
    chosen: Sequence[torch.optim.Optimizer], before: Sequence[torch.optim.Optimizer], *, backward: bool
) -> bool:
    """Whether another optimiser than ``before`` updates out of a backward pass that has made a training step already;
    ``backward``: whether there has been another pass, as far as it is known."""
    return bool(before) and not backward and all(all(one is not known for known in before) for one in chosen)


def unscale(scaler: Any, chosen: Sequence[torch.optim.Optimizer]) -> None:
    """Take the loss scale out of the gradients, unless the person has done so."""
    for optimizer in chosen:
        try:
            scaler.unscale_(optimizer)
        except RuntimeError as error:
            if "already been called" not in str(error):
                raise


def row(step: int, loss: float, clipped: Clipped, wall_s: float) -> dict[str, float | int]:
    """A row of the step stream."""
    return {
        "step": step,
        "loss": loss,
        "grad_norm_pre": clipped.norm_pre,
        "grad_norm_post": clipped.norm_post,
        "clip_factor": clipped.factor,
        "nan_count": clipped.nan_count,
        "inf_count": clipped.inf_count,
        "zero_count": clipped.zero_count,
        "wall_s": wall_s,
    }
