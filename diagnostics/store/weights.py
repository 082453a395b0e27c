"""The weights that a run kept at some of its training steps, in the table ``weights`` of its file.

A row is a step, a header, a payload and a checksum, as a chunk's are (see ``packing``): the header is strict JSON,
``[[name, shape], ...]``, the payload the tensors' elements as little-endian float32, one tensor after the other. The
checksum is the CRC-32 of the step as 8 little-endian bytes, the header and the payload. Nothing is ever unpickled.
Files of format version 1 have no such table, and kept none.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.records import Array
from diagnostics.store.errors import StoreError
from diagnostics.store.packing import checksum
from diagnostics.strict_json import dumps, loads

TABLE = (
    "CREATE TABLE weights (step INTEGER PRIMARY KEY NOT NULL, header TEXT NOT NULL, payload BLOB NOT NULL,"
    " crc INTEGER NOT NULL)"
)
SINCE = 2
"""The format version of a run file from which on it has the table."""

AT_MOST_BYTES = 16 * 2**20
"""What all weights of a run take together, headers aside; a file that holds more is not ours."""
STEPS_AT_MOST = 100
"""Nor is one with the weights of more steps."""

Weights = dict[str, Array]
"""float32 by the names of the network's state."""


def insert(connection: sqlite3.Connection, step: int, weights: Mapping[str, Any]) -> None:
    """Write the weights of a step, inside a transaction of the caller's. Raises ``ValueError`` where they are none."""
    header, payload = pack(weights)
    connection.execute(
        "INSERT INTO weights VALUES (?, ?, ?, ?)", (step, header, payload, checksum(step, header, payload))
    )


def pack(weights: Mapping[str, Any]) -> tuple[str, bytes]:
    """The header and the payload; raises ``ValueError`` naming what is no float32 array."""
    arrays = {name: np.asarray(values) for name, values in weights.items()}
    for name, values in arrays.items():
        if values.dtype != np.float32:
            raise ValueError(f"{name} must be an array of float32, but got {values.dtype}")
    header = dumps([[name, list(values.shape)] for name, values in arrays.items()])
    return header, b"".join(np.ascontiguousarray(values, "<f4").tobytes() for values in arrays.values())


def unpack(header: str, payload: bytes) -> Weights:
    """The weights; raises ``ValueError`` or ``TypeError`` where header and payload do not fit each other."""
    found: Weights = {}
    position = 0
    for name, shape in loads(header):
        if not isinstance(name, str) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"{name!r} has the impossible shape {shape}")
        count = math.prod(shape)
        if position + 4 * count > len(payload):
            raise ValueError(f"{name} goes on after the end")
        found[name] = np.frombuffer(payload, "<f4", count, position).reshape(shape).astype(np.float32)
        position += 4 * count
    if position != len(payload):
        raise ValueError(f"{len(payload) - position} bytes are left over")
    return found


def steps(connection: sqlite3.Connection, path: Path) -> tuple[int, ...]:
    """The steps whose weights a file holds, rising; raises ``StoreError`` where its table is gone."""
    if fault := missing(connection):
        raise StoreError(f"{path} is damaged: {fault}")
    if not _has_table(connection):
        return ()
    return tuple(int(row[0]) for row in connection.execute("SELECT step FROM weights ORDER BY step"))


def missing(connection: sqlite3.Connection) -> str:
    """A phrase where the table should be there and is not, else ""."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return "its table weights is missing" if version >= SINCE and not _has_table(connection) else ""


def read(connection: sqlite3.Connection, path: Path, step: int) -> Weights:
    """The weights of a step that ``steps`` named; raises ``StoreError`` where they are damaged."""
    for _, weights, fault in scan(connection, step):
        if weights is None:
            raise StoreError(f"{path} is damaged: {fault}")
        return weights
    raise StoreError(f"{path} holds no weights of step {step}")


def scan(connection: sqlite3.Connection, only: int | None = None) -> Iterator[tuple[int, Weights | None, str]]:
    """Each step as (step, weights, fault); where there is a fault, a phrase, there are no weights."""
    if not _has_table(connection):
        return
    where, values = ("", ()) if only is None else (" WHERE step = ?", (only,))
    for step, header, payload, crc in connection.execute(
        f"SELECT step, header, payload, crc FROM weights{where} ORDER BY step", values
    ):
        whole = isinstance(header, str) and isinstance(payload, bytes) and step >= 0
        if not whole or crc != checksum(step, header, payload):
            yield step, None, f"the weights of step {step} do not match their checksum"
            continue
        try:
            yield step, unpack(header, payload), ""
        except (ValueError, TypeError, RecursionError) as error:
            yield step, None, f"the weights of step {step} cannot be read ({error})"


def too_large(connection: sqlite3.Connection) -> bool:
    """Whether a file holds more than any of ours does: asked before anything of a foreign one is read."""
    if not _has_table(connection):
        return False
    count, size, headers = connection.execute(
        "SELECT count(*), total(length(payload)), total(length(header)) FROM weights"
    ).fetchone()
    return bool(count > STEPS_AT_MOST or size > AT_MOST_BYTES or headers > AT_MOST_BYTES)


def _has_table(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weights'")
    return bool(found.fetchone()[0])
