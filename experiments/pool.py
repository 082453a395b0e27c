"""Starting worker processes: enough of them, never too many, and not for ever where none can start."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from diagnostics.store import RunRow, Store, WorkerRow
from diagnostics.store.locks import is_held
from experiments.launch import last_line, launch, lives

FAILURES_AT_MOST = 3
"""After so many workers in a row that could not start, the runs that wait for one are told."""

HUNG_S = 30.0
"""A run that was asked to stop and has been silent for so long is taken from its worker."""

LOGS_KEPT = 20

_CHILDREN: list[subprocess.Popen[bytes]] = []
"""The workers that this process started: whoever does not ask after its children keeps them as zombies."""


def default_slots() -> int:
    """As many workers as cores that this process may use, less one for the page; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


class Pool:
    """The workers of a store. What is known of them lies in the store, so any process can look after them."""

    def __init__(self, store: Store, slots: int, idle_s: float, trainer: str) -> None:
        self._store = store
        self._slots = slots
        self._idle_s = idle_s
        self._trainer = trainer

    def ensure(self, waiting: int, busy: int, warm: int) -> str:
        """Start what is missing for ``waiting`` and ``busy`` runs and ``warm`` spare workers, one per free slot.

        Returns "", or the sentence that says why no worker can start, after ``FAILURES_AT_MOST`` of them.
        """
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
        rows = self._without_the_dead(self._store.workers.rows())
        failed = [row for row in rows if row.state == "failed"]
        if len(failed) >= FAILURES_AT_MOST:
            self._store.workers.remove([row.token for row in failed])
            return f"no worker could start: {failed[-1].detail} (all of it is in {failed[-1].log})"
        if failed and time.time() < failed[-1].spawned_s + 0.5 * len(failed):
            return ""
        starting = sum(row.state == "spawned" for row in rows)
        held = sum(is_held(self._store.layout.slot_lock(slot)) for slot in range(self._slots))
        wanted = min(self._slots, waiting + busy + warm)
        for _ in range(wanted - held - starting):
            self._spawn()
        return ""

    def kill_hung(self, running: Iterable[RunRow]) -> None:
        """End the workers of runs that were asked to stop and no longer listen."""
        hung = {row.id for row in running if row.stop_requested and time.time() - (row.heartbeat_s or 0.0) > HUNG_S}
        if hung:
            for worker in self._store.workers.rows():
                if worker.run in hung and worker.pid is not None and lives(worker.pid, worker.spawned_s):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)

    def _without_the_dead(self, rows: list[WorkerRow]) -> list[WorkerRow]:
        """Note workers that died: before they were ready that is a failure to start, later only a fact."""
        dead = [row for row in rows if row.state != "failed" and not lives(row.pid, row.spawned_s)]
        for row in dead:
            if row.state == "ready":
                self._store.workers.remove([row.token])
            else:
                self._store.workers.update(row.token, "failed", detail=last_line(Path(row.log)))
        return self._store.workers.rows() if dead else rows

    def _spawn(self) -> None:
        token = f"w-{secrets.token_hex(4)}"
        log = self._store.layout.logs / f"{token}.log"
        if not self._store.workers.add(token, str(log), self._slots):
            return
        self._drop_old_logs()
        arguments = ["--store", str(self._store.path), "--token", token]
        arguments += ["--slots", str(self._slots), "--idle", str(self._idle_s), "--trainer", self._trainer]
        try:
            child = launch("experiments.worker", arguments, log)
        except OSError as error:
            self._store.workers.update(token, "failed", detail=f"{sys.executable} cannot be run: {error.strerror}")
            return
        _CHILDREN.append(child)
        self._store.workers.set_pid(token, child.pid)

    def _drop_old_logs(self) -> None:
        in_use = {row.log for row in self._store.workers.rows()}
        with contextlib.suppress(OSError):
            logs = sorted(self._store.layout.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in logs[LOGS_KEPT:]:
                if str(path) not in in_use:
                    path.unlink(missing_ok=True)
