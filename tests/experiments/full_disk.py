"""A small disk is filled by runs; started by ``test_faults`` where the disk is mounted. Exits 0 where all is well."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from diagnostics.store import ENDED, Store
from experiments.queue import Queue
from tests.experiments.conftest import FAKE, wait_for


def main(disk: Path, acks: Path) -> None:
    store = Store.open(disk / "store")
    queue = Queue(store, workers=1, idle_s=0.5, trainer=FAKE)
    _, (before, large, after) = store.create([{"steps": 5}, {"steps": 10**6}, {"steps": 10**6}], list("abc"))
    queue.ensure_workers()
    wait_for(lambda: queue.progress(after).state in ENDED)

    assert store.row(before).state == "finished"
    assert store.read(before).records.rows("step") == 5
    for run_id in (large, after):
        row = store.row(run_id)
        assert row.state == "failed", row
        assert "the disk is full" in row.detail, row
        noted = (acks / run_id).read_text().split("\n") if (acks / run_id).exists() else []
        known = [int(line) for line in noted if line.isdigit()]
        assert store.read(run_id).records["step"].tolist() == known, (run_id, len(known))
    filled = store.row(large).steps_done
    assert filled > 20
    assert store.check() == []

    # With room again, the next run is as good as any.
    store.delete([large])
    store.purge([large])
    _, (again,) = store.create([{"steps": 3}], ["d"])
    wait_for(lambda: queue.progress(again).state in ENDED)
    assert store.row(again).state == "finished", store.row(again)
    wait_for(lambda: not store.workers.rows())
    sys.stdout.write(f"filled by {filled} steps; {os.statvfs(disk).f_bavail * 4096} bytes free at the end\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
