"""What a training loop does that it hardly means to do: said once each, and never in the way of training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

from torch import Tensor

from diagnostics.measures import whole_gradient
from diagnostics.measures.clipping import parse_rule
from diagnostics.watching import clip
from diagnostics.watching.clip import Gradients


class Habits:
    """Looks at one training loop; ``remarks`` is what was said."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    @property
    def remarks(self) -> list[str]:
        """All of it, a sentence each."""
        return list(self._said.values())

    def update_unseen(self, drop: Callable[[], None]) -> None:
        """Updates have been made, and neither ``w.step`` nor ``w.clipped`` was called: ``drop`` what was recorded."""
        drop()
        self._say(
            "unseen",
            f"{clip.UNSEEN_UPDATES} updates have been made without a word to the watch, so nothing is recorded: call "
            "w.step(optimizer) in place of optimizer.step(), or w.clipped() before it.",
        )

    def never_stepped(self) -> None:
        """The block is left, there have been backward passes, and neither ``w.step`` nor ``w.clipped`` was called."""
        if "unseen" not in self._said:
            self._say(
                "unseen",
                "Nothing was recorded, because neither w.step nor w.clipped was called: call w.step(optimizer) in "
                "place of optimizer.step(), or w.clipped() before it.",
            )

    def step(
        self, gradients: Gradients, parameters: Sequence[Tensor], *, backward: bool, gone: bool, joins: bool = False
    ) -> None:
        """A training step of the ``parameters`` ends.

        ``backward``: whether there was a backward pass in it, as far as it is known; ``gone``: whether its gradients
        have been taken away; ``joins``: whether it only adds another optimiser to the one before.
        """
        if joins:
            self._say(
                "joins",
                "w.step was called with another optimizer and no backward pass between: its update is made, and is "
                "part of the training step before, whose norms are of the first optimizer's parameters alone. For "
                "those of all, give them at once: w.step([one, other]).",
            )
            return
        if not backward:
            self._say(
                "again",
                "A training step ended without a backward pass: its gradient is what the step before it left, or none.",
            )
        if gradients.not_zeroed(parameters):
            self._say(
                "not zeroed",
                "The gradients of a training step were still there when the next backward pass added to them: call "
                "optimizer.zero_grad() in every step, unless they are meant to add up.",
            )
        if gone:
            self._say(
                "taken away",
                "A training step ended after optimizer.zero_grad(), which takes the gradients away: call w.step or "
                "w.clipped before it.",
            )

    def rule(self, by_hand: str, parameters: Sequence[Tensor], *, changed: bool) -> str:
        """The rule that a step without ``clip=`` was clipped by: ``by_hand`` is what ``watch(clip=…)`` was told, ""
        for nothing; ``changed``: whether anybody has touched the gradient since the backward pass, which who clips need
        not do where it is short."""
        kind, threshold = parse_rule(by_hand) if by_hand else ("none", math.inf)
        if kind == "none" or changed or not _exceeds(kind, threshold, parameters):
            return by_hand
        self._say(
            "not clipped",
            f'watch(clip="{by_hand}") says that the gradients are clipped by hand, but w.step found them as the '
            f'backward pass had left them: give w.step(optimizer, clip="{by_hand}"), or clip before '
            "it and after backward().",
        )
        return "none"

    def _say(self, what: str, sentence: str) -> None:
        if what not in self._said:
            self._said[what] = sentence
            warnings.warn(sentence, RuntimeWarning, stacklevel=4)


def _exceeds(kind: str, threshold: float, parameters: Sequence[Tensor]) -> bool:
    """Whether clipping by this rule would visibly have changed the gradient."""
    gradients = [clip.dense(p.grad) for p in parameters if p.grad is not None and not p.grad.is_sparse]
    if kind == "norm":
        return whole_gradient.norm_of(gradients) > 1.001 * threshold if gradients else False
    return any(float(gradient.abs().max()) > threshold for gradient in gradients if gradient.numel())
