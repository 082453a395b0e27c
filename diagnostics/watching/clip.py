"""The parameters' gradients of a training step that somebody else wrote: measured as accumulated, and clipped.

Two hooks' worth of knowledge on every parameter: how often a backward pass added to its ``.grad`` since the last
training step (accumulation), and whether anybody changed the gradient since (a person who clips by hand, or has the
loss scale taken out of it). From the first training step on which somebody did, the gradient is measured as soon as it
has been accumulated, so that what it was before is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.measures import whole_gradient
from diagnostics.measures.entry_sizes import NOT_MEASURED, entry_sizes
from diagnostics.measures.whole_gradient import Clipped, Measured
from diagnostics.records import Array


@dataclass
class _Accumulated:
    """One parameter since the last training step."""

    parameter: Tensor
    name: str
    passes: int = 0
    version: tuple[int, int] = (0, 0)
    """Which tensor ``.grad`` was, and how often it had been changed, when the last backward pass had added to it."""
    measured: Measured | None = None
    sizes: Array | None = None


class Gradients:
    """The gradients of a model's parameters; ``close`` takes the hooks off again."""

    def __init__(self, model: nn.Module) -> None:
        self.by_hand = True
        """Whether somebody changes the gradients between the backward pass and us; at first, they might."""
        self.sized = False
        """Whether the sizes of the entries are asked for at this training step."""
        self.fed = False
        """Whether a backward pass was ever seen; who assigns ``.grad`` has none."""
        self._known: dict[int, _Accumulated] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self.adopt(model.named_parameters())

    def adopt(self, parameters: Iterable[tuple[str, Tensor]]) -> None:
        """Follow these parameters too, where they are trained and not followed already."""
        for name, parameter in parameters:
            if parameter.requires_grad and id(parameter) not in self._known:
                self._known[id(parameter)] = held = _Accumulated(parameter, name)
                self._handles.append(parameter.register_post_accumulate_grad_hook(self._hook(held)))

    def adopt_from(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Follow the parameters of optimisers, also those that are not the model's."""
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                self.adopt((f"parameter {index} of the optimizer", p) for index, p in enumerate(group["params"]))

    def _hook(self, held: _Accumulated) -> Callable[[Tensor], None]:
        def accumulated(parameter: Tensor) -> None:
            gradient = parameter.grad
            if gradient is None:
                return
            held.passes += 1
            self.fed = True
            held.version = id(gradient), gradient._version
            held.measured = whole_gradient.measured([_dense(gradient)]) if self.by_hand else None
            held.sizes = _sizes([_dense(gradient)]) if self.by_hand and self.sized else None

        return accumulated

    def names(self) -> Mapping[int, str]:
        """The parameters' names by ``id``."""
        return {key: held.name for key, held in self._known.items()}

    def followed(self) -> list[Tensor]:
        """All parameters that are followed."""
        return [held.parameter for held in self._known.values()]

    @property
    def passes(self) -> int:
        """How many backward passes added to some parameter since the last training step."""
        return max((held.passes for held in self._known.values()), default=0)

    def changed(self, parameters: Sequence[Tensor]) -> bool:
        """Whether a gradient is not as the last backward pass left it."""
        for parameter in parameters:
            held, gradient = self._known.get(id(parameter)), parameter.grad
            if held is None or gradient is None or not held.passes:
                continue
            if held.version != (id(gradient), gradient._version):
                return True
        return False

    def step(
        self,
        parameters: Sequence[Tensor],
        rule: tuple[str, float] | None,
        scale: float,
        changed: bool,
        *,
        by_hand: bool = False,
        keep_broken: bool = False,
    ) -> Clipped:
        """Clip by ``rule`` (None: nothing is clipped here, what was done by hand stands) and say what was there before.

        ``scale``: what the loss had been multiplied by when the gradients were accumulated. ``changed``: whether they
        are no more as they were then. ``by_hand``: whether the person will go on clipping by themselves.
        ``keep_broken``: a gradient that is not finite is left as it is, for a scaler to find.
        """
        values = [_in_place(parameter) for parameter in parameters if parameter.grad is not None]
        now = whole_gradient.measured(values)
        if rule is not None:
            kept = keep_broken and not math.isfinite(now.norm)
            found = whole_gradient.clip(values, *(("none", math.inf) if kept else rule), before=now)
        else:
            before = self._before(parameters, scale) if changed else None
            pre = now if before is None else before
            found = Clipped(pre.norm, now.norm, pre.nan_count, pre.inf_count, pre.zero_count)
        self.by_hand = by_hand or (changed and rule is None)
        unstored = sum(p.grad.numel() for p in parameters if p.grad is not None) - sum(v.numel() for v in values)
        return replace(found, zero_count=found.zero_count + unstored)  # what a sparse gradient does not store is 0

    def sizes(self, parameters: Sequence[Tensor], scale: float, *, by_hand: bool) -> Array:
        """The sizes of the gradient's entries before clipping (see ``measures.entry_sizes``); ``NOT_MEASURED`` where
        they are not asked for, or the person has clipped already and they were not taken before."""
        if not self.sized:
            return NOT_MEASURED
        if not by_hand:
            return _sizes([_dense(p.grad) for p in parameters if p.grad is not None])
        parts = [held.sizes for p in parameters if (held := self._known.get(id(p))) is not None and held.passes]
        known = [part for part in parts if part is not None]
        return np.sum(known, axis=0) if known and len(known) == len(parts) and scale == 1.0 else NOT_MEASURED

    def _before(self, parameters: Sequence[Tensor], scale: float) -> Measured | None:
        """The gradient as it was accumulated; None where it was not measured then."""
        parts = [held.measured for p in parameters if (held := self._known.get(id(p))) is not None and held.passes]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return None
        norms = [part.norm for part in known]
        norm = math.nan if any(map(math.isnan, norms)) else math.hypot(*norms)
        return Measured(
            norm / scale,
            sum(part.nan_count for part in known),
            sum(part.inf_count for part in known),
            sum(part.zero_count for part in known),
        )

    def forget(self) -> None:
        """A training step is over."""
        for held in self._known.values():
            held.passes, held.measured, held.sizes = 0, None, None

    def broken_gradient(self, parameters: Sequence[Tensor]) -> tuple[str, Tensor] | None:
        """The first of the parameters whose gradient holds a nan or an infinity, and that gradient."""
        return self._first((p, _dense(p.grad)) for p in parameters if p.grad is not None)

    def broken_parameter(self) -> tuple[str, Tensor] | None:
        """The first parameter that holds a nan or an infinity, and its values."""
        return self._first((p, p.detach()) for p in self.followed())

    def _first(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[str, Tensor] | None:
        found = list(pairs)
        # Where a sum is finite so is every part of it; where it is not, it may only have overflowed.
        sums = whole_gradient.together([values.sum() for _, values in found])
        for (parameter, values), total in zip(found, sums, strict=True):
            if not (math.isfinite(total) or bool(values.isfinite().all())):
                return self._known[id(parameter)].name if id(parameter) in self._known else "a parameter", values
        return None

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def trained_by(optimizers: Sequence[torch.optim.Optimizer]) -> list[Tensor]:
    """The parameters that the optimisers update, each once."""
    found = {id(p): p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    return list(found.values())


def _sizes(gradients: Sequence[Tensor]) -> Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and then nothing is measured
        parts = [entry_sizes(part.float().cpu().numpy()) for part in gradients]
    return np.sum(parts, axis=0) if parts else NOT_MEASURED


def _dense(gradient: Tensor) -> Tensor:
    """What a gradient holds, as a dense tensor: of a sparse one the values that it has (the others are 0)."""
    gradient = gradient.detach()
    return gradient.coalesce()._values() if gradient.layout == torch.sparse_coo else gradient


def _in_place(parameter: Tensor) -> Tensor:
    """As ``_dense``, and what is done to it is done to the parameter's gradient."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.layout == torch.sparse_coo and not gradient.is_coalesced():
        parameter.grad = gradient = gradient.coalesce()
    return gradient.detach() if gradient.layout != torch.sparse_coo else gradient._values()
