"""One recurrent part over a training: how many timesteps its profile has, and what its passes were besides.

Batches differ in length. The first passes say by how much: until ``SETTLED`` of them have been seen, their rows are
kept whole, and then the profile gets the most timesteps that at least half of them have. Before that it has those of
the very first, so that something can be seen at once.
"""

from __future__ import annotations

import math
from typing import Any

from diagnostics.records import Array
from diagnostics.watching import coverage
from diagnostics.watching.passing import Pass
from diagnostics.watching.rows import Rows

SETTLED = 10
"""After so many passes the number of timesteps stands."""
LONGER = 10
"""So many passes that are longer than all of those were worth a warning."""


class Part:
    """The rows of one group's passes. ``timesteps``: how many the person asked for, None where it is for us to say."""

    def __init__(self, first: Pass, *, mean: bool, distance: int | None, timesteps: int | None) -> None:
        self.rows = Rows(first, mean=mean, distance=distance, timesteps=timesteps)
        self._open = self._warns = timesteps is None
        self._lengths: list[int] = []
        self._kept: list[dict[str, Any]] = []
        self.shorter = self.longer = self._other = 0
        self._longest = self.rows.timesteps
        self._cuts: tuple[tuple[int, ...], int] = ((), 0)

    def columns(self, step: int, one: Pass, scale: float, sizes: Array) -> dict[str, Any] | None:
        """The row of the pass of a training step, ``profile_step`` and ``grad_sizes`` with it; None where there is
        none. ``scale`` is what the loss was multiplied by."""
        if one.cuts:
            self._cuts = (one.cuts, len(one.layers[0].h))
        if len(one.layers) != self.rows.about_first.layers:
            self._other += 1
            return None
        more = {"profile_step": step, "grad_sizes": sizes}
        row, length = self.rows.row(one, scale, whole=self._open)
        if self._open and row is not None:
            self._lengths.append(length)
            self._kept.append(row | more)
            row = self.rows.last(row)
        self.shorter += row is None
        self._count_longer(length)
        return None if row is None else {**row, **more}

    def _count_longer(self, length: int) -> None:
        if length > self.rows.timesteps:
            self.longer += 1
            self._longest = max(self._longest, length)

    @property
    def due(self) -> bool:
        """Whether enough has been seen to settle."""
        return len(self._lengths) >= SETTLED

    def settle(self) -> list[dict[str, Any]] | None:
        """Let the number of timesteps stand. All rows so far, where they have to be written anew because it is another
        one; None where it stays."""
        kept, lengths, self._kept, self._lengths, self._open = self._kept, sorted(self._lengths), [], [], False
        if not lengths or lengths[0] == lengths[-1] == self.rows.timesteps:
            return None
        self._warns = False
        before, now = self.rows.timesteps, lengths[-math.ceil(len(lengths) / 2)]
        self.rows.timesteps, self.rows.varied = now, lengths[-1] > now
        self.shorter, self.longer = sum(one < now for one in lengths), sum(one > now for one in lengths)
        if now == before:
            return None
        found = []
        for whole in kept:
            more = {name: whole.pop(name) for name in ("profile_step", "grad_sizes")}
            if (row := self.rows.last(whole)) is not None:
                found.append({**row, **more})
        return found

    def vary(self) -> bool:
        """Whether what a row's timesteps are called has changed: its first is no more the first of all."""
        changed = self.longer > 0 and not self.rows.varied
        self.rows.varied = self.rows.varied or changed
        return changed

    @property
    def outgrown(self) -> str:
        """A sentence where batches have become longer than any that the number of timesteps was taken from, else ""."""
        if self._open or not self._warns or self.longer < LONGER:
            return ""
        return (
            f"{self.rows.group}: the first batches had {self.rows.timesteps} timesteps, which is what the profile has, "
            f"and now there are up to {self._longest}, of which only the last {self.rows.timesteps} are recorded: give "
            "watch(timesteps=…) the number that is to be seen, which then waits for batches that are long enough."
        )

    @property
    def cut_within(self) -> str:
        """A sentence where the state is detached between two timesteps, which nobody need have meant; else ""."""
        cuts, steps = self._cuts
        return coverage.cuts(self.rows.group, [cut for cut in cuts if cut > 0], steps)

    def remarks(self) -> list[str]:
        """What of its passes is not in the rows, and where its state was detached; a sentence each."""
        T, group = self.rows.timesteps, self.rows.group
        said = []
        if self.shorter:
            passes = "pass" if self.shorter == 1 else "passes"
            said.append(f"{group}: {self.shorter} {passes} with fewer than {T} timesteps gave no profile.")
        if self.longer:
            passes = "pass" if self.longer == 1 else "passes"
            said.append(
                f"{group}: {self.longer} {passes} had more timesteps than the profile, up to {self._longest}; of them "
                f"the {'first' if self.rows.at_start else 'last'} {T} that are walked were recorded."
            )
        if self._other:
            said.append(f"{group}: {self._other} passes with another number of layers gave no profile.")
        return [one for one in (*said, self.rows.too_far(), coverage.cuts(group, *self._cuts)) if one]
