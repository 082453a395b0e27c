"""Where things lie in a store's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from diagnostics.store.errors import StoreError

_ID = re.compile(r"r-[0-9a-z]{7,13}")


@dataclass(frozen=True)
class Layout:
    """The paths of the store in the folder ``root``. An id that is no id never becomes a path."""

    root: Path

    @property
    def catalog(self) -> Path:
        """Names, specs, states, the queue."""
        return self.root / "catalog.sqlite"

    @property
    def runs(self) -> Path:
        """A SQLite file per run."""
        return self.root / "runs"

    @property
    def locks(self) -> Path:
        """Lock files, and the room kept for a run's last words; empty files otherwise."""
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        """What the workers print."""
        return self.root / "logs"

    @property
    def inspected(self) -> Path:
        """A folder per run that was looked into."""
        return self.root / "inspections"

    def inspections(self, run_id: str) -> Path:
        """What was asked and found about the inside of a run; it can all be computed again."""
        return self.inspected / checked(run_id)

    @property
    def inspector_lock(self) -> Path:
        """The lock that the process holds which computes inspections."""
        return self.locks / "inspector.lock"

    def make(self) -> None:
        """Create the folders that are missing."""
        for folder in (self.root, self.runs, self.locks, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def run_file(self, run_id: str) -> Path:
        """The file of a run."""
        return self.runs / f"{checked(run_id)}.sqlite"

    def run_lock(self, run_id: str) -> Path:
        """The lock that a run's writer holds."""
        return self.locks / f"{checked(run_id)}.lock"

    def reserve(self, run_id: str) -> Path:
        """Space that a run keeps so that it can say how it ended on a full disk."""
        return self.locks / f"{checked(run_id)}.reserve"

    def slot_lock(self, slot: int) -> Path:
        """The lock that the worker in place ``slot`` holds."""
        return self.locks / f"slot-{slot}.lock"


def checked(run_id: str) -> str:
    """``run_id``, where it looks like one; else a ``StoreError``."""
    if not _ID.fullmatch(run_id):
        raise StoreError(f"run id must look like r-1a2b3c4, but got {run_id!r}")
    return run_id


UNFINISHED = (".new", ".new-journal")
"""What is left of a file whose maker was killed before it had its name."""


def sidecars(path: Path) -> list[Path]:
    """The files that SQLite, or we, may leave beside the database ``path``."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal", *UNFINISHED)]
