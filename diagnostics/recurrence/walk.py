"""In which order a recurrence takes the timesteps, and which samples are still (or already) part of each.

Legend: T timesteps, B batch. Tensors over states, [T+1,B,·], have a row per state, one more than there are steps.
Walked forward, the state before step t is row t and that after it row t+1; in reverse it is the other way round, so
that neither direction copies or flips anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Walk:
    """``reverse``: from the last timestep to the first. ``sizes``: None where every sample is there at every step, or
    int64 [T], descending: at step t the samples 0…sizes[t]−1 are there, as in a ``PackedSequence`` of torch. A size may
    be 0, where even the longest sample is shorter than T.

    The state before a sample's first step and that after its last lie in the rows 0 and ``length``, in reverse in
    ``length`` and 0.
    """

    sizes: NDArray[np.int64] | None = None
    reverse: bool = False

    def block(self, steps: slice) -> Walk:
        """The same walk over consecutive timesteps of it alone."""
        return Walk(None if self.sizes is None else self.sizes[steps], self.reverse)

    @property
    def before(self) -> slice:
        """The rows of the states before each step: [T+1,·] → [T,·]."""
        return slice(1, None) if self.reverse else slice(-1)

    @property
    def after(self) -> slice:
        """The rows of the states after each step: [T+1,·] → [T,·]."""
        return slice(-1) if self.reverse else slice(1, None)

    def ordered(self, blocks: Sequence[slice]) -> Sequence[slice]:
        """Blocks of timesteps, given from first to last, as the walk comes to them."""
        return blocks[::-1] if self.reverse else blocks

    def stretches(self, blocks: Sequence[slice]) -> list[Stretch]:
        """The timesteps of blocks, given from first to last, as the walk comes to them, cut up where its size changes;
        without those where nobody is there."""
        sizes, stretches = self.sizes, []
        for block in blocks:
            if sizes is None:
                stretches.append(Stretch(block, None, self.reverse))
                continue
            cuts = block.start + 1 + np.flatnonzero(np.diff(sizes[block]))
            bounds = [block.start, *cuts.tolist(), block.stop]
            stretches += [
                Stretch(slice(start, stop), int(sizes[start]), self.reverse)
                for start, stop in pairwise(bounds)
                if sizes[start]
            ]
        return stretches[::-1] if self.reverse else stretches


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive timesteps S with the same samples: the first ``active`` ones, or all where it is None."""

    steps: slice
    active: int | None
    reverse: bool

    def of(self, rows: Tensor) -> Tensor:
        """What a tensor with a row per step holds of these: [T,B,·] → [S,active,·]."""
        return self._cut(rows, 0)

    def before(self, states: Tensor) -> Tensor:
        """The states before each of these steps: [T+1,B,·] → [S,active,·]."""
        return self._cut(states, int(self.reverse))

    def after(self, states: Tensor) -> Tensor:
        """The states after each of these steps: [T+1,B,·] → [S,active,·]."""
        return self._cut(states, int(not self.reverse))

    def _cut(self, rows: Tensor, offset: int) -> Tensor:
        rows = rows[self.steps.start + offset : self.steps.stop + offset]
        return rows if self.active is None else rows[:, : self.active]

    def onward(self, *rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of several sequences together, a row per step, as the walk comes to them."""
        return _together(rows, backwards=self.reverse)

    def back(self, *rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of several sequences together, a row per step, against the walk."""
        return _together(rows, backwards=not self.reverse)


def _together(rows: Sequence[Sequence[Any]], *, backwards: bool) -> Iterator[tuple[Any, ...]]:
    return zip(*(map(reversed, rows) if backwards else rows), strict=True)
