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

import psutil

from diagnostics.store import RunRow, Store, WorkerRow
from diagnostics.store.locks import is_held

ROOT = Path(__file__).resolve().parents[1]
"""Where ``python -m experiments.worker`` finds its modules."""

FAILURES_AT_MOST = 3
"""After so many workers in a row that could not start, the runs that wait for one are told."""

START_S = 120.0
"""A worker that was announced so long ago and has no process was never started: its starter died."""

HUNG_S = 30.0
"""A run that was asked to stop and has been silent for so long is taken from its worker."""

LOGS_KEPT = 20

KEEPS_MEMORY = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**32))
"""With these the C library (glibc; others do not look) keeps what a training step frees for the next one, instead of
giving it back to the system and fetching it again, page by page: at 100,000 timesteps that is most of a step."""

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
                if worker.run in hung and worker.pid is not None and _lives(worker):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)

    def _without_the_dead(self, rows: list[WorkerRow]) -> list[WorkerRow]:
        """Note workers that died: before they were ready that is a failure to start, later only a fact."""
        dead = [row for row in rows if row.state != "failed" and not _lives(row)]
        for row in dead:
            if row.state == "ready":
                self._store.workers.remove([row.token])
            else:
                self._store.workers.update(row.token, "failed", detail=_last_line(Path(row.log)))
        return self._store.workers.rows() if dead else rows

    def _spawn(self) -> None:
        token = f"w-{secrets.token_hex(4)}"
        log = self._store.layout.logs / f"{token}.log"
        if not self._store.workers.add(token, str(log), self._slots):
            return
        self._drop_old_logs()
        command = [sys.executable, "-m", "experiments.worker", "--store", str(self._store.path), "--token", token]
        command += ["--slots", str(self._slots), "--idle", str(self._idle_s), "--trainer", self._trainer]
        # One thread each: the numbers do not depend on the machine's load, and workers do not fight for cores.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            with log.open("wb") as output:
                child = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**KEEPS_MEMORY, **os.environ, **threads},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # closing the app, or Ctrl-C in its terminal, does not touch a run
                )
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


def _lives(row: WorkerRow) -> bool:
    """Whether the worker's process is there; a zombie is not, and neither is a stranger that got its number."""
    if row.pid is None:
        return time.time() - row.spawned_s < START_S
    try:
        process = psutil.Process(row.pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() < row.spawned_s + START_S)
    except psutil.Error:
        return False


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return "its log cannot be read"
    return next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "it left no word")
