"""Numbers that are not finite in a watched training: where the first stands, and whether training has diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from diagnostics.measures.whole_gradient import Clipped
from diagnostics.watching.clip import Gradients
from diagnostics.watching.events import Events, broken_in, broken_tensor
from diagnostics.watching.passing import Pass


class Trouble:
    """Looks at the training steps of one training; ``diverged`` says how it diverged, "" while it has not."""

    def __init__(self, events: Events, gradients: Gradients) -> None:
        self._events, self._gradients = events, gradients
        self._unseen: int | None = None
        self.diverged = ""

    def after_backward(
        self, step: int, passes: Sequence[Pass], loss: float | None, broken: tuple[str, Tensor] | None
    ) -> None:
        """``loss``: None where it is not known; ``broken``: a parameter whose gradient is not finite, and that."""
        lost = loss is not None and not math.isfinite(loss)
        if (not lost and broken is None) or (self._events.said("non_finite") and self.diverged):
            return
        found, part, layers = None, "", 1
        if (where := broken_in(passes)) is not None:
            found, part, layers = where[0], where[1].group, len(where[1].layers)
        elif broken is not None:
            found = broken_tensor(f"the gradient of {broken[0]}", broken[1])
        said = "" if loss is None else f"the loss is {loss:g}"
        words = self._events.non_finite(step, found, part, layers, said)
        if lost and not self.diverged:
            self.diverged = f"diverged at step {step}: {said}" + (f"; {words}" if found else "")

    def how_it_ended(self, error: BaseException | None, steps: int) -> tuple[str, str]:
        """The state and the detail of a training whose block was left with ``error`` after so many steps."""
        if isinstance(error, Exception):
            return "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"[:500].removesuffix(": ")
        if self.diverged:
            return "diverged", self.diverged
        if error is not None:
            return "stopped", f"stopped at step {steps} by {type(error).__name__}"
        return "finished", ""

    def skipped(self, step: int, clipped: Clipped, scale: float) -> None:
        """The loss scale made the gradient overflow, which is no divergence."""
        held = clipped.nan_count + clipped.inf_count
        entries = "entry" if held == 1 else "entries"
        self._events.say(
            "step_skipped",
            step,
            f"Training step {step}: at a loss scale of {scale:g} the gradient overflowed in {held} {entries}, so the "
            "scaler makes no update; its profile is not recorded.",
        )

    def update_follows(self, step: int) -> None:
        """The parameters are about to be changed."""
        self._unseen = step

    def after_update(self) -> bool:
        """Look at the parameters once after each update; whether it has left some that are not finite."""
        step, self._unseen = self._unseen, None
        broken = None if step is None else self._gradients.broken_parameter()
        if step is None or broken is None:
            return False
        name = broken[0]
        words = self._events.non_finite(step, broken_tensor(f"{name} after the update", broken[1]), "", 1, "")
        self.diverged = self.diverged or f"diverged at step {step}: the update left {name} not finite; {words}"
        return True
