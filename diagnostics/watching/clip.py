"""The parameters' gradients of a training step that somebody else wrote: measured as accumulated, and clipped.

Two hooks' worth of knowledge on every parameter: how often a backward pass added to its ``.grad`` since the last
training step (accumulation), and whether anybody changed the gradient since (a person who clips by hand, or has the
loss scale taken out of it). From the first training step on which somebody did, the gradient is measured as soon as it
has been accumulated, so that what it was before is known; of that first one alone it is not.

The same hooks know what a training loop should not do: update without ``w.step``, and go on without ``zero_grad``.
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

UNSEEN_UPDATES = 256
"""So many updates that nobody told us of are no accident; an LBFGS step may make a hundred, a GAN's other half some."""
UNSEEN_PASSES = 1024
"""Nobody accumulates more backward passes than this for one update."""


@dataclass
class _Accumulated:
    """One parameter since the last training step."""

    parameter: Tensor
    name: str
    since: int = 0
    """How many backward passes added to its gradient since the last training step."""
    passes: int = 0
    """How many of them are in the gradient: who zeroes it in between begins anew."""
    version: tuple[int, int] = (0, 0)
    """Which tensor ``.grad`` was, and how often it had been changed, when the last backward pass had added to it."""
    measured: Measured | None = None
    sizes: Array | None = None
    of_update: int = 0
    """How often the parameter had been changed when the last backward pass had added to its gradient."""
    left: tuple[int, int] | None = None
    """``version`` when the last training step was over."""
    kept: bool = False
    """Whether the first backward pass since then added to what was left."""


