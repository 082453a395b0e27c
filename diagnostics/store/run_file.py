"""One run's file: what was asked, what was recorded in numbered chunks, and how it ended.

Table ``document`` holds strict JSON by name (``run``, ``facts``, ``info``, ``updates``, ``end``), each with the CRC-32
of its name and text. Table ``chunk`` holds the records (see ``packing``), numbered from 1 without gaps, one transaction
each. Table ``weights`` holds the weights that were kept (see ``weights``); files of format version 1 have none.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diagnostics.records import Records
from diagnostics.store import weights
from diagnostics.store.database import Format, connect, reading, stamp, told, transaction, version_of
from diagnostics.store.errors import StoreError
from diagnostics.store.packing import checksum, pack, unpack
from diagnostics.strict_json import dumps, loads

FORMAT = Format("a run file", 0x67725272, 2, ("document", "chunk"))

SCHEMA: Mapping[str, str] = {
    "document": "CREATE TABLE document (name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, crc INTEGER NOT NULL)",
    "chunk": "CREATE TABLE chunk (seq INTEGER PRIMARY KEY NOT NULL, header TEXT NOT NULL, payload BLOB NOT NULL,"
    " crc INTEGER NOT NULL)",
    "weights": weights.TABLE,
}
SCHEMA_1 = {name: statement for name, statement in SCHEMA.items() if name != "weights"}
"""Of files of version 1."""


class RunFile:
    """The writing end; there is at most one per file, which the run's lock sees to."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Make the file ``path`` with the document ``run`` = ``about``; it appears whole or not at all."""
        self.path = path
        self.seq = 0
        self.kept: list[int] = []
        self._updates: dict[str, dict[str, float]] = {}
        fresh = path.with_name(path.name + ".new")
        with told(path):
            fresh.unlink(missing_ok=True)
            fresh.touch()
            connection = connect(fresh, write=True)
            try:
                with transaction(connection):
                    for statement in SCHEMA.values():
                        connection.execute(statement)
                    _put(connection, "run", about)
                    stamp(connection, FORMAT)
            finally:
                connection.close()
            if path.exists():
                raise StoreError(f"{path} exists already, and a run file is written only once")
            fresh.replace(path)
            self._connection = connect(path, write=True)
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
            except BaseException:
                self._connection.close()
                raise

    def put(self, **documents: Any) -> None:
        """Write documents, in one transaction."""
        with told(self.path), transaction(self._connection):
            for name, value in documents.items():
                _put(self._connection, name, value)

    def append(self, records: Records) -> int:
        """Write one chunk and return its number. Once this has returned, ``kill -9`` does not lose it."""
        header, payload = pack(records)
        seq = self.seq + 1
        with told(self.path), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO chunk VALUES (?, ?, ?, ?)", (seq, header, payload, checksum(seq, header, payload))
            )
        self.seq = seq
        return seq

    def keep(self, step: int, values: Mapping[str, Any], update_ratio: Mapping[str, float] | None = None) -> None:
        """Write the weights of a training step, float32 by name, and with them, in the document ``updates``, the update
        ratios of that step; then ``kill -9`` does not lose them.

        Raises ``ValueError`` where they are no such arrays, or weights of this step are there already.
        """
        if step < 0 or step in self.kept:
            raise ValueError(f"step must be one whose weights are not kept yet, from 0, but got {step}")
        with told(self.path), transaction(self._connection):
            weights.insert(self._connection, step, values)
            if update_ratio:
                _put(self._connection, "updates", self._updates | {str(step): dict(update_ratio)})
        if update_ratio:
            self._updates[str(step)] = dict(update_ratio)
        self.kept.append(step)

    def close(self) -> None:
        """Fold the log into the file, so that it can be copied alone, and let go of it."""
        with contextlib.suppress(sqlite3.Error):  # left in its log, the file reads the same
            _fold(self._connection)
        self._connection.close()


def seal(path: Path) -> None:
    """Fold the log that a killed worker left into its file; only for the holder of the run's lock."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path, write=True)) as connection:
        _fold(connection)


def _fold(connection: sqlite3.Connection) -> None:
    # Readers that are looking right now make this fail; they see the same data either way, so do not wait long.
    connection.execute("PRAGMA busy_timeout=500")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA journal_mode=DELETE")


def _put(connection: sqlite3.Connection, name: str, value: Any) -> None:
    text = dumps(value)
    connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (name, text, _crc(name, text)))


def _crc(name: str, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(name.encode()))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a run file; raises ``StoreError`` where it is missing, foreign or damaged."""
    with reading(path) as connection:
        version = version_of(connection, path, FORMAT)
        try:
            yield connection
        except StoreError as error:
            if version > FORMAT.version:
                raise StoreError(f"{path} was written by a newer version of gradreach, which is needed here") from error
            raise


def documents(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """All documents; raises ``StoreError`` naming the first that is damaged."""
    found: dict[str, Any] = {}
    for name, value, fault in scan_documents(connection):
        if fault:
            raise StoreError(f"{path} is damaged: {fault}")
        found[name] = value
    return found


def scan_documents(connection: sqlite3.Connection) -> Iterator[tuple[str, Any, str]]:
    """Each document as (name, value, fault); a fault is a phrase, or empty."""
    for name, text, crc in connection.execute("SELECT name, json, crc FROM document"):
        if not isinstance(name, str) or not isinstance(text, str) or crc != _crc(name, text):
            yield str(name), None, f"document {name!r} does not match its checksum"
            continue
        try:
            value = loads(text)
        except (ValueError, RecursionError) as error:
            yield name, None, f"document {name!r} is not strict JSON ({error})"
            continue
        whole = isinstance(value, dict)
        yield name, value if whole else None, "" if whole else f"document {name!r} is no JSON object"


def chunks(connection: sqlite3.Connection, path: Path, after: int = 0) -> list[Records]:
    """The chunks that follow number ``after``; raises ``StoreError`` naming the first that is damaged or missing."""
    found: list[Records] = []
    for _, records, fault in scan_chunks(connection, after):
        if records is None:
            raise StoreError(f"{path} is damaged: {fault}")
        found.append(records)
    return found


def scan_chunks(connection: sqlite3.Connection, after: int = 0) -> Iterator[tuple[int, Records | None, str]]:
    """Each chunk as (number, records, fault); where there is a fault, a phrase, there are no records."""
    expected = after + 1
    rows = connection.execute("SELECT seq, header, payload, crc FROM chunk WHERE seq > ? ORDER BY seq", (after,))
    for seq, header, payload, crc in rows:
        if seq != expected:
            missing = f"chunk {expected} is" if seq == expected + 1 else f"chunks {expected} to {seq - 1} are"
            yield expected, None, f"{missing} missing"
        expected = seq + 1
        whole = isinstance(header, str) and isinstance(payload, bytes)
        if not whole or crc != checksum(seq, header, payload):
            yield seq, None, f"chunk {seq} does not match its checksum"
            continue
        try:
            yield seq, unpack(header, payload), ""
        except (ValueError, TypeError, RecursionError) as error:
            yield seq, None, f"chunk {seq} cannot be read ({error})"


def copy_whole(path: Path, target: Path) -> None:
    """Copy a run file with what is still in its log into the single file ``target``, also while it is being written."""
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    with opened(path) as source, told(target):
        with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(target)
