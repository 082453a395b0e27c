"""The catalog: names, specs, states and the queue, one SQLite file that several processes write.

Every change of state is a compare-and-set: it names the state it starts from, and tells whether it happened. Each
operation opens a connection of its own, so threads and processes need no agreement between them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diagnostics.store.database import Format, connect, reading, stamp, told, transaction, version_of
from diagnostics.store.errors import StoreError
from diagnostics.store.rows import (
    COLUMNS,
    STATES,
    ComparisonRow,
    RunRow,
    clean_name,
    from_base32,
    row_of,
    to_base32,
    to_text,
)
from diagnostics.strict_json import dumps

FORMAT = Format("a catalog", 0x67725263, 1, ("comparison", "run", "worker"))
TICKS_PER_S = 32
EPOCH_S = 1_735_689_600
"""Ids count ticks from 2025-01-01, so that they stay short and sort by age."""

_SCHEMA = (
    "CREATE TABLE comparison (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, created_s REAL NOT NULL)",
    "CREATE TABLE run (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " comparison TEXT NOT NULL REFERENCES comparison (id), name TEXT NOT NULL, spec TEXT NOT NULL,"
    f" state TEXT NOT NULL CHECK (state IN ({', '.join(map(repr, STATES))})), created_s REAL NOT NULL,"
    " started_s REAL, ended_s REAL, heartbeat_s REAL, elapsed_s REAL, steps_done INTEGER NOT NULL DEFAULT 0,"
    " steps INTEGER NOT NULL, loss TEXT, success TEXT, detail TEXT NOT NULL DEFAULT '',"
    " deleted INTEGER NOT NULL DEFAULT 0, stop INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX run_by_state ON run (state, number)",
    "CREATE INDEX run_by_comparison ON run (comparison, number)",
    "CREATE TABLE worker (token TEXT PRIMARY KEY NOT NULL, pid INTEGER, state TEXT NOT NULL, slot INTEGER,"
    " spawned_s REAL NOT NULL, log TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', run TEXT)",
)


class Catalog:
    """The file ``path``, made where it is missing. ``newer`` says that a newer version wrote it: only read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writable = True
        """Turned off by the store where the catalog may only be read."""
        if not path.exists() or path.stat().st_size == 0:
            _create(path)
        with reading(path) as connection:
            self.version = version_of(connection, path, FORMAT)
        self.newer = self.version > FORMAT.version
        self.damaged: Mapping[bytes, str] = {}
        """What is wrong with the lines that the last listing had to leave out, by the ids of their runs."""

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that takes the write lock at once. ``durable`` waits until a loss of power cannot undo it, as
        state changes must; without, it waits for the disk no longer than the catalog needs to stay whole."""
        if not self.writable:
            raise StoreError(f"the store {self.path.parent} is open for reading only, so nothing in it can be changed")
        with told(self.path):
            connection = connect(self.path, write=True)
            try:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                if not durable:  # emptying the journal takes half as long as deleting it: the folder stays as it is
                    connection.execute("PRAGMA journal_mode=TRUNCATE")
                with transaction(connection):
                    yield connection
            finally:
                connection.close()

    def rows(
        self, *, comparison: str | None = None, include_deleted: bool = False, active: bool = False
    ) -> list[RunRow]:
        """The runs, newest first; with ``active`` only those that are queued or running.

        A damaged line is left out, and told of in ``damaged``: it is no reason to hide the others.
        """
        where, values = ["1"], []
        if comparison is not None:
            where.append("run.comparison = ?")
            values.append(comparison)
        if not include_deleted:
            where.append("NOT run.deleted")
        if active:
            where.append("run.state IN ('queued', 'running')")
        rows, faults = [], dict[bytes, str]()
        with reading(self.path) as connection:
            connection.text_factory = bytes  # text that is none then spoils its own line alone
            for line in connection.execute(f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY run.number DESC", values):
                try:
                    rows.append(row_of(line))
                except StoreError as error:
                    faults[line[0]] = str(error)
        whole = comparison is None and not active
        self.damaged = faults if whole else {**self.damaged, **faults}
        return rows

    def row(self, run_id: str) -> RunRow:
        """One run; raises ``StoreError`` where there is none of this id."""
        with reading(self.path) as connection:
            return fetch(connection, run_id)

    def queued(self) -> list[str]:
        """The ids of the runs that wait, the oldest first."""
        return [row.id for row in reversed(self.rows(active=True)) if row.state == "queued"]

    def ids(self) -> list[str]:
        """The ids of all runs, deleted ones too, the oldest first."""
        with reading(self.path) as connection:
            return [str(row[0]) for row in connection.execute("SELECT id FROM run ORDER BY number")]

    def comparisons(self) -> list[ComparisonRow]:
        """The comparisons that still have a run, newest first."""
        with reading(self.path) as connection:
            connection.text_factory = _readable
            found = connection.execute(
                "SELECT c.id, c.name, c.created_s, count(*) FROM comparison c JOIN run ON run.comparison = c.id"
                " WHERE NOT run.deleted GROUP BY c.id ORDER BY c.created_s DESC, c.id DESC"
            )
            return [ComparisonRow(*values) for values in found]

    def insert(
        self,
        specs: Sequence[Mapping[str, Any]],
        names: Sequence[str],
        comparison_name: str,
        *,
        comparison: str | None = None,
        columns: Mapping[str, Any] | None = None,
        before: Callable[[str], None] = lambda run_id: None,
    ) -> tuple[str, list[str]]:
        """Add runs to a new comparison, or to an existing one, and return its id and theirs.

        They are queued, unless ``columns`` has others, with the state that they are in. ``before`` is called with each
        id before anybody can see the run.
        """
        if not specs or len(specs) != len(names):
            raise StoreError(f"names must be one per spec, at least one, but got {len(names)} for {len(specs)}")
        cleaned = [clean_name(name) for name in names]
        title = clean_name(comparison_name, "comparison_name")
        texts = [dumps(spec) for spec in specs]
        now = time.time()
        with self.writing() as connection:
            number = _next_number(connection, now)
            if comparison is None:
                comparison = f"c-{to_base32(number)}"
                connection.execute("INSERT INTO comparison VALUES (?, ?, ?)", (comparison, title, now))
            else:
                _still_there(connection, comparison)
            ids = [f"r-{to_base32(number + i)}" for i in range(len(specs))]
            for run_id, name, text, spec in zip(ids, cleaned, texts, specs, strict=True):
                values = {
                    "id": run_id,
                    "comparison": comparison,
                    "name": name or run_id,
                    "spec": text,
                    "created_s": now,
                }
                values |= {"state": "queued", "steps": _steps(spec)} | _bound(columns or {})
                before(run_id)
                connection.execute(
                    f"INSERT INTO run ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
                )
        return comparison, ids

    def change(self, run_id: str, expected: str, state: str, **columns: Any) -> bool:
        """Compare-and-set: bring a run from ``expected`` to ``state`` and set columns; False where it was elsewhere."""
        columns = _bound(columns)
        setters = ", ".join(f"{name} = ?" for name in ("state", *columns))
        with self.writing() as connection:
            done = connection.execute(
                f"UPDATE run SET {setters} WHERE id = ? AND state = ?", (state, *columns.values(), run_id, expected)
            )
            return done.rowcount == 1

    def beat(self, run_id: str, columns: Mapping[str, Any]) -> None:
        """Note that a running run's worker lives, and how far it is; see ``writing`` on what is not durable."""
        setters = "".join(f", {name} = ?" for name in columns)
        with self.writing(durable=False) as connection:
            connection.execute(
                f"UPDATE run SET heartbeat_s = ?{setters} WHERE id = ? AND state = 'running'",
                (time.time(), *_bound(columns).values(), run_id),
            )

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        cleaned = clean_name(name)
        if not cleaned:
            raise StoreError("name must not be empty")
        with self.writing() as connection:
            fetch(connection, run_id)
            connection.execute("UPDATE run SET name = ? WHERE id = ?", (cleaned, run_id))

    def set_deleted(self, run_ids: Sequence[str], deleted: bool) -> None:
        """Mark runs as deleted, or take the mark away; all or none. A queued run is stopped, a running one refused."""
        with self.writing() as connection:
            for run_id in run_ids:
                if fetch(connection, run_id).state == "running" and deleted:
                    raise StoreError(f"run {run_id} is still running: stop it before deleting it")
                connection.execute("UPDATE run SET deleted = ? WHERE id = ?", (int(deleted), run_id))
                if deleted:
                    connection.execute(
                        "UPDATE run SET state = 'stopped', ended_s = ?, detail = 'deleted before it began'"
                        " WHERE id = ? AND state = 'queued'",
                        (time.time(), run_id),
                    )

    def remove(self, run_ids: Sequence[str] | None) -> list[str]:
        """Forget runs that are marked as deleted (None: all of them); returns which. Others are refused."""
        with self.writing() as connection:
            if run_ids is None:
                run_ids = [row[0] for row in connection.execute("SELECT id FROM run WHERE deleted")]
            for run_id in run_ids:
                if not fetch(connection, run_id).deleted:
                    raise StoreError(f"run {run_id} must be deleted before it can be removed for good")
                connection.execute("DELETE FROM run WHERE id = ?", (run_id,))
            connection.execute("DELETE FROM comparison WHERE id NOT IN (SELECT comparison FROM run)")
        return list(run_ids)


