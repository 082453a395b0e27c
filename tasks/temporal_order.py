"""Temporal order (Hochreiter and Schmidhuber 1997, in the form of Pascanu, Mikolov and Bengio 2013).

One of 6 symbols at each of the L steps: distractors a, b, c, d everywhere but at two (or three) steps, which hold X or
Y. Their order is the class: 4 (or 8), told at the end. The relevant steps are uniform in [.1, .2) L and [.5, .6) L, or
for three in [.1, .2) L, [.3, .4) L and [.6, .7) L.
"""

from __future__ import annotations

import numpy as np

from tasks.base import Batch, Ints, Task, Wiring

RELEVANT = ("X", "Y")
DISTRACTORS = ("a", "b", "c", "d")
TENTHS = {2: (1, 5), 3: (1, 3, 6)}
"""Where the window of each relevant step begins, in tenths of L; each window is a tenth long."""


def overhead(gap: int) -> int:
    """L is the gap itself."""
    return gap


class TemporalOrder(Task):
    """Temporal order over L = ``gap`` steps with ``bits`` 2 or 3, many-to-one. L ≥ 10, so that no window is empty."""

    def __init__(self, bits: int, gap: int, length: int, wiring: Wiring) -> None:
        classes = len(RELEVANT) ** bits
        self._windows = [_window(tenth, length) for tenth in TENTHS[bits]]
        earliest = tuple(begin for begin, _ in self._windows)
        super().__init__(
            name="temporal_order" if bits == 2 else f"temporal_order_{bits}",
            title=f"Temporal order, {bits} symbols",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=(*RELEVANT, *DISTRACTORS),
            input_size=len(RELEVANT) + len(DISTRACTORS),
            outputs=classes,
            answer_steps=(length - 1,),
            informative=earliest,
            distance=length - 1 - earliest[0],
            chance_loss=float(np.log(classes)),
            chance_success=1 / classes,
        )
        self.bits = bits

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self._at(rng, np.stack([rng.integers(*window, size=size) for window in self._windows], axis=1))

    def _farthest(self, rng: np.random.Generator) -> Batch:
        return self._at(rng, np.array([self.informative], dtype=np.int64))

    def _at(self, rng: np.random.Generator, steps: Ints) -> Batch:
        """Samples whose relevant symbols stand at ``steps`` ``[B, bits]``; the first symbol is the class's high bit."""
        size = len(steps)
        inputs = rng.integers(len(RELEVANT), len(self.vocabulary), size=(self.length, size))
        symbols = rng.integers(len(RELEVANT), size=(size, self.bits))
        inputs[steps, np.arange(size)[:, None]] = symbols
        return Batch(inputs, symbols @ (1 << np.arange(self.bits)[::-1]), steps)

    def _answer(self, batch: Batch, index: int) -> str:
        code = int(batch.targets[index])
        return " then ".join(RELEVANT[code >> bit & 1] for bit in reversed(range(self.bits)))


def _window(tenth: int, length: int) -> tuple[int, int]:
    """The whole steps in [tenth · L / 10, (tenth + 1) · L / 10), as a half-open range; exact, without floats."""
    return -(-tenth * length // 10), -(-(tenth + 1) * length // 10)


def build_two(gap: int, length: int, wiring: Wiring) -> TemporalOrder:
    """The 2-bit form: 4 classes."""
    return TemporalOrder(2, gap, length, wiring)


def build_three(gap: int, length: int, wiring: Wiring) -> TemporalOrder:
    """The 3-bit form: 8 classes."""
    return TemporalOrder(3, gap, length, wiring)
