"""A Ctrl-C between any two statements: no lock outlives it, not even while somebody handles it."""

from __future__ import annotations

import sqlite3
from functools import partial

import pytest

from diagnostics.store import database

STATEMENTS = ("PRAGMA mmap_size=0", "BEGIN", "PRAGMA schema_version", "BEGIN IMMEDIATE", "COMMIT")


@pytest.mark.parametrize("broken_off", STATEMENTS)
def test_who_handles_an_interrupt_can_write(store, finished, monkeypatch, broken_off):
    seen = []

    class Interrupted(sqlite3.Connection):
        def execute(self, statement, *values):
            found = super().execute(statement, *values)
            if statement == broken_off and not seen:
                seen.append(statement)
                found.close()  # this frame outlives the interrupt, and would hold what a real one drops
                raise KeyboardInterrupt
            return found

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Interrupted))
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    try:
        store.rename(finished, "first")
        store.runs()
    except KeyboardInterrupt:  # its traceback holds every frame that it came through
        store.rename(finished, "second")
    assert seen == [broken_off]
    assert store.row(finished).name == "second"
