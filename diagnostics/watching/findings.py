"""What a ``Watch`` has found, at any moment: read from the store, so that it says what the app shows."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import nn

from diagnostics.measures.verdict import Verdict
from diagnostics.records import Run
from diagnostics.watching import results
from diagnostics.watching.events import Event, Events
from diagnostics.watching.recording import about_process
from diagnostics.watching.trust import Overhead, SelfCheck, Stopwatch

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.charts.palette import ThemeName
    from diagnostics.watching.habits import Habits
    from diagnostics.watching.profiles import Profiles
    from diagnostics.watching.recording import Recording
    from diagnostics.watching.settings import Settings
    from diagnostics.watching.sources import Sources


class Findings:
    """The reading half of a ``Watch``."""

    _model: nn.Module
    _settings: Settings
    _events: Events
    _check: SelfCheck
    _stopwatch: Stopwatch
    _habits: Habits
    _recording: Recording | None = None
    _profiles: Profiles | None = None
    _sources: Sources | None = None
    _covered: tuple[str, ...] = ()
    _state: str
    _step: int
    _micro_steps: int
    _scaled: bool

    @property
    def runs(self) -> tuple[Run, ...]:
        """A run for each recurrent part, as the store has it by now."""
        return () if self._recording is None else self._recording.runs()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs' ids in the store."""
        return () if self._recording is None else tuple(self._recording.run_ids)

    @property
    def comparison(self) -> str:
        """The id of the comparison that the runs are in; "" before the first."""
        return "" if self._recording is None else self._recording.comparison

    @property
    def newest(self) -> Mapping[str, Run]:
        """By part, the newest profile and training step as a run that has no others; from memory alone."""
        return {} if self._profiles is None else self._profiles.newest

    @property
    def reach(self) -> dict[str, results.Reach]:
        """By ``"<part> layer <l>"``, l from 1: how many steps back from the loss the gradient first falls below 1 % of
        its value there, or "all"; read from the last tenth of the profiles."""
        return results.reaches(self.runs)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each part."""
        return results.verdicts(self.runs)

    @property
    def verdict(self) -> Verdict:
        """The verdict of the part that is worst off. Raises ``ValueError`` where nothing has been recorded yet."""
        found = results.worst(self.runs)
        if found is None:
            raise ValueError(f"there is no verdict, because nothing has been recorded{self._why_nothing()}")
        return found[1]

    def figure(self, key: str = "profile", *, theme: ThemeName = "light") -> go.Figure:
        """A figure of all runs; ``key`` is one of ``diagnostics.charts.gallery.FIGURES``.

        Raises ``ValueError`` where the key does not apply, naming those that do, or where nothing has been recorded.
        """
        runs = self.runs
        if not runs:
            raise ValueError(f"there is no figure, because nothing has been recorded{self._why_nothing()}")
        return results.figure(runs, key, theme)

    def table(self) -> results.Table:
        """A row for each layer: reach, decay, half-life, and what arrives at the farthest step."""
        return results.table(self.runs, self.meaning)

    @property
    def covered(self) -> list[str]:
        """What is watched and how, and what is not and why; a sentence each."""
        if self._state == "begun" and self._sources is not None and self._profiles is not None:
            self._covered = tuple(
                dict.fromkeys([*self._sources.covered(), *self._profiles.remarks(), *self._habits.remarks])
            )
        return list(self._covered)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, in order, each kind once for each part."""
        return self._events.all

    @property
    def overhead(self) -> Overhead:
        """What watching has cost so far."""
        return self._stopwatch.overhead()

    @property
    def self_check(self) -> dict[str, float]:
        """By recurrent weight, the largest relative error of Σ_k G_k against what the backward passes added to it."""
        return dict(self._check.errors)

    @property
    def meaning(self) -> str:
        """What the numbers are: of which gradient, before or after what."""
        every = self._settings.every
        often = "every training step" if every == 1 else f"every {_ordinal(every)} training step"
        mean = (
            "the mean over the batch undone"
            if self._settings.reduction == "mean"
            else "of a loss summed over the batch"
        )
        scaled = ", the loss scale undone" if self._scaled else ""
        micro = self._micro_steps
        which = f", of the last of {micro} backward passes" if micro > 1 else ""
        return (
            f"Total gradient with respect to the state, l2 per sample, median over the batch, before clipping{scaled}, "
            f"{mean}{which}; {often}."
        )

    def _info(self) -> dict[str, Any]:
        """What the store keeps of how the runs were made."""
        return {
            **about_process(self._model),
            "state gradients": self.meaning,
            "watched": {
                "micro_steps": self._micro_steps,
                "self_check": self.self_check,
                "overhead": self.overhead.to_json(),
                "covered": self.covered,
                "events": [event.to_json() for event in self.events],
            },
        }

    def _why_nothing(self) -> str:
        if self._recording is None:
            return ": the with block has not begun"
        if self._recording.problem:
            return f": {self._recording.problem}"
        if self._step == 0:
            return " yet: w.step or w.clipped has not been called"
        return "".join(f": {sentence.rstrip('.')}" for sentence in self.covered[-1:])

    def __repr__(self) -> str:
        said = [f"{part}: {verdict.sentence}" for part, verdict in self.verdicts.items()]
        begun = {
            "new": "not begun",
            "begun": f"{self._step} training steps so far",
            "ended": f"{self._step} training steps",
        }
        return "\n".join(
            [f"<Watch {self._settings.name!r}, {begun[self._state]}>", *said, *([self.meaning] if said else [])]
        )

    def _repr_html_(self) -> str:
        return results.notebook(self)

    def _ipython_display_(self) -> None:
        """In a notebook: the words, then the figure, which Jupyter and VS Code draw with the plotly.js that they have;
        what exports a notebook has the picture. Whoever has no IPython reads ``_repr_html_``, which stands alone."""
        show = import_module("IPython.display").display  # only a notebook calls this
        for bundle in results.bundles(self):
            show(bundle, raw=True)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
