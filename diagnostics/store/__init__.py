"""Runs on disk: a catalog, and a file for every run."""

from diagnostics.store.check import Finding
from diagnostics.store.errors import DiskFullError, StoreError
from diagnostics.store.rows import ENDED, STATES, ComparisonRow, RunRow
from diagnostics.store.store import Store
from diagnostics.store.tail import RunTail, read_run_file, read_run_weights
from diagnostics.store.workers import WorkerRow
from diagnostics.store.writer import RunWriter

__all__ = [
    "ENDED",
    "STATES",
    "ComparisonRow",
    "DiskFullError",
    "Finding",
    "RunRow",
    "RunTail",
    "RunWriter",
    "Store",
    "StoreError",
    "WorkerRow",
    "read_run_file",
    "read_run_weights",
]
