"""What the callbacks share: a watch that somebody else's training loop opens, feeds and closes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from diagnostics.watching.session import Watch, watch

Forward = Callable[[Watch, int], object]
"""Called with the watch and the trainer's step, e.g. ``lambda w, step: tensorboard.forward(w, writer, step)``."""


class Attached:
    """A watch for one training after another; ``watch`` is that of the newest, also after it has ended."""

    def __init__(self, forward: Forward | None, options: dict[str, Any]) -> None:
        watch(nn.Identity(), **options)  # a wrong option is said here, and not when training begins
        if forward is not None and not callable(forward):
            raise ValueError(f"forward must be a function of a watch and a training step, but got {forward!r}")
        self._forward, self._options = forward, options
        self._watch: Watch | None = None
        self.running = False

    @property
    def watch(self) -> Watch:
        """The watch. Raises ``RuntimeError`` before training has begun."""
        if self._watch is None:
            raise RuntimeError("GradReach.watch is there once training has begun")
        return self._watch

    def open(self, model: nn.Module) -> None:
        """Begin to watch ``model``."""
        self.close()
        self._watch = watch(model, **self._options)
        self._watch.__enter__()
        self.running = True

    def step(self, rule: str | None, *, loss: Tensor | float | None, scale: float) -> None:
        """The gradients are as the optimiser will see them; the arguments as of ``Watch.clipped``."""
        self.watch.clipped(rule, loss=loss, scale=scale)

    def send(self, step: int) -> None:
        """Hand the watch to the person's ``forward``; what it raises is a warning, and the last that is asked of it."""
        if self._forward is None or self._watch is None:
            return
        try:
            self._forward(self._watch, step)
        except Exception as error:
            self._forward = None
            warnings.warn(
                f"forward raised {type(error).__name__} and is not called again, training goes on: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def close(self, error: BaseException | None = None) -> None:
        """End the watch, with what training ended with; the model is as before. May be called twice."""
        if self.running and self._watch is not None:
            self.running = False
            trace = None if error is None else error.__traceback__
            self._watch.__exit__(None if error is None else type(error), error, trace)
