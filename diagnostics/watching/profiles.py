"""Which training steps are recorded, and what becomes of the passes of those that are: runs, rows, events, checks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from diagnostics.measures.entry_sizes import NOT_MEASURED
from diagnostics.measures.numbers import number
from diagnostics.records import COLUMNS, Array, Records, Run, TaskFacts
from diagnostics.watching.coverage import NotCovered
from diagnostics.watching.events import Events
from diagnostics.watching.parts import Part
from diagnostics.watching.passing import Pass
from diagnostics.watching.recording import Recording
from diagnostics.watching.results import as_rows
from diagnostics.watching.rows import Rows
from diagnostics.watching.trust import SelfCheck

SIZED = 64
"""So many profiles come with the sizes of the gradient's entries, then every second of as many, every fourth …"""
CALLS = 4
"""Of a layer that is called anew several times within a training step, so many calls are parts of their own."""
MISSES = 10
"""After so many training steps without a row in a row, only every N-th step is looked at again."""


class Watched(Protocol):
    """The sources of a model, as one."""

    def arm(self, *, check: bool = False) -> None: ...  # noqa: D102
    def take(self) -> list[Pass]: ...  # noqa: D102
    def refused(self) -> list[str]: ...  # noqa: D102
    def missing(self, groups: Collection[str]) -> list[str]: ...  # noqa: D102


