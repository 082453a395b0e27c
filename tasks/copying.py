"""Copy (the form of Arjovsky, Shah and Bengio 2016): ten symbols, a wait, a marker, and the ten symbols said again.

With their T = ``gap``: 10 symbols from 8; T − 1 blanks; one marker; 10 blanks. The answer is blank until the last 10
steps, then the symbols in order: symbol i, given at step i, is said at step T + 10 + i.
"""

from __future__ import annotations

import numpy as np

from tasks.base import CROSS_ENTROPY, Batch, Ints, Task, Wiring

SYMBOLS = 10
ALPHABET = tuple("ABCDEFGH")
BLANK, MARKER = "·", "▶"


def overhead(gap: int) -> int:
    """T of the whole sequence."""
    return gap + 2 * SYMBOLS


class Copy(Task):
    """Copy at one gap, many-to-many. ``outputs`` are the 8 symbols and the blank; the marker is never an answer."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        letters = len(ALPHABET)
        super().__init__(
            name="copy",
            title="Copy",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=(*ALPHABET, BLANK, MARKER),
            input_size=letters + 2,
            outputs=letters + 1,
            answer_steps=tuple(range(length - SYMBOLS, length)),
            informative=tuple(range(SYMBOLS)),
            distance=gap + SYMBOLS,
            # Blank with certainty while it is due, then each of the 8 equally likely: 10 ln 8 / (T + 20).
            chance_loss=SYMBOLS * float(np.log(letters)) / length,
            chance_success=1 / letters,
            loss_name=f"{CROSS_ENTROPY}, mean over all steps",
            success_name="symbols recalled",
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        blank = len(ALPHABET)
        symbols = rng.integers(blank, size=(SYMBOLS, size))
        inputs = np.full((self.length, size), blank, dtype=np.int64)
        targets = inputs.copy()
        inputs[:SYMBOLS] = symbols
        inputs[-SYMBOLS - 1] = blank + 1
        targets[-SYMBOLS:] = symbols
        return Batch(inputs, targets, np.tile(np.arange(SYMBOLS), (size, 1)))

    def _answer(self, batch: Batch, index: int) -> str:
        said: Ints = batch.targets[-SYMBOLS:, index]
        return " ".join(ALPHABET[symbol] for symbol in said)

    def _needed_last(self, batch: Batch) -> tuple[int, ...]:
        return (int(batch.informative_steps[0, -1]),)