class Gradients:
    """The gradients of a model's parameters; ``close`` takes the hooks off again.

    ``unseen`` is called, within a backward pass, where the parameters have been updated ``UNSEEN_UPDATES`` times since
    the last training step that we were told of.
    """

    def __init__(self, model: nn.Module) -> None:
        self.unseen: Callable[[], None] = lambda: None
        self.by_hand = False
        """Whether somebody has ever changed a gradient between the backward pass and us."""
        self._at_once = True
        """Whether gradients are measured as soon as they are accumulated; at first too, for somebody might change
        them."""
        self._now: Measured | None = None
        """What ``measure`` found."""
        self._gone = False
        self._round = self._moved = self._updates = 0
        self.sized = False
        """Whether the sizes of the entries are asked for at this training step."""
        self.fed = False
        """Whether a backward pass was ever seen; who assigns ``.grad`` has none."""
        self._known: dict[int, _Accumulated] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self.adopt(model.named_parameters())

    def adopt(self, parameters: Iterable[tuple[str, Tensor]]) -> bool:
        """Follow these parameters too, where they are trained and not followed already; whether one of them has a
        gradient, of a backward pass that nobody counted."""
        fed = False
        for name, parameter in parameters:
            if parameter.requires_grad and id(parameter) not in self._known:
                self._known[id(parameter)] = held = _Accumulated(parameter, name)
                self._handles.append(parameter.register_post_accumulate_grad_hook(self._hook(held)))
                fed = fed or parameter.grad is not None
        return fed

    def adopt_from(self, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
        """Follow the parameters of optimisers, also those that are not the model's; see ``adopt``."""
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        fed = False
        for group in groups:
            named = ((f"parameter {index} of the optimizer", p) for index, p in enumerate(group["params"]))
            fed = self.adopt(named) or fed
        return fed

    def _hook(self, held: _Accumulated) -> Callable[[Tensor], None]:
        def accumulated(parameter: Tensor) -> None:
            gradient = parameter.grad
            if gradient is None:
                return
            now = id(gradient), gradient._version
            if held.since:
                self._look_for_update(held.since, changed=parameter._version != held.of_update)
            before = held.version if held.since else held.left
            added = before is not None and now == (before[0], before[1] + 1)
            held.kept = added and (held.kept or not held.since)
            held.passes = held.passes + 1 if added else 1
            held.since += 1
            self.fed = True
            held.of_update = parameter._version
            held.version = now
            at_once = self._at_once or self.sized
            held.measured = whole_gradient.measured([dense(gradient)]) if at_once else None
            held.sizes = _sizes([dense(gradient)]) if self._at_once and self.sized else None

        return accumulated

    def _look_for_update(self, passes: int, *, changed: bool) -> None:
        """Between two backward passes somebody has updated the parameters where every one of them has changed; a
        loop that nothing can be seen of (``.data`` is written) makes too many passes."""
        if passes != self._round:
            self._round, self._moved = passes, 0
        self._moved += changed
        if changed and self._moved >= sum(1 for held in self._known.values() if held.since):
            self._moved, self._updates = 0, self._updates + 1
            if self._updates == UNSEEN_UPDATES:
                self.unseen()
        elif passes == UNSEEN_PASSES and not self._updates:
            self._updates = UNSEEN_UPDATES
            self.unseen()

    def not_zeroed(self, parameters: Sequence[Tensor]) -> bool:
        """Whether these parameters' gradients of the training step before were still there, and all were added to."""
        fed = [held for p in parameters if (held := self._known.get(id(p))) is not None and held.since]
        return bool(fed) and all(held.kept for held in fed)

    def measure(self, parameters: Sequence[Tensor]) -> bool:
        """Measure the gradient as a training step ends, which is what ``step`` and ``forget`` go by.

        Returns whether backward passes left gradients and none of them is there any more: zeroed, as after an update.
        """
        self._now = now = whole_gradient.measured(_values(parameters))
        self._gone = now.norm == 0 and self._are_gone()  # where there is something, nobody has zeroed it all
        return self._gone

    def _are_gone(self) -> bool:
        fed = [held for held in self._known.values() if held.since]
        left = [grad for held in fed if (grad := held.parameter.grad) is not None]
        if any(bool(dense(grad).any()) for grad in left):  # one look, in most cases
            return False
        if any(bool(dense(grad).signbit().any()) for grad in left):  # what clipping has erased holds −0 too
            return False
        return bool(fed) and (not left or any(held.measured is not None and held.measured.norm > 0 for held in fed))

    def names(self) -> Mapping[int, str]:
        """The parameters' names by ``id``."""
        return {key: held.name for key, held in self._known.items()}

    def followed(self) -> list[Tensor]:
        """All parameters that are followed."""
        return [held.parameter for held in self._known.values()]

    @property
    def passes(self) -> int:
        """How many backward passes are in the gradient of some parameter."""
        return max((held.passes for held in self._known.values()), default=0)

    def changed(self, parameters: Sequence[Tensor]) -> bool:
        """Whether a gradient is not as the last backward pass left it."""
        for parameter in parameters:
            held, gradient = self._known.get(id(parameter)), parameter.grad
            if held is None or not held.since:
                continue
            if gradient is None or held.version != (id(gradient), gradient._version):
                return True
            # Who writes into .grad.data leaves no trace but the numbers.
            if held.measured is not None and _differ(held.measured.norm, whole_gradient.norm_of([dense(gradient)])):
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
        """Clip by ``rule`` (None: nothing is clipped here, what was done by hand stands) and say what was there before
        what ``measure`` has found.

        ``scale``: what the loss had been multiplied by when the gradients were accumulated. ``changed``: whether they
        are no more as they were then. ``by_hand``: whether the person will go on clipping by themselves.
        ``keep_broken``: a gradient that is not finite is left as it is, for a scaler to find. The norm before is nan
        where it was changed before it was measured, and both are where the gradient is gone.
        """
        values, now = _values(parameters), self._now
        if now is None:
            raise RuntimeError("step was called before measure")
        if rule is not None:
            kept = keep_broken and not math.isfinite(now.norm)
            found = whole_gradient.clip(values, *(("none", math.inf) if kept else rule), before=now)
        else:
            pre = now
            if changed:
                pre = self._before(parameters, scale) or replace(now, norm=math.nan)
            if self._gone:
                pre = now = replace(now, norm=math.nan)
            found = Clipped(pre.norm, now.norm, pre.nan_count, pre.inf_count, pre.zero_count)
        # Who has clipped once may do so again, also where it is not at every step.
        self.by_hand = self._at_once = self.by_hand or by_hand or (changed and rule is None)
        whole = sum(p.grad.numel() * (1 + p.grad.is_complex()) for p in parameters if p.grad is not None)
        unstored = whole - sum(part.numel() for part in values)
        return replace(found, zero_count=found.zero_count + unstored)  # what a sparse gradient does not store is 0

    def sizes(self, parameters: Sequence[Tensor], scale: float, *, by_hand: bool) -> Array:
        """The sizes of the gradient's entries before clipping (see ``measures.entry_sizes``); ``NOT_MEASURED`` where
        they are not asked for, or the person has clipped already and they were not taken before."""
        if not self.sized:
            return NOT_MEASURED
        if not by_hand:
            return _sizes([dense(p.grad) for p in parameters if p.grad is not None])
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
        zeroed, self._gone, self._now = self._gone, False, None
        self._round = self._moved = self._updates = 0
        for held in self._known.values():
            gradient = held.parameter.grad
            held.left = None if gradient is None or zeroed else (id(gradient), gradient._version)
            held.since, held.passes, held.measured, held.sizes, held.kept = 0, 0, None, None, False

    def broken_gradient(self, parameters: Sequence[Tensor]) -> tuple[str, Tensor] | None:
        """The first of the parameters whose gradient holds a nan or an infinity, and that gradient."""
        return self._first((p, dense(p.grad)) for p in parameters if p.grad is not None)

    def broken_parameter(self) -> tuple[str, Tensor] | None:
        """The first parameter that holds a nan or an infinity, and its values."""
        return self._first((p, _real(p.detach())) for p in self.followed())

    def _first(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[str, Tensor] | None:
        found = list(pairs)
        if whole_gradient.surely_finite([values for _, values in found]):
            return None
        for parameter, values in found:
            if not bool(values.isfinite().all()):
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


def _values(parameters: Sequence[Tensor]) -> list[Tensor]:
    """What the parameters' gradients hold; what is done to it is done to them."""
    return [_in_place(parameter) for parameter in parameters if parameter.grad is not None]


def _sizes(gradients: Sequence[Tensor]) -> Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and then nothing is measured
        parts = [entry_sizes(part.float().cpu().numpy()) for part in gradients]
    return np.sum(parts, axis=0) if parts else NOT_MEASURED


def _differ(one: float, other: float) -> bool:
    return one != other and not (math.isnan(one) and math.isnan(other))


def dense(gradient: Tensor) -> Tensor:
    """What a gradient holds, as a dense tensor of real numbers: of a sparse one the values that it has (the others are
    0), of a complex one the real and imaginary parts."""
    gradient = gradient.detach()
    return _real(gradient.coalesce()._values() if gradient.layout == torch.sparse_coo else gradient)


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values


def _in_place(parameter: Tensor) -> Tensor:
    """As ``dense``, and what is done to it is done to the parameter's gradient."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.layout == torch.sparse_coo and not gradient.is_coalesced():
        parameter.grad = gradient = gradient.coalesce()
    if gradient.is_conj():  # else what is written would be written into a copy
        parameter.grad = gradient = gradient.resolve_conj()
    return _real(gradient.detach() if gradient.layout != torch.sparse_coo else gradient._values())
