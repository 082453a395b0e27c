"""New text from a trained network: sample one word (or character), feed it back, again and again. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import inference
from models.inference import Array, Weights


@dataclass(frozen=True)
class Generated:
    """``words`` [N] that were sampled, and ``probabilities`` [N,V] that each was sampled from.

    ``stopped`` says that the network's answer was not a finite number, so that nothing more could be sampled.
    """

    words: Array
    probabilities: Array
    stopped: bool


def generate(
    cell: str, weights: Weights, prefix: Sequence[int], count: int, *, temperature: float = 1.0, seed: int = 0
) -> Generated:
    """Sample ``count`` words after ``prefix``, which the network reads first, from the zero state.

    The same arguments give the same words. Raises ``ValueError`` where the prefix is empty, ``count`` is negative or
    the temperature is not above 0.
    """
    if not prefix:
        raise ValueError("prefix must have at least one word, but got none")
    if count < 0:
        raise ValueError(f"count must be at least 0, but got {count}")
    rng = np.random.default_rng(seed)
    words: list[int] = []
    rows: list[Array] = []
    state, reading = None, np.asarray(prefix)[:, None]
    for _ in range(count):
        h, state = inference.run(cell, weights, inference.entered(weights, reading), state)
        row = inference.softmax(inference.scores(weights, h[-1, 0]), temperature)
        if not np.isfinite(row).all():
            return Generated(*_gathered(words, rows, weights), stopped=True)
        words.append(chosen(row, float(rng.random())))
        rows.append(row)
        reading = np.array([[words[-1]]])
    return Generated(*_gathered(words, rows, weights), stopped=False)


def chosen(probabilities: Array, at: float) -> int:
    """The word that the number ``at``, from 0 to below 1, falls on when the probabilities [V] are laid end to end."""
    ends = np.cumsum(probabilities)
    return min(int(np.searchsorted(ends, at * ends[-1], side="right")), len(ends) - 1)


def _gathered(words: list[int], rows: list[Array], weights: Weights) -> tuple[Array, Array]:
    empty = np.zeros((0, len(weights["head.bias"])))
    return np.array(words, dtype=np.int64), np.stack(rows) if rows else empty
