"""Delayed recall (the random permutation problem in the form of Martens and Sutskever 2011).

100 symbols. The first step holds 0 or 1 and must be said at the end; the ``gap`` steps after it hold distractors, each
drawn from the other 98. Many-to-many, a blank is due at every step before the last.
"""

from __future__ import annotations

import numpy as np

from tasks.base import CROSS_ENTROPY, Batch, Task, Wiring

SYMBOLS = 100
ANSWERS = 2
BLANK = "·"


def overhead(gap: int) -> int:
    """The remembered symbol and ``gap`` distractors."""
    return gap + 1


class DelayedRecall(Task):
    """Delayed recall at one gap. ``outputs``: 0 and 1; many-to-many also the blank, as class 2."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        many = wiring == "many-to-many"
        super().__init__(
            name="delayed_recall",
            title="Delayed recall",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=tuple(str(symbol) for symbol in range(SYMBOLS)),
            input_size=SYMBOLS,
            outputs=ANSWERS + many,
            answer_steps=(length - 1,),
            informative=(0,),
            distance=gap,
            # Knowing when to answer but not what, as for copy: ln 2 at one step of T, 0 at the others.
            chance_loss=float(np.log(ANSWERS)) / (length if many else 1),
            chance_success=1 / ANSWERS,
            loss_name=f"{CROSS_ENTROPY}, mean over all steps" if many else CROSS_ENTROPY,
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        inputs = rng.integers(ANSWERS, SYMBOLS, size=(self.length, size))
        inputs[0] = rng.integers(ANSWERS, size=size)
        targets = inputs[0].copy()
        if self.wiring == "many-to-many":
            targets = np.full((self.length, size), ANSWERS, dtype=np.int64)
            targets[-1] = inputs[0]
        return Batch(inputs, targets, np.zeros((size, 1), dtype=np.int64))

    def _answer(self, batch: Batch, index: int) -> str:
        return self.vocabulary[int(batch.inputs[0, index])]
