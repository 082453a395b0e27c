"""What became of a run whose worker is gone: found out by the next one who looks, and written down where possible."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diagnostics.store import locks, run_file
from diagnostics.store.catalog import Catalog
from diagnostics.store.errors import DiskFullError, StoreError
from diagnostics.store.layout import UNFINISHED, Layout
from diagnostics.store.rows import RunRow
from diagnostics.store.tail import RunReader, summary

GONE = "the process that wrote it is gone: it was killed, or the machine stopped"
SILENT_S = 60.0
"""Where the lock itself cannot be asked (a store of another user), a worker is taken for gone after this silence."""


def settle(layout: Layout, catalog: Catalog, row: RunRow) -> RunRow:
    """``row``, unless it says running and nobody holds the run: then the state in which it was left."""
    if row.state != "running":
        return row
    try:
        lock = locks.hold(layout.run_lock(row.id))
    except StoreError:
        silent = time.time() - (row.heartbeat_s or 0.0) > SILENT_S
        return _left(row, _remains(layout, row)) if silent else row
    if lock is None:
        return row
    try:
        # With the lock in hand nobody else writes; the row may be older than the writer's last word.
        row = catalog.row(row.id)
        if row.state != "running":
            return row
        if not catalog.writable:
            return _left(row, _remains(layout, row))
        _tidy(layout, row.id)
        left = _remains(layout, row)
        try:
            catalog.change(row.id, "running", **left)
        except DiskFullError:
            return _left(row, left)
        return catalog.row(row.id)
    finally:
        lock.release()


def _tidy(layout: Layout, run_id: str) -> None:
    """Leave one whole file of the run, and nothing that its worker only needed while it lived."""
    path = layout.run_file(run_id)
    run_file.seal(path)
    for left in (layout.reserve(run_id), *(path.with_name(path.name + suffix) for suffix in UNFINISHED)):
        left.unlink(missing_ok=True)


def _remains(layout: Layout, row: RunRow) -> dict[str, Any]:
    """The columns that the catalog should have, from what the run's file says; a damaged file leaves them be."""
    left: dict[str, Any] = {"state": "interrupted", "detail": GONE, "ended_s": row.heartbeat_s}
    reader = RunReader(layout, row.id)
    try:
        reader.look(row)
        # A run that had ended, and lacks only its worker's last word to the catalog, keeps its end.
        return left | summary(reader.documents, reader.records)
    except StoreError:
        return left


def _left(row: RunRow, left: Mapping[str, Any]) -> RunRow:
    return replace(row, **left)
