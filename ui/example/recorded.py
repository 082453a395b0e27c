"""Reading the recorded example: files as the store and an inspection write them, opened where they lie."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from diagnostics.inspection import Inspection, load
from diagnostics.records import Run
from diagnostics.store import StoreError, read_run_file
from models.cells import CELLS

FOLDER = Path(__file__).parent


@cache
def inspections() -> tuple[tuple[str, Inspection], ...]:
    """The example of Inspect as (name, inspection), in the order of their file names; none where a file is damaged."""
    try:
        found = [load(path) for path in sorted(FOLDER.glob("*.npz"))]
    except (OSError, ValueError):
        return ()  # as with the runs below
    return tuple((CELLS[one.cell].title, one) for one in found)


@cache
def runs() -> tuple[Run, ...]:
    """The example's runs, in the order of their file names; none where a file is missing or damaged."""
    try:
        return tuple(replace(read_run_file(path), comparison="example") for path in sorted(FOLDER.glob("*.sqlite")))
    except StoreError:
        return ()  # it is an illustration: the page says that it is not there, and everything else works
