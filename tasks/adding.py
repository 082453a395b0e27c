"""Adding (Hochreiter and Schmidhuber 1997, in the form of Arjovsky, Shah and Bengio 2016).

Each step holds a number from U[0, 1] and a mark, 0 or 1. One step of each half is marked; the answer is the sum of the
two marked numbers. Always answering 1 gives the mean squared error var(U + U) = 1/6 (the .1767 in print is wrong), and
is within 0.1 of the sum with chance 1 − 0.9² = 0.19.
"""

from __future__ import annotations

import numpy as np

from tasks.base import Array, Batch, Ints, Task, Wiring

TOLERANCE = 0.1
"""An answer nearer than this to the sum counts as right."""


def overhead(gap: int) -> int:
    """T is the gap itself."""
    return gap


class Adding(Task):
    """Adding over T = ``gap`` steps, many-to-one. ``inputs`` float32 ``[T, B, 2]``: number, mark."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        super().__init__(
            name="adding",
            title="Adding",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=(),
            input_size=2,
            outputs=1,
            answer_steps=(length - 1,),
            informative=(0, length // 2),
            distance=length - 1,
            chance_loss=1 / 6,
            chance_success=1 - (1 - TOLERANCE) ** 2,
            loss="mse",
            loss_name="mean squared error",
            success_name=f"share within {TOLERANCE}",
        )

    def success(self, outputs: Array, batch: Batch) -> float:
        """Share of answers nearer than 0.1 to the sum; ``outputs`` ``[B, 1]``. A nan is wrong."""
        self._check_shape(outputs, batch)
        return float((np.abs(outputs[:, 0] - batch.targets) < TOLERANCE).mean())

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """The numbers to two places, with a ``+`` before the marked ones, and the sum."""
        values, marks = batch.inputs[:, index].T
        words = (f"+{value:.2f}" if mark else f"{value:.2f}" for value, mark in zip(values, marks, strict=True))
        return tuple(words), self._answer(batch, index)

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        half = self.length // 2
        first = rng.integers(half, size=size)
        return self._marked(rng, np.stack([first, rng.integers(half, self.length, size=size)], axis=1))

    def _farthest(self, rng: np.random.Generator) -> Batch:
        return self._marked(rng, np.array([[0, rng.integers(self.length // 2, self.length)]]))

    def _marked(self, rng: np.random.Generator, steps: Ints) -> Batch:
        """Samples whose marks stand at ``steps`` ``[B, 2]``."""
        size = len(steps)
        inputs = np.zeros((self.length, size, 2), dtype=np.float32)
        inputs[:, :, 0] = rng.random((self.length, size), dtype=np.float32)
        inputs[steps.T, np.arange(size), 1] = 1.0
        return Batch(inputs, (inputs[:, :, 0] * inputs[:, :, 1]).sum(axis=0), steps)

    def _answer(self, batch: Batch, index: int) -> str:
        return f"{batch.targets[index]:.2f}"
