"""Which training steps are recorded, and what becomes of the passes of those that are: runs, rows, events, checks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from diagnostics.measures.entry_sizes import NOT_MEASURED
from diagnostics.measures.numbers import number
from diagnostics.records import Array, Records, Run
from diagnostics.watching.coverage import NotCovered
from diagnostics.watching.events import Events
from diagnostics.watching.passing import Pass
from diagnostics.watching.recording import Recording
from diagnostics.watching.results import as_rows
from diagnostics.watching.rows import Rows
from diagnostics.watching.trust import SelfCheck

SIZED = 64
"""So many profiles come with the sizes of the gradient's entries, then every second of as many, every fourth …"""
MISSES = 10
"""After so many training steps without a row in a row, only every N-th step is looked at again."""


class Watched(Protocol):
    """The sources of a model, as one."""

    def arm(self, *, check: bool = False) -> None: ...  # noqa: D102
    def take(self) -> list[Pass]: ...  # noqa: D102
    def missing(self, passes: Sequence[Pass]) -> list[str]: ...  # noqa: D102


class Profiles:
    """The profiles of one watched training."""

    def __init__(
        self,
        sources: Watched,
        check: SelfCheck,
        recording: Recording,
        events: Events,
        *,
        every: int,
        mean: bool,
        distance: int | None,
        timesteps: int | None,
    ) -> None:
        self._sources, self._check, self._recording, self._events = sources, check, recording, events
        self._every = every
        self._of_rows = {"mean": mean, "distance": distance, "timesteps": timesteps}
        self._rows: dict[str, Rows] = {}
        self._refused: dict[str, str] = {}
        self._recorded = 0
        self._misses = 0
        self.armed = self._looked = False
        self.sizes = NOT_MEASURED
        """Of the entries of the gradient of the step that is over."""
        self.missing: list[str] = []
        self.newest: dict[str, Run] = {}
        """The newest profile of each part, as a run that has no other."""

    def arm_if_due(self, step: int) -> None:
        """Have the coming training step recorded where it is its turn, or where the last one that was gave no row."""
        self.armed = step % self._every == 0 or 0 < self._misses < MISSES
        if self.armed:
            check = self._check.due(self._recorded)
            if check:
                self._check.arm()
            self._sources.arm(check=check)

    @property
    def sized(self) -> bool:
        """Whether the coming step's profile is to come with the sizes of the gradient's entries."""
        return self.armed and self._recorded % (1 << (self._recorded // SIZED).bit_length()) == 0

    def take(self) -> list[Pass]:
        """What the step that is over did; nothing where it was not recorded."""
        return self._sources.take() if self.armed else []

    def begin(
        self, passes: Sequence[Pass], spec: Callable[[Rows], Mapping[str, Any]], info: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Begin the runs of the parts that have not been seen before; ``spec`` and ``info`` make what they say."""
        groups = list(dict.fromkeys(one.group for one in passes))
        for one in passes:
            if one.group in self._rows:
                continue
            try:
                rows = Rows(one, **self._of_rows)  # type: ignore[arg-type]
            except ValueError as error:  # too short; a later one may be long enough
                self._refused[one.group] = str(error)
                continue
            self._refused.pop(one.group, None)
            self._rows[one.group] = rows
            facts, asked = rows.facts(), spec(rows)
            self._recording.begin(one.group, len(groups) == 1, asked, facts, {**info(), **rows.about()})
            self.newest[one.group] = Run("", one.group, "running", asked, facts, Records.empty())

    def record(self, step: int, passes: Sequence[Pass], scale: float, *, usable: bool) -> None:
        """Write the rows of the step, the last pass of each part, and say what there is to say of them.

        ``scale`` is what the loss was multiplied by; not ``usable`` where that made it overflow.
        """
        if not self.armed:
            return
        found = self._check.take(passes)
        written = 0
        for one in {one.group: one for one in passes}.values() if usable else ():
            rows = self._rows.get(one.group)
            columns = None if rows is None else rows.row(one, scale)
            if columns is not None:
                written += 1
                self._write(step, one.group, {"profile_step": step, **columns, "grad_sizes": self.sizes})
        if usable:
            for weight, error, tolerance in found:
                self._checked(step, weight, error, tolerance)
        self._recorded += written > 0
        self._misses = 0 if written or not (passes or self._rows) else self._misses + 1
        if self._misses == MISSES and (self._refused or any(rows.shorter for rows in self._rows.values())):
            self._too_short()
        if usable and not self._looked:
            self._looked = True
            self._say_missing(passes)

    def row(self, columns: Mapping[str, float]) -> None:
        """Note the newest row of the step stream."""
        for group, run in self.newest.items():
            self.newest[group] = replace(run, records=Records({**run.records, **as_rows(columns)}))

    def _write(self, step: int, group: str, columns: Mapping[str, Array | int]) -> None:
        self._recording.profile(group, columns)
        run = replace(self.newest[group], records=Records(as_rows(columns)))
        self.newest[group] = run
        self._events.profile(run, group, step)

    def _checked(self, step: int, weight: str, error: float, tolerance: float) -> None:
        if error <= tolerance:
            return
        self._events.say(
            "self_check",
            step,
            f"Training step {step}: the shares of {weight} by timestep sum to its gradient but for a relative "
            f"{number(error)}, and {number(tolerance)} is allowed: the weight is used outside of the recurrence too, "
            "or what is shown of it is wrong.",
            weight,
        )

    def _too_short(self) -> None:
        wanted = max((rows.timesteps for rows in self._rows.values()), default=self._of_rows["timesteps"])
        warnings.warn(
            f"{MISSES} training steps in a row had fewer timesteps than the profile has, {wanted}, and were not "
            "recorded: give watch(timesteps=…) a number of last timesteps that every batch has",
            RuntimeWarning,
            stacklevel=2,
        )

    def _say_missing(self, passes: Sequence[Pass]) -> None:
        self.missing = self._sources.missing(passes)
        for sentence in self.missing:
            warnings.warn(sentence, NotCovered, stacklevel=2)

    def remarks(self) -> list[str]:
        """What was left out, a sentence each."""
        short = [
            f"{group}: {rows.shorter} passes with fewer than {rows.timesteps} timesteps were not recorded."
            for group, rows in self._rows.items()
            if rows.shorter
        ]
        far = [rows.too_far() for rows in self._rows.values()]
        refused = [f"{group} is not recorded: {why}." for group, why in self._refused.items()]
        return [*short, *filter(None, far), *refused, *self.missing]
