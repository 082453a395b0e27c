"""SQLite as the store uses it: how a file is opened, how a transaction ends, and what an error says.

A catalog has several writers, so it keeps the rollback journal. A run file has one writer, so it may use a
write-ahead log while it grows: a read-only reader then never waits, and can read what was acknowledged even after the
writer was killed in the middle of a commit (with a rollback journal it could not: rolling back is writing).
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diagnostics.store.errors import DiskFullError, StoreError

BUSY_TIMEOUT_MS = 10_000
LARGEST_VALUE = 256 * 2**20
"""No text or blob of a store is longer, in bytes; a damaged or hostile length is refused before it is allocated."""


@dataclass(frozen=True)
class Format:
    """What makes a SQLite file one of ours: ``application_id`` and ``user_version``, and the tables inside."""

    what: str
    application_id: int
    version: int
    tables: tuple[str, ...]


def connect(path: Path, *, write: bool = False, immutable: bool = False) -> sqlite3.Connection:
    """Open the existing file ``path``, read-only unless ``write``; autocommit, so that transactions are explicit."""
    mode = "rw" if write else "ro"
    uri = f"{path.resolve().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "trusted_schema=OFF", "mmap_size=0", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only look at ``path`` as it is at one moment; what fails is a ``StoreError`` that names the file.

    A lock is taken only where it is sure to be given back: a Ctrl-C may come between any two lines, and whoever
    catches it writes to the same file next.
    """
    with told(path):
        connection = connect(path)
        try:
            try:
                _look(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_IOERR", "SQLITE_FULL")):
                    raise
                connection.close()
                connection = _open_with_trouble(path)
            yield connection
        finally:
            connection.close()


def _look(connection: sqlite3.Connection) -> None:
    """Begin a transaction that has read something, so that everything after it comes from the same moment."""
    connection.execute("BEGIN")
    connection.execute("PRAGMA schema_version").fetchone()


def _open_with_trouble(path: Path) -> sqlite3.Connection:
    """Open what a read-only connection cannot: a killed writer left its journal, or the folder cannot be written.

    In the first case SQLite must undo the half-done transaction, which is writing, though nothing of ours. In the
    second it has no place for the index of a write-ahead log, and needs none where there is no log.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        connection = connect(path, write=True)
        try:
            connection.execute("PRAGMA query_only=ON")
            _look(connection)
        except BaseException:
            connection.close()
            raise
        return connection
    for left in (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")):
        if left.exists() and left.stat().st_size > 0:
            raise StoreError(
                f"{path} cannot be read where it lies, because {left.name} belongs to it and the folder cannot be "
                "written: copy the store to a folder of your own"
            )
    return connect(path, immutable=True)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing. The write lock is taken at once, so two writers wait for each other instead of failing late."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite has rolled back by itself, and a second ROLLBACK would hide the cause.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise about ``path`` into a ``StoreError`` of one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_full(path, error):
            raise DiskFullError(f"the disk is full: nothing more can be written to {path}") from error
        if not path.exists():
            raise StoreError(f"{path} is missing") from error
        raise StoreError(f"{path} cannot be used: {error}") from error
    except UnicodeDecodeError as error:  # Python's, on text that SQLite hands over as it lies in a damaged file
        raise StoreError(f"{path} is damaged: it holds text that is none") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"the disk is full: nothing more can be written to {path}") from error
        raise StoreError(f"{path} cannot be used: {error.strerror or error}") from error


def _is_full(path: Path, error: sqlite3.Error) -> bool:
    """Whether ``error`` is about space: SQLite says so itself, except where it was growing the index of a log."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return True
    if not name.startswith("SQLITE_IOERR"):
        return False
    try:
        return shutil.disk_usage(path.parent).free < 2**16
    except OSError:
        return False


def version_of(connection: sqlite3.Connection, path: Path, form: Format) -> int:
    """The ``user_version`` of a file of this form; raises ``StoreError`` where it is something else."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != form.application_id:
        raise StoreError(f"{path} is not {form.what} of gradreach, so it is left alone")
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if missing := [name for name in form.tables if name not in tables]:
        raise StoreError(f"{path} is damaged: its table {missing[0]} is missing")
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def stamp(connection: sqlite3.Connection, form: Format) -> None:
    """Mark a file as one of this form, inside the transaction that makes its tables."""
    connection.execute(f"PRAGMA application_id={form.application_id}")
    connection.execute(f"PRAGMA user_version={form.version}")