_SELECT = f"SELECT {COLUMNS} FROM run LEFT JOIN comparison ON comparison.id = run.comparison"


def fetch(connection: sqlite3.Connection, run_id: str) -> RunRow:
    """The run ``run_id``; raises ``StoreError`` where there is none."""
    connection.text_factory = bytes  # see ``Catalog.rows``
    found = connection.execute(f"{_SELECT} WHERE run.id = ?", (run_id,)).fetchone()
    connection.text_factory = str
    if found is None:
        raise StoreError(f"there is no run {run_id!r} in this store")
    return row_of(found)


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _still_there(connection: sqlite3.Connection, comparison: str) -> None:
    """Raise ``StoreError`` where runs could not join the comparison."""
    found = connection.execute("SELECT min(deleted) FROM run WHERE comparison = ?", (comparison,)).fetchone()[0]
    if found is None:
        raise StoreError(f"there is no comparison {comparison!r} in this store")
    if found:
        raise StoreError(f"comparison {comparison} has been deleted: restore one of its runs before adding to it")


def _create(path: Path) -> None:
    """Make the tables. Two processes may arrive here together: the second finds them made."""
    with told(path):
        path.touch()
        connection = connect(path, write=True)
        try:
            with transaction(connection):
                if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    stamp(connection, FORMAT)
        finally:
            connection.close()


def _next_number(connection: sqlite3.Connection, now: float) -> int:
    """The next free id number: the time in ticks, or one more than the highest where runs came faster than that."""
    highest = connection.execute("SELECT max(id) FROM run").fetchone()[0]
    last = 0
    if highest is not None:
        try:
            last = from_base32(highest.removeprefix("r-"))
        except ValueError as error:
            raise StoreError(f"the catalog holds the impossible run id {highest!r}") from error
    return max(int((now - EPOCH_S) * TICKS_PER_S), last + 1)


def _steps(spec: Mapping[str, Any]) -> int:
    steps = spec.get("steps", 0)
    return steps if isinstance(steps, int) else 0


def _bound(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as SQLite keeps them: the two numbers that may be nan go in as text."""
    return {name: to_text(value) if name in ("loss", "success") else value for name, value in columns.items()}
