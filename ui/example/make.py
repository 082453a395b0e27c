"""Record the Lab's example anew, from a preset: ``python -m ui.example.make [PRESET]``. Minutes, through the queue."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from diagnostics.store import ENDED, Store
from experiments.naming import comparison_name, run_names
from experiments.presets import PRESETS
from experiments.queue import Queue
from models.cells import CELLS
from ui.example.recorded import FOLDER

RECORD_EVERY = 7
"""Fine enough to watch the gradient come and go, and the files stay below a megabyte together."""

IDLE_S = 5.0


def main() -> int:
    """Train the preset's runs in a store of their own and keep their files; 1 where a run did not end well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default=next(iter(PRESETS)), choices=list(PRESETS))
    specs = [spec.changed(record_every=RECORD_EVERY) for spec in PRESETS[parser.parse_args().preset].specs()]
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        store = Store.open(Path(folder))
        _, run_ids = store.create([s.to_json() for s in specs], run_names(specs), comparison_name(specs))
        queue = Queue(store, idle_s=IDLE_S)
        while any(queue.progress(run_id).state not in ENDED for run_id in run_ids):
            time.sleep(1.0)
        rows = [store.row(run_id) for run_id in run_ids]
        for row in rows:
            sys.stdout.write(f"{row.name}: {row.state}, success {row.success}\n")
        if any(row.state not in ("finished", "diverged") for row in rows):
            return 1
        for old in FOLDER.glob("*.sqlite"):
            old.unlink()
        for place, row in enumerate(rows):
            made = FOLDER / f"{place}-{CELLS[str(row.spec['cell'])].name}.sqlite"
            store.copy_run_file(row.id, made)
            _without_weights(made)
    return 0


def _without_weights(path: Path) -> None:
    """Take the kept weights out of a run file: nothing trains or looks into the example, and they are most of it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("DELETE FROM weights")
        connection.execute("VACUUM")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
