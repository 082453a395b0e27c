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
"""So many passes that are far longer than all of those are worth a warning."""
GONE = 10
"""So many recorded training steps without a pass are worth one, too."""


class Part:
    """The rows of one group's passes. ``timesteps``: how many the person asked for, None where it is for us to say."""

    def __init__(self, first: Pass, *, mean: bool, distance: int | None, timesteps: int | None) -> None:
        self.rows = Rows(first, mean=mean, distance=distance, timesteps=timesteps)
        self._open = self._warns = timesteps is None
        self._known = self._beyond = 0
        """How many timesteps the longest pass had when T was settled, and how many passes have had far more since."""
        self._silent = 0
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
        self._longest = max(self._longest, length)
        self.longer += length > self.rows.timesteps
        if not self._open and self._warns:
            self._beyond += length > (self._known if self._known == self.rows.timesteps else 1.5 * self._known)

    def count_silent(self, *, seen: bool) -> None:
        """A training step was recorded, with a pass of this part or without."""
        self._silent = 0 if seen else self._silent + 1

    @property
    def gone(self) -> str:
        """A sentence where nothing has been seen of it for ``GONE`` recorded training steps, else ""."""
        if self._silent < GONE:
            return ""
        return (
            f"{self.rows.group}: no gradient has come back to it for {GONE} recorded training steps or more, so its "
            "profiles end there. What is put into the model within the with block is not watched: leave it, and watch "
            "anew."
        )

    @property
    def due(self) -> bool:
        """Whether enough has been seen to settle."""
        return len(self._lengths) >= SETTLED

    def settle(self) -> list[dict[str, Any]] | None:
        """Let the number of timesteps stand. All rows so far, where they have to be written anew because it is another
        one; None where it stays."""
        kept, lengths, self._kept, self._lengths, self._open = self._kept, sorted(self._lengths), [], [], False
        self._known = max(lengths, default=0)
        if not lengths or lengths[0] == lengths[-1] == self.rows.timesteps:
            return None
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
        if self._beyond < LONGER:
            return ""
        T = self.rows.timesteps
        return (
            f"{self.rows.group}: the first batches had up to {self._known} timesteps, and the profile has {T} of them; "
            f"by now there are far longer ones, of which only {T} timesteps are recorded: give watch(timesteps=…) the "
            "number that is to be seen, which then waits for batches that are long enough."
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
        return [one for one in (*said, self.gone, self.rows.too_far(), coverage.cuts(group, *self._cuts)) if one]
