"""The catalog's list of worker processes: who was started, who is ready, and who could not start.

Any process may look: whether a worker lives is judged by its slot's lock, not by this list.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from diagnostics.store.catalog import Catalog
from diagnostics.store.database import reading


@dataclass(frozen=True)
class WorkerRow:
    """A worker process. ``state``: spawned (no slot yet), starting, ready, or failed (it never became ready)."""

    token: str
    pid: int | None
    state: str
    slot: int | None
    spawned_s: float
    log: str
    detail: str
    run: str | None
    """The run that it is training."""


class WorkerList:
    """The table ``worker`` of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def rows(self) -> list[WorkerRow]:
        """Everybody on the list, the oldest first."""
        with reading(self._catalog.path) as connection:
            found = connection.execute(
                "SELECT token, pid, state, slot, spawned_s, log, detail, run FROM worker ORDER BY spawned_s, token"
            )
            return [WorkerRow(*values) for values in found]

    def add(self, token: str, log: str, at_most: int) -> bool:
        """Announce a worker that is about to be started, unless ``at_most`` are announced and have no slot yet."""
        with self._catalog.writing(durable=False) as connection:
            waiting = connection.execute("SELECT count(*) FROM worker WHERE state = 'spawned'").fetchone()[0]
            if waiting >= at_most:
                return False
            connection.execute(
                "INSERT INTO worker (token, state, spawned_s, log) VALUES (?, 'spawned', ?, ?)",
                (token, time.time(), log),
            )
        return True

    def update(
        self, token: str, state: str, *, pid: int | None = None, slot: int | None = None, detail: str = ""
    ) -> None:
        """Note what became of a worker. Once one is ready, workers can start: earlier failures are forgotten."""
        with self._catalog.writing(durable=False) as connection:
            connection.execute(
                "UPDATE worker SET state = ?, pid = coalesce(?, pid), slot = coalesce(?, slot), detail = ?"
                " WHERE token = ?",
                (state, pid, slot, detail, token),
            )
            if state == "ready":
                connection.execute("DELETE FROM worker WHERE state = 'failed'")

    def set_run(self, token: str, run_id: str | None) -> None:
        """Note which run a worker is training."""
        with self._catalog.writing(durable=False) as connection:
            connection.execute("UPDATE worker SET run = ? WHERE token = ?", (run_id, token))

    def set_pid(self, token: str, pid: int) -> None:
        """Note the process id of a worker that was just started."""
        with self._catalog.writing(durable=False) as connection:
            connection.execute("UPDATE worker SET pid = ? WHERE token = ?", (pid, token))

    def remove(self, tokens: list[str]) -> None:
        """Strike workers off the list."""
        with self._catalog.writing(durable=False) as connection:
            connection.executemany("DELETE FROM worker WHERE token = ?", [(token,) for token in tokens])
