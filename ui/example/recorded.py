"""Reading the recorded example: run files as the store writes them, opened read-only where they lie."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from diagnostics.records import Run
from diagnostics.store import StoreError, read_run_file

FOLDER = Path(__file__).parent


@cache
def runs() -> tuple[Run, ...]:
    """The example's runs, in the order of their file names; none where a file is missing or damaged."""
    try:
        return tuple(replace(read_run_file(path), comparison="example") for path in sorted(FOLDER.glob("*.sqlite")))
    except StoreError:
        return ()  # it is an illustration: the page says that it is not there, and everything else works
