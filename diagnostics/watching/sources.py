"""Everything that watches parts of a model, together: torch's recurrent layers, cells, and what is marked by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from diagnostics.recurrence import paths
from diagnostics.watching import cells as stepwise
from diagnostics.watching import coverage, native
from diagnostics.watching.following import StateOf
from diagnostics.watching.marks import Marks
from diagnostics.watching.passing import Pass, Source


class Sources:
    """All sources of a model as one; ``marks`` takes what the person marks."""

    def __init__(
        self, model: nn.Module, cells: Mapping[str, nn.Module] | Sequence[str] | None, state: StateOf | None
    ) -> None:
        self._model = model
        self._logged = contextlib.ExitStack()
        self._logged.enter_context(paths.logged())
        self.marks = Marks(model.parameters)
        self._layers = native.attach(model)
        self._sources: list[Source] = [self._layers]
        try:
            self._cells = stepwise.attach(model, cells, state, list(native.layers(model).values()), self.marks.places)
        except BaseException:
            self.close()
            raise
        self._sources += [self._cells, self.marks]

    def arm(self, *, check: bool = False) -> None:
        """As ``Source.arm``."""
        for source in self._sources:
            source.arm(check=check)

    def take(self) -> list[Pass]:
        """As ``Source.take``."""
        return [one for source in self._sources for one in source.take()]

    def covered(self) -> list[str]:
        """What is watched, a sentence each."""
        slower = [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in paths.said()]
        return [*(sentence for source in self._sources for sentence in source.covered()), *slower]

    def refused(self) -> list[str]:
        """What is known not to be, by now; ``covered`` has it, too."""
        return list(self._refusals.values())

    def missing(self, groups: Collection[str]) -> list[str]:
        """What else is not covered, and why, where ``groups`` are what has been recorded so far."""
        return [*coverage.missing(self._model, set(groups), self._cells, self._refusals)]

    @property
    def _refusals(self) -> dict[str, str]:
        return {**self._layers.refused, **self.marks.refused}

    def close(self) -> None:
        """As ``Source.close``; every source is closed, whatever one of them says."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._logged.close)
            for source in self._sources:
                stack.callback(source.close)
