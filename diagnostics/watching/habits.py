"""What a training loop does that it hardly means to do: said once each, and never in the way of training."""

from __future__ import annotations

import warnings
from collections.abc import Callable

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

    def step(self, *, backward: bool, gradients: Gradients) -> None:
        """A training step ends; ``backward``: whether there was a backward pass in it, as far as it is known."""
        if not backward:
            self._say(
                "again",
                "A training step ended without a backward pass: its gradient is what the step before it left, or none.",
            )
        if gradients.not_zeroed:
            self._say(
                "not zeroed",
                "The gradients of a training step were still there when the next backward pass added to them: call "
                "optimizer.zero_grad() in every step, unless they are meant to add up.",
            )
        if gradients.taken_away:
            self._say(
                "taken away",
                "A training step ended after optimizer.zero_grad(), which takes the gradients away: call w.step or "
                "w.clipped before it.",
            )

    def rule(self, by_hand: str, *, changed: bool) -> str:
        """The rule that a step without ``clip=`` was clipped by: ``by_hand`` is what ``watch(clip=…)`` was told, ""
        for nothing; ``changed``: whether anybody has touched the gradient since the backward pass."""
        if not by_hand or by_hand == "none" or changed:
            return by_hand
        self._say(
            "not clipped",
            f'watch(clip="{by_hand}") says that the gradients are clipped by hand, but w.step found them as the '
            f'backward pass had left them: give w.step(optimizer, clip="{by_hand}"), or clip before it.',
        )
        return "none"

    def _say(self, what: str, sentence: str) -> None:
        if what not in self._said:
            self._said[what] = sentence
            warnings.warn(sentence, RuntimeWarning, stacklevel=4)
