"""Ctrl-C while runs are waited for: heard at once, acted on between two looks at the store."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Self

_HEARD_S = 0.1
"""How long a Ctrl-C waits for an answer at most, while nothing else is done."""


class CtrlC:
    """As a context, it remembers that Ctrl-C was pressed and breaks nothing off by it.

    A ``KeyboardInterrupt`` comes between any two lines: in the middle of a look at the store, whose lock it would
    leave taken for as long as somebody handles it, or in the middle of stopping the runs. Only after ``let_go`` does
    the next Ctrl-C raise it. Of the main thread alone, as ``signal.signal`` is.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._let_go = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        if self._let_go:
            raise KeyboardInterrupt
        self.pressed = True

    def let_go(self) -> None:
        """What Ctrl-C asks for is done: the next one leaves at once."""
        self._let_go = True

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until Ctrl-C is pressed for the first time."""
        until_s = time.monotonic() + seconds
        while not (self.pressed and not self._let_go) and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _HEARD_S))
