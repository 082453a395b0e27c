"""Record the examples of Learn anew: ``python -m ui.learn.make_examples [STOP …]``. Half a minute per stop."""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diagnostics.inspection import save
from diagnostics.records import Array
from diagnostics.store import ENDED, Store, read_run_file, read_run_weights
from diagnostics.store.packing import checked
from diagnostics.store.run_file import RunFile
from experiments.inspection.asked import Asked
from experiments.inspection.request import request
from experiments.naming import run_names
from experiments.queue import Queue
from ui.example.make import IDLE_S
from ui.learn import path
from ui.learn.examples import FOLDER, file_name
from ui.learn.stop import Look, Stop

AT_MOST_BYTES = 150_000
"""What the example of a stop may take."""

PROFILES = 4
MEASURES = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Train what each stop asks for at first, and keep its files; 1 where a run did not end well or is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stops", nargs="*", choices=[*path.PATH, []], default=list(path.PATH))
    return max((make(path.load(slug)) for slug in parser.parse_args(argv).stops), default=0)


def make(stop: Stop) -> int:
    """Record the example of one stop."""
    specs = [
        spec.changed(record_every=-(-spec.steps // PROFILES), eval_every=max(1, spec.steps // MEASURES))
        for spec in stop.specs(stop.usual)
    ]
    if not specs:
        return 0
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        store = Store.open(Path(folder))
        names = run_names(specs) if stop.names is None else list(stop.names(stop.usual))
        _, run_ids = store.create([s.to_json() for s in specs], names, stop.title)
        queue = Queue(store, idle_s=IDLE_S)
        while any(queue.progress(run_id).state not in ENDED for run_id in run_ids):
            time.sleep(0.5)
        rows = [store.row(run_id) for run_id in run_ids]
        for row in rows:
            sys.stdout.write(f"{stop.slug}: {row.name}: {row.state}, success {row.success} {row.detail}\n")
        if any(row.state not in ("finished", "diverged") for row in rows):
            return 1
        home = FOLDER / stop.slug
        home.mkdir(parents=True, exist_ok=True)
        for old in home.iterdir():
            old.unlink()
        for place, run_id in enumerate(run_ids):
            whole = Path(folder) / f"{place:02d}.sqlite"
            store.copy_run_file(run_id, whole)
            _keep(whole, home / f"{whole.name}.gz", weights=stop.example_weights)
        for look in stop.looks:
            if not _look(store, run_ids[look.place], look, home / file_name(look)):
                return 1
    size = sum(file.stat().st_size for file in home.iterdir())
    sys.stdout.write(f"{stop.slug}: {size} bytes\n")
    return int(size > AT_MOST_BYTES)


def _look(store: Store, run_id: str, look: Look, target: Path) -> bool:
    """Keep what is found inside a run; False where that could not be computed."""
    ticket = request(store, run_id, look.step, Asked(look.samples, look.sections))
    while (state := ticket.state()).name in ("waiting", "computing"):
        time.sleep(0.2)
    sys.stdout.write(f"{run_id} after {look.step} updates: {state.name} {state.words}\n")
    if state.name == "done":
        save(ticket.result(), target)
    return state.name == "done"


def _keep(run_file: Path, target: Path, *, weights: bool) -> None:
    """Write a small copy: numbers as float32 has them, no sizes of entries, of the weights the last or none."""
    run = read_run_file(run_file)
    columns = {
        name: values.astype(np.float32).astype(values.dtype) if values.dtype.kind == "f" else values
        for name, values in run.records.items()
        if name != "grad_sizes" and len(values)
    }
    assert run.facts is not None  # it has ended well, so it began
    small = run_file.with_suffix(".small")
    file = RunFile(small, {"id": run.id, "name": run.name, "spec": run.spec, "created_s": 0.0})
    file.put(facts=run.facts.__dict__, info=dict(run.versions))
    file.append(checked(columns))
    if weights:
        file.keep(int(run.spec["steps"]), {k: rounded(w) for k, w in read_run_weights(run_file).items()})
    file.put(end={"state": run.state, "detail": run.detail, "chunks": file.seq, "weights": file.kept})
    file.close()
    # The date is left out, so that the same numbers are the same file.
    target.write_bytes(gzip.compress(small.read_bytes(), 9, mtime=0))


def rounded(weights: Array) -> Array:
    """Weights to eight binary digits, as bfloat16 has them: they pack to less than half the size."""
    mantissa, exponent = np.frexp(weights)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
