"""Watched runs on their way into a store: one run per recurrent part, together a comparison.

Whatever goes wrong with the store, training goes on: one warning, and nothing more is recorded. What waits to be
written is half a second of rows, however long training goes on.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import shutil
import tempfile
import time
import warnings
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diagnostics.records import COLUMNS, Array, Run, TaskFacts
from diagnostics.store import RunWriter, Store, StoreError
from diagnostics.store.rows import NAME_LENGTH
from diagnostics.version import VERSION

FLUSH_S = 0.5
"""Rows are written this often: a page that looks once a second is never a second behind."""
BEAT_S = 2.0
"""How often the catalog is told how far the runs are, and asked whether somebody wants them to stop."""
EARLY_STEPS = 4096
"""So many training steps before the first profile are remembered for the runs that begin with it."""


class _Run:
    """One run that is being written."""

    def __init__(self, writer: RunWriter) -> None:
        self.writer = writer
        self.waiting: dict[str, list[Array | float]] = {}
        self.ended = False

    def add(self, columns: Mapping[str, Array | float]) -> None:
        for name, value in columns.items():
            self.waiting.setdefault(name, []).append(value)

    def flush(self) -> None:
        # Taken out first: what a Ctrl-C interrupts is not written twice.
        waiting, self.waiting = self.waiting, {}
        if waiting:
            rows = {name: np.asarray(values, dtype=COLUMNS[name].dtype) for name, values in waiting.items()}
            self.writer.append(rows)


class Recording:
    """The runs of one watched training. ``problem`` says why nothing is recorded any more, "" while all is well."""

    def __init__(self, store: Store | str | os.PathLike[str] | bool | None, name: str) -> None:
        self.name = name
        self.problem = ""
        self.comparison = ""
        self.run_ids: list[str] = []
        self._runs: dict[str, _Run] = {}
        self._closed = False
        self._early: deque[Mapping[str, Array | float]] = deque(maxlen=EARLY_STEPS)
        self._flush_s = self._beat_s = -math.inf
        self._store: Store | None = None
        try:
            self._store = self._opened(store)
            if self._store.read_only:
                raise StoreError(self._store.notice or f"the store {self._store.path} is open for reading only")
        except StoreError as error:
            self._give_up(error)

    def _opened(self, store: Store | str | os.PathLike[str] | bool | None) -> Store:
        if isinstance(store, Store):
            return store
        if store is False:
            folder = tempfile.mkdtemp(prefix="gradreach-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            return Store.open(folder)
        return Store.open(None if isinstance(store, bool) else store)

    @property
    def path(self) -> Path | None:
        """The store's folder."""
        return None if self._store is None else self._store.path

    def has(self, group: str) -> bool:
        """Whether the group's run has begun."""
        return group in self._runs

    def begin(
        self, group: str, alone: bool, spec: Mapping[str, Any], facts: TaskFacts, info: Mapping[str, Any]
    ) -> None:
        """Begin the group's run; ``alone`` where there is no other, so that its name needs no more than ours."""
        if self.problem or self._closed or self._store is None:
            return
        try:
            title = self.name if alone else _fitting(f"{self.name} · {group}")
            writer = self._store.record(spec, title, self.comparison or None, self.name)
            self._runs[group] = _Run(writer)
            self.comparison = writer.row.comparison
            self.run_ids.append(writer.run_id)
            writer.begin(facts, info)
        except (StoreError, ValueError) as error:
            self._give_up(error)

    def tell(self, group: str, facts: TaskFacts, info: Mapping[str, Any]) -> None:
        """What the group's run is about is known better by now."""
        if (run := self._runs.get(group)) is None or run.ended:
            return
        try:
            run.writer.begin(facts, info)
        except StoreError as error:
            self._give_up(error)

    def restart(
        self,
        group: str,
        spec: Mapping[str, Any],
        facts: TaskFacts,
        info: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Put another run in the place of the group's, with profiles of another number of timesteps: ``rows`` are all
        that there are. Its training steps are those of the run that it replaces, which goes."""
        old = self._runs.get(group)
        if old is None or old.ended or self._store is None:
            return
        try:
            old.waiting = {name: values for name, values in old.waiting.items() if COLUMNS[name].stream == "step"}
            old.flush()
            old_id, known = old.writer.run_id, self._store.read(old.writer.run_id).records
            writer = self._store.record(spec, old.writer.row.name, self.comparison, self.name)
            self._runs[group] = new = _Run(writer)
            self.run_ids[self.run_ids.index(old_id)] = writer.run_id
            writer.begin(facts, info)
            writer.append({name: known[name] for name in known if COLUMNS[name].stream == "step"})
            for row in rows:
                new.add(row)
            new.flush()
            old.ended = True
            if old.writer.stop_requested():
                self._store.request_stop(writer.run_id)
            old.writer.finish("stopped", "begun anew with another number of timesteps")
            self._store.delete([old_id])
            self._store.purge([old_id])
        except (StoreError, ValueError) as error:
            self._give_up(error)

    def step(self, columns: Mapping[str, Array | float]) -> None:
        """A row of the step stream, for every run."""
        if not (self._runs or self._closed or self.problem):
            self._early.append(columns)
        for run in self._writing():
            for early in self._early:
                run.add(early)
            run.add(columns)
        if self._runs:
            self._early.clear()

    def profile(self, group: str, columns: Mapping[str, Array | float]) -> None:
        """A row of a group's profile stream."""
        if (run := self._runs.get(group)) is not None and not run.ended:
            run.add(columns)

    def flush(self, *, now: bool = True) -> None:
        """Write what waits; unless ``now``, only where the last time is long enough ago."""
        if self.problem or not (now or time.monotonic() >= self._flush_s):
            return
        try:
            for run in self._writing():
                run.flush()
            if time.monotonic() >= self._beat_s:
                self._beat()
        except (StoreError, ValueError) as error:
            self._give_up(error)
        self._flush_s = time.monotonic() + FLUSH_S

    def _beat(self) -> None:
        self._beat_s = time.monotonic() + BEAT_S
        for run in self._writing():
            run.writer.heartbeat()
            if run.writer.stop_requested():
                run.ended = True
                run.writer.finish("stopped", "the recording was stopped on request, the training went on")

    def finish(self, state: str, detail: str, info: Mapping[str, Any]) -> None:
        """End the runs that have not ended yet; ``info`` as it is known by now."""
        self.flush()
        self._closed = True
        try:
            for run in self._writing():
                run.ended = True
                run.writer.inform(info)
                run.writer.finish(state, detail)
        except StoreError as error:
            self._give_up(error)

    def runs(self) -> tuple[Run, ...]:
        """The runs as the store has them, all that waits included."""
        self.flush()
        return () if self._store is None else tuple(self._store.read(run_id) for run_id in self.run_ids)

    def _writing(self) -> list[_Run]:
        return [run for run in self._runs.values() if not run.ended]

    def _give_up(self, error: Exception) -> None:
        """Never again: the person hears of it once, and what they train is left alone."""
        self.problem = str(error).rstrip(".")
        self._early.clear()
        for run in self._writing():
            run.ended = True
            run.waiting = {}
            with contextlib.suppress(StoreError, ValueError):  # it will say interrupted then
                run.writer.finish("failed", self.problem[:500])
        warnings.warn(
            f"{self.problem}: training goes on, and nothing more of it is recorded", RuntimeWarning, stacklevel=2
        )


def about_process(model: torch.nn.Module) -> dict[str, str]:
    """What a run records of the machine and the versions that it was made with."""
    parameter = next(iter(model.parameters()), None)
    return {
        "gradreach": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(parameter.device) if parameter is not None else "cpu",
        "dtype": str(parameter.dtype).removeprefix("torch.") if parameter is not None else "",
        "threads": str(torch.get_num_threads()),
        "parameters": str(sum(p.numel() for p in model.parameters())),
    }


def _fitting(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
