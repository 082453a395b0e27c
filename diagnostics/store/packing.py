"""A chunk of records as bytes, and back.

A chunk is a header and a payload. The header is strict JSON, ``[[column, dtype, shape], ...]`` with dtype ``<f8`` or
``<i8`` (little-endian); the payload is the arrays' elements, C order, one column after the other, nothing between.
The checksum is the CRC-32 (``zlib.crc32``) of the chunk's number as 8 little-endian bytes, the header and the payload,
so a chunk that was altered, or that sits in another's place, is found. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from diagnostics.records import BAND, COLUMNS, Array, Records, Stream
from diagnostics.strict_json import dumps, loads

STREAMS: tuple[Stream, ...] = ("step", "eval", "profile")


def checked(columns: Mapping[str, Any]) -> Records:
    """Rows to append as ``Records`` of the right dtypes; raises ``ValueError`` naming the column that does not fit.

    Each stream that appears must bring all of its columns that are not optional, shaped as ``COLUMNS`` says.
    """
    cast: dict[str, Array] = {}
    for name, values in columns.items():
        if name not in COLUMNS:
            raise ValueError(f"column must be one of {', '.join(COLUMNS)}, but got {name!r}")
        column = COLUMNS[name]
        array = np.asarray(values)
        if array.dtype.kind not in ("biuf" if column.dtype == "f8" else "biu") or array.ndim != 1 + len(column.axes):
            axes = ", ".join(("rows", *column.axes))
            raise ValueError(
                f"{name} must be an array of {column.dtype} [{axes}], but got {array.dtype} of shape {array.shape}"
            )
        if column.axes[-1:] == ("band",) and array.shape[-1] != len(BAND):
            raise ValueError(f"{name} must end in an axis of {len(BAND)} ({', '.join(BAND)}), but got {array.shape}")
        cast[name] = np.ascontiguousarray(array, np.dtype(column.dtype).newbyteorder("<"))
    for stream in STREAMS:
        wanted = [n for n, c in COLUMNS.items() if c.stream == stream and not c.optional]
        missing = [n for n in wanted if n not in cast]
        if missing and any(COLUMNS[n].stream == stream for n in cast):
            raise ValueError(f"rows of the stream {stream!r} must bring {missing[0]}, but it is missing")
    return Records(cast)


def layout(records: Records) -> dict[str, tuple[int, ...]]:
    """The shape of one row of every profile column: the same in all chunks of a run, or they could not be joined."""
    return {name: array.shape[1:] for name, array in records.items() if COLUMNS[name].stream == "profile"}


def pack(records: Records) -> tuple[str, bytes]:
    """The header and the payload of ``records``, which ``checked`` has cast."""
    header = dumps([[name, array.dtype.str, list(array.shape)] for name, array in records.items()])
    return header, b"".join(array.tobytes() for array in records.values())


def checksum(seq: int, header: str, payload: bytes) -> int:
    """CRC-32 of a chunk."""
    return zlib.crc32(payload, zlib.crc32(header.encode(), zlib.crc32(seq.to_bytes(8, "little"))))


def unpack(header: str, payload: bytes) -> Records:
    """The records of a chunk; raises ``ValueError`` where header and payload do not fit each other."""
    columns: dict[str, Array] = {}
    position = 0
    for name, dtype, shape in loads(header):
        if dtype not in ("<f8", "<i8") or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"{name} has the impossible type {dtype} or shape {shape}")
        size = 8 * math.prod(shape)
        if position + size > len(payload):
            raise ValueError(f"{name} goes on after the end of the chunk")
        # A copy: arrays over the payload's bytes would be read-only and keep the whole chunk alive.
        columns[name] = np.frombuffer(payload, dtype, math.prod(shape), position).reshape(shape).copy()
        position += size
    if position != len(payload):
        raise ValueError(f"{len(payload) - position} bytes are left over")
    return checked(columns)
