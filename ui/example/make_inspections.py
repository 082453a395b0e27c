"""Record the example of Inspect anew: ``python -m ui.example.make_inspections``. Takes a minute."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from diagnostics.inspection import save
from diagnostics.store import ENDED, Store
from experiments.inspection.asked import Asked
from experiments.inspection.request import request
from experiments.presets import PRESETS
from experiments.queue import Queue
from models.cells import CELLS
from ui.example.make import IDLE_S
from ui.example.recorded import FOLDER

SHOWN = ("tanh", "lstm")
SAMPLES = 2
"""Few, so that the files stay small."""


def main() -> int:
    """Train those of the first preset's runs that are ``SHOWN``, and keep what is found in them after the last step."""
    specs = [spec for spec in PRESETS[next(iter(PRESETS))].specs() if spec.cell in SHOWN]
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        store = Store.open(Path(folder))
        _, run_ids = store.create([s.to_json() for s in specs], [CELLS[s.cell].title for s in specs])
        queue = Queue(store, idle_s=IDLE_S)
        while any(queue.progress(run_id).state not in ENDED for run_id in run_ids):
            time.sleep(1.0)
        for place, (run_id, spec) in enumerate(zip(run_ids, specs, strict=True)):
            ticket = request(store, run_id, store.weights_steps(run_id)[-1], Asked(SAMPLES))
            while (state := ticket.state()).name in ("waiting", "computing"):
                time.sleep(0.2)
            sys.stdout.write(f"{spec.cell}: {state.name} {state.words}\n")
            if state.name != "done":
                return 1
            save(ticket.result(), FOLDER / f"{place}-{spec.cell}.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