class Said(NamedTuple):
    """Makes what a run says of itself."""

    spec: Callable[[Rows], Mapping[str, Any]]
    info: Callable[[], Mapping[str, Any]]


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
        self._parts: dict[str, Part] = {}
        self._groups: dict[str, None] = {}
        self._taken: list[Pass] = []
        self._alike: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._recorded = 0
        self._misses = 0
        self.armed = False
        self._looked = -1
        self.sizes = NOT_MEASURED
        """Of the entries of the gradient of the step that is over."""
        self.missing: list[str] = []
        self._warned: set[str] = set()
        self._newest: dict[str, Run] = {}
        self._row: Mapping[str, float] = {}
        """The newest row of the step stream, where ``_newest`` does not have it yet."""

    def arm_if_due(self, step: int) -> None:
        """Have the coming training step recorded where it is its turn, or where the last one that was gave no row."""
        self.armed = step % self._every == 0 or 0 < self._misses < MISSES
        if self.armed:
            check = self._check.due(self._recorded)
            if check:
                self._check.arm()
            self._sources.arm(check=check)

    @property
    def newest(self) -> dict[str, Run]:
        """The newest profile of each part, as a run that has no other, with the newest row of the step stream."""
        if self._row:
            columns, self._row = as_rows(self._row), {}
            for group, run in self._newest.items():
                self._newest[group] = replace(run, records=Records({**run.records, **columns}))
        return self._newest

    @property
    def sized(self) -> bool:
        """Whether the coming step's profile is to come with the sizes of the gradient's entries."""
        return self.armed and self._recorded % (1 << (self._recorded // SIZED).bit_length()) == 0

    def take(self) -> list[Pass]:
        """What the step that is over did; nothing where it was not recorded. Of a layer that was called more than once,
        without its state going from one call to the next, each call is a part of its own."""
        self._taken = passes = self._sources.take() if self.armed else []
        self._groups |= {one.group: None for one in passes}
        for one in passes:
            if one.call >= CALLS:
                self._alike[one.group] = max(self._alike.get(one.group, 0), one.call + 1)
        return [
            replace(one, group=f"{one.group} (call {one.call + 1})") if one.call else one
            for one in passes
            if one.call < CALLS
        ]

    def drop(self) -> None:
        """Nobody says where training steps end: what was recorded is of none, and would only grow."""
        self._sources.take()
        self.armed = False

    def begin(self, passes: Sequence[Pass], said: Said) -> None:
        """Begin the runs of the parts that have not been seen before."""
        groups = list(dict.fromkeys(one.group for one in passes))
        for one in sorted(passes, key=lambda one: one.call):
            if one.group in self._parts:
                continue
            try:
                part = Part(one, **self._of_rows)  # type: ignore[arg-type]
            except ValueError as error:  # too short; a later one may be long enough
                self._refused[one.group] = str(error)
                continue
            self._refused.pop(one.group, None)
            self._parts[one.group] = part
            self._recording.begin(one.group, len(groups) == 1, *self._about(part, said))

    def _about(self, part: Part, said: Said) -> tuple[Mapping[str, Any], TaskFacts, Mapping[str, Any]]:
        """A part's spec, facts and info, which it is shown with from now on."""
        asked, facts = said.spec(part.rows), part.rows.facts()
        group = part.rows.group
        shown = self.newest[group].records if group in self.newest else Records.empty()
        self.newest[group] = Run("", group, "running", asked, facts, shown)
        return asked, facts, {**said.info(), **part.rows.about()}

    def record(self, step: int, passes: Sequence[Pass], scale: float, said: Said, *, usable: bool) -> None:
        """Write the rows of the step, the last pass of each part, and say what there is to say of them.

        ``scale`` is what the loss was multiplied by; not ``usable`` where that made it overflow.
        """
        if not self.armed:
            return
        found = self._check.take(self._taken)  # of the calls that are not recorded, too
        self._taken = []
        written = 0
        for one in {one.group: one for one in passes}.values() if usable else ():
            part = self._parts.get(one.group)
            if part is None:
                continue
            columns = part.columns(step, one, scale, self.sizes)
            if columns is not None:
                written += 1
                self._write(step, one.group, columns)
            if part.due:
                written += self._settle(part, said)
            self._tell(part, said)
            self._warn(part.outgrown)
        if usable:
            for weight, error, tolerance in found:
                self._checked(step, weight, error, tolerance)
        self._recorded += written > 0
        self._misses = 0 if written or not (passes or self._parts) else self._misses + 1
        if self._misses == MISSES and (self._refused or any(part.shorter for part in self._parts.values())):
            self._too_short()
        if usable and self._looked != len(self._groups):
            self._looked = len(self._groups)
            self._look_for_missing()
        seen = {one.group for one in passes}
        for group, part in self._parts.items():
            part.count_silent(seen=group in seen)
            self._warn(part.cut_within)
            self._warn(part.gone)

    def finish(self, said: Said) -> None:
        """No more will come: what has been seen has to do."""
        for part in self._parts.values():
            self._settle(part, said)
            self._tell(part, said)

    def _tell(self, part: Part, said: Said) -> None:
        if part.vary():
            self._recording.tell(part.rows.group, *self._about(part, said)[1:])

    def _settle(self, part: Part, said: Said) -> bool:
        """Whether all rows have been written anew."""
        again = part.settle()
        if again is None:
            return False
        group = part.rows.group
        self._recording.restart(group, *self._about(part, said), again)
        steps = {name: values for name, values in self.newest[group].records.items() if COLUMNS[name].stream == "step"}
        self.newest[group] = replace(self.newest[group], records=Records({**steps, **as_rows(again[-1])}))
        return True

    def row(self, columns: Mapping[str, float]) -> None:
        """Note the newest row of the step stream, for whoever asks for ``newest``."""
        self._row = columns if self._newest else {}

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
        wanted = max((part.rows.timesteps for part in self._parts.values()), default=self._of_rows["timesteps"])
        warnings.warn(
            f"{MISSES} training steps in a row had fewer timesteps than the profile has, {wanted}, and were not "
            "recorded: give watch(timesteps=…) a number of last timesteps that every batch has",
            RuntimeWarning,
            stacklevel=2,
        )

    def _look_for_missing(self) -> None:
        """Where a part was seen for the first time (or nothing was), what is not covered may be another thing."""
        self.missing = self._sources.missing(self._groups)
        for sentence in [*self._sources.refused(), *self.missing]:
            self._warn(sentence)

    def _warn(self, sentence: str) -> None:
        if sentence and sentence not in self._warned:
            self._warned.add(sentence)
            warnings.warn(sentence, NotCovered, stacklevel=2)

    def remarks(self) -> list[str]:
        """What was left out, a sentence each."""
        said = [sentence for part in self._parts.values() for sentence in part.remarks()]
        refused = [f"{group} is not recorded: {why}." for group, why in self._refused.items()]
        alike = [
            f"{group} is called {calls} times in a training step without its state going from one call to the next: "
            f"the first {CALLS} calls are recorded, each as a part of its own."
            for group, calls in self._alike.items()
        ]
        return [*said, *refused, *alike, *self.missing]
