"""A run while it is being written: its lock, its file, and its line in the catalog."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from filelock import FileLock

from diagnostics.records import TaskFacts
from diagnostics.store import packing
from diagnostics.store.catalog import Catalog
from diagnostics.store.database import told
from diagnostics.store.errors import DiskFullError, StoreError
from diagnostics.store.layout import Layout
from diagnostics.store.rows import ENDED, RunRow
from diagnostics.store.run_file import RunFile
from diagnostics.store.tail import summary

RESERVE_BYTES = 128 * 2**10
"""What saying "the disk is full" needs: the catalog's journal and a few pages of both files."""


class RunWriter:
    """Holds a run from ``running`` to its end; a context manager. Made by ``Store.writer``, ``Store.claim`` and
    ``Store.record``.

    Leaving the block without ``finish`` ends the run: ``failed`` after an exception, with its message as the detail,
    ``interrupted`` where the process was asked to leave.
    """

    def __init__(self, layout: Layout, catalog: Catalog, row: RunRow, lock: FileLock) -> None:
        self.run_id = row.id
        self.row = row
        self._layout = layout
        self._catalog = catalog
        self._lock = lock
        self._file: RunFile | None = None
        self._shape: dict[str, tuple[int, ...]] | None = None
        self._ended = False
        self._done: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._ended:
                self.finish(*how_it_ended(error))
        finally:
            self._lock.release()

    def begin(self, facts: TaskFacts, info: Mapping[str, Any]) -> None:
        """Record what is known before the first step: the task's facts and how the run is made (JSON data)."""
        self._opened().put(facts=facts.__dict__, info=info)

    def inform(self, info: Mapping[str, Any]) -> None:
        """Record anew how the run is made, where that is known better by now."""
        self._opened().put(info=info)

    def append(self, columns: Mapping[str, Any]) -> int:
        """Write rows of any complete streams as one chunk and return its number; then ``kill -9`` loses none of them.

        Raises ``ValueError`` where the columns do not fit ``diagnostics.records``, ``DiskFullError`` where there is no
        room, ``StoreError`` otherwise.
        """
        records = packing.checked(columns)
        shape = packing.layout(records)
        if shape and self._shape is not None and shape != self._shape:
            raise ValueError(f"profile columns must keep the shapes {self._shape}, but got {shape}")
        self._shape = shape or self._shape
        seq = self._opened().append(records)
        self._done |= summary({}, records)
        return seq

    def keep(self, step: int, weights: Mapping[str, Any], update_ratio: Mapping[str, float] | None = None) -> None:
        """Keep the weights that the run has after ``step`` updates: float32 arrays by the names of the network's state;
        and ‖Δθ‖ / ‖θ‖ of the last of these updates by parameter, where that is known.

        Raises ``ValueError`` where they are no such arrays or kept already, ``DiskFullError`` where there is no room.
        """
        self._opened().keep(step, weights, update_ratio)

    def heartbeat(self) -> None:
        """Tell the catalog that the worker lives, and how far it is: milliseconds, most of them the disk's."""
        self._catalog.beat(self.run_id, self._done)

    def say(self, what: str) -> None:
        """Tell whoever looks at the run what it is busy with before its first step; "" takes that back."""
        self._catalog.beat(self.run_id, {"detail": what})

    def stop_requested(self) -> bool:
        """Whether somebody asked for this run to stop; one look into the catalog."""
        return self._catalog.row(self.run_id).stop_requested

    def finish(
        self,
        state: str,
        detail: str = "",
        *,
        steps_done: int | None = None,
        loss: float | None = None,
        success: float | None = None,
    ) -> None:
        """End the run; what is not given stays as the records had it.

        On a full disk the space that was kept for it makes room for these last words.
        """
        if state not in ENDED:
            raise ValueError(f"state must be one of {', '.join(ENDED)}, but got {state!r}")
        self._ended = True
        given = (("steps_done", steps_done), ("loss", loss), ("success", success))
        self._done |= {name: value for name, value in given if value is not None}
        end = {"detail": detail, "ended_s": time.time(), **self._done}
        reserve = self._layout.reserve(self.run_id)
        try:
            self._close_file({"state": state, **end})
            try:
                changed = self._catalog.change(self.run_id, "running", state, **end)
            except DiskFullError:
                reserve.unlink(missing_ok=True)
                changed = self._catalog.change(self.run_id, "running", state, **end)
            if not changed:
                raise StoreError(f"run {self.run_id} was not running any more when it ended as {state}")
        finally:
            reserve.unlink(missing_ok=True)
            self._lock.release()

    def _close_file(self, end: Mapping[str, Any]) -> None:
        """The catalog decides what a run's state is, so a file without room for its last document is no loss."""
        try:
            file = self._opened()
        except StoreError:
            return
        with contextlib.suppress(DiskFullError):
            file.put(end={**end, "chunks": file.seq, "weights": sorted(file.kept)})
        file.close()

    def _opened(self) -> RunFile:
        if self._file is None:
            reserve = self._layout.reserve(self.run_id)
            with told(reserve):
                reserve.write_bytes(b"\0" * RESERVE_BYTES)
            about = {"id": self.run_id, "name": self.row.name, "spec": self.row.spec, "created_s": self.row.created_s}
            self._file = RunFile(self._layout.run_file(self.run_id), about)
        return self._file


def how_it_ended(error: BaseException | None) -> tuple[str, str]:
    """The state and the sentence for a run whose writer left with ``error``."""
    if error is None:
        return "failed", "the run ended without a word on how"
    if not isinstance(error, Exception):
        return "interrupted", "its worker was asked to leave"
    sentence = " ".join(str(error).split())
    if sentence and isinstance(error, StoreError | ValueError):  # these are sentences already
        return "failed", sentence[:500]
    return "failed", f"{type(error).__name__}: {sentence}"[:500].removesuffix(": ")
