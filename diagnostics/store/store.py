"""The store: one folder of runs, and everything that the rest of the program does with it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from diagnostics.records import Array, Run
from diagnostics.store import locks, run_file, weights
from diagnostics.store.catalog import Catalog
from diagnostics.store.check import Finding, check
from diagnostics.store.errors import StoreError
from diagnostics.store.layout import Layout, sidecars
from diagnostics.store.recovery import settle
from diagnostics.store.rows import ComparisonRow, RunRow
from diagnostics.store.tail import RunReader, RunTail
from diagnostics.store.transfer import take_in
from diagnostics.store.workers import WorkerList
from diagnostics.store.writer import RunWriter

DEFAULT_FOLDER = "runs"


class Store:
    """Runs on disk. ``read_only`` where nothing can be changed, with the reason as a sentence in ``notice``, which also
    says where a listing had to leave out a damaged line.

    Every method raises ``StoreError`` with one sentence where it cannot do what was asked. One object may be used from
    several threads, and any number of processes may open the same folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout(path)
        self._reason = ""
        try:
            self.layout.make()
            writable = os.access(path, os.W_OK)
        except FileExistsError as error:
            raise StoreError(f"the store must be a folder, but {path} is or contains a file in its way") from error
        except OSError as error:
            if not self.layout.catalog.exists():
                raise StoreError(f"the store {path} cannot be made: {error.strerror or error}") from error
            writable = False
        if not writable:
            self._reason = f"The store {path} cannot be written by this user, so it is open for reading only."
        self.catalog = Catalog(self.layout.catalog)
        if self.catalog.newer:
            self._reason = (
                f"The store {path} was written by a newer version of gradreach (format {self.catalog.version}), "
                "so it is open for reading only."
            )
        self.catalog.writable = not self._reason
        self.workers = WorkerList(self.catalog)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Open the store in the folder ``path`` (None: ``$GRADREACH_STORE``, else ``./runs``); make it if missing."""
        chosen = path or os.environ.get("GRADREACH_STORE") or DEFAULT_FOLDER
        return cls(Path(chosen).expanduser().absolute())

    @property
    def read_only(self) -> bool:
        """Whether every change is refused."""
        return not self.catalog.writable

    @property
    def notice(self) -> str:
        """What people should know before they trust or change what they see; empty where there is nothing."""
        count = len(self.catalog.damaged)
        lines = f"{count} lines of the catalog are" if count > 1 else "A line of the catalog is"
        damage = f"{lines} damaged and not listed here: `python -m experiments doctor` says more." if count else ""
        return " ".join(filter(None, [self._reason, damage]))

    # What there is

    def runs(self, *, comparison: str | None = None, include_deleted: bool = False) -> list[RunRow]:
        """The runs, newest first; none is called running whose worker is gone."""
        rows = self.catalog.rows(comparison=comparison, include_deleted=include_deleted)
        return [settle(self.layout, self.catalog, row) for row in rows]

    def active(self) -> list[RunRow]:
        """The runs that are queued or running, newest first."""
        rows = [settle(self.layout, self.catalog, row) for row in self.catalog.rows(active=True)]
        return [row for row in rows if row.state in ("queued", "running")]

    def row(self, run_id: str) -> RunRow:
        """One run; raises ``StoreError`` where there is none of this id."""
        return settle(self.layout, self.catalog, self.catalog.row(run_id))

    def comparisons(self) -> list[ComparisonRow]:
        """The comparisons that still have a run, newest first."""
        return self.catalog.comparisons()

    def read(self, run_id: str) -> Run:
        """A whole run. Raises ``StoreError`` naming file and chunk where something is damaged."""
        row = self.row(run_id)
        reader = RunReader(self.layout, run_id)
        reader.look(row)
        return reader.run(row)

    def tail(self, run_id: str) -> RunTail:
        """A reader that follows a run while it grows."""
        return RunTail(self, self.layout, run_id)

    def info(self, run_id: str) -> Mapping[str, Any]:
        """What was recorded on how the run is made (versions, device, parameters); empty before it began."""
        reader = RunReader(self.layout, run_id)
        reader.look(self.row(run_id))
        info: Mapping[str, Any] = reader.documents.get("info", {})
        return info

    def weights_steps(self, run_id: str) -> tuple[int, ...]:
        """The training steps whose weights the run has kept so far, rising; 0 is before any update."""
        self.row(run_id)
        path = self.layout.run_file(run_id)
        if not path.exists():
            return ()
        with run_file.opened(path) as connection:
            return weights.steps(connection, path)

    def weights(self, run_id: str, step: int) -> dict[str, Array]:
        """The weights that the run had after ``step`` updates, float32 by the names of the network's state.

        Raises ``StoreError`` where they were not kept, or are damaged.
        """
        kept = self.weights_steps(run_id)
        if step not in kept:
            there = f"but at the steps {', '.join(map(str, kept))}" if kept else "nor at any other"
            raise StoreError(f"run {run_id} has not kept its weights at step {step}, {there}")
        path = self.layout.run_file(run_id)
        with run_file.opened(path) as connection:
            return weights.read(connection, path, step)

    def update_ratios(self, run_id: str, step: int) -> dict[str, float]:
        """‖Δθ‖ / ‖θ‖ of the update that led to ``step``, by parameter, of a step whose weights were kept; empty where
        it was not recorded, as before any update. Raises ``StoreError`` where the file is damaged."""
        reader = RunReader(self.layout, run_id)
        reader.look(self.row(run_id))
        found = reader.documents.get("updates", {}).get(str(step), {})
        try:
            return {str(name): float(ratio) for name, ratio in found.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise StoreError(f"the update ratios of run {run_id} cannot be read: {error}") from error

    def run_file(self, run_id: str) -> Path:
        """Where the run's file lies. It is complete by itself once the run has ended; before, use ``copy_run_file``."""
        return self.layout.run_file(run_id)

    def copy_run_file(self, run_id: str, target: Path) -> None:
        """Write a copy of the run's file to ``target``, complete in itself also while the run is being written."""
        run_file.copy_whole(self.layout.run_file(run_id), target)

    def check(self) -> list[Finding]:
        """Look at every file and say what is wrong with any; empty where all is well."""
        return check(self.layout, self.catalog)

    # What can be changed

    def create(
        self,
        specs: Sequence[Mapping[str, Any]],
        names: Sequence[str],
        comparison_name: str = "",
        *,
        comparison: str | None = None,
    ) -> tuple[str, list[str]]:
        """Queue runs that belong together, or join ``comparison``; returns the comparison's id and theirs."""
        return self.catalog.insert(specs, names, comparison_name, comparison=comparison)

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self.catalog.rename(run_id, name)

    def delete(self, run_ids: Sequence[str]) -> None:
        """Hide runs; ``restore`` brings them back until ``purge``. A running run is refused, a queued one stopped."""
        self.catalog.set_deleted(run_ids, True)

    def restore(self, run_ids: Sequence[str]) -> None:
        """Undo ``delete``."""
        self.catalog.set_deleted(run_ids, False)

    def purge(self, run_ids: Sequence[str] | None = None) -> list[str]:
        """Remove deleted runs (None: all of them) and their files for good; returns which."""
        removed = self.catalog.remove(run_ids)
        for run_id in removed:
            path = self.layout.run_file(run_id)
            for file in (path, *sidecars(path), self.layout.run_lock(run_id), self.layout.reserve(run_id)):
                file.unlink(missing_ok=True)
            shutil.rmtree(self.layout.inspections(run_id), ignore_errors=True)
        return removed

    def request_stop(self, run_id: str) -> None:
        """Stop a queued run at once; ask a running one to stop; leave an ended one as it is."""
        detail = "stopped before it began"
        if not self.catalog.change(run_id, "queued", "stopped", ended_s=time.time(), detail=detail):
            self.catalog.row(run_id)
            self.catalog.change(run_id, "running", "running", stop=1)

    def import_run_file(
        self,
        source: Path | bytes,
        spec: Mapping[str, Any],
        name: str,
        *,
        comparison: str | None = None,
        comparison_name: str = "",
    ) -> str:
        """Take in a run file from elsewhere, under a new id, and return that.

        Every chunk is checked, and copied into a file of our own making: nothing else that the foreign file may hold
        comes along. ``spec`` must be what the file says it ran. Nothing is written where anything is wrong.
        """
        return take_in(self.layout, self.catalog, source, spec, name, comparison, comparison_name)

    # Writing runs

    def writer(self, run_id: str, *, timeout_s: float = 5.0) -> RunWriter:
        """Start writing a queued run; raises ``StoreError`` where it is not queued, or somebody else holds it."""
        writer = self._try_writer(run_id, timeout_s)
        if writer is None:
            raise StoreError(f"run {run_id} cannot be started: it is {self.row(run_id).state}, not queued and free")
        return writer

    def record(
        self, spec: Mapping[str, Any], name: str, comparison: str | None = None, comparison_name: str = ""
    ) -> RunWriter:
        """Start writing a run that was never queued: whoever trains it is here, and nobody else is to claim it.

        It joins ``comparison``, or a new one called ``comparison_name``.
        """
        held: list[FileLock] = []

        def hold(run_id: str) -> None:  # the lock first, as in ``_try_writer``
            lock = locks.hold(self.layout.run_lock(run_id))
            if lock is None:
                raise StoreError(f"run {run_id} cannot be started: its lock is held already")
            held.append(lock)

        now = time.time()
        columns = {"state": "running", "started_s": now, "heartbeat_s": now}
        try:
            _, (run_id,) = self.catalog.insert(
                [spec], [name], comparison_name, comparison=comparison, columns=columns, before=hold
            )
            return RunWriter(self.layout, self.catalog, self.catalog.row(run_id), held[0])
        except BaseException:
            for lock in held:
                lock.release()
            raise

    def claim(self) -> RunWriter | None:
        """Start writing the oldest queued run; None where none is waiting. Two claimants never get the same one."""
        for run_id in self.catalog.queued():
            if (writer := self._try_writer(run_id, 1.0)) is not None:
                return writer
        return None

    def _try_writer(self, run_id: str, timeout_s: float) -> RunWriter | None:
        # The lock first, the state second: a run is never `running` with its lock free, so looking cannot mistake it.
        lock = locks.hold(self.layout.run_lock(run_id), timeout_s)
        if lock is None:
            return None
        now = time.time()
        try:
            if self.catalog.change(run_id, "queued", "running", started_s=now, heartbeat_s=now):
                return RunWriter(self.layout, self.catalog, self.catalog.row(run_id), lock)
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None
