from __future__ import annotations

import math
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from diagnostics.store import Store, StoreError
from diagnostics.store.locks import hold, is_held
from tests.diagnostics.store.sample import FACTS, INFO, rows


def test_a_run_whose_lock_is_free_is_interrupted_for_everybody_who_looks(store):
    _, (run_id,) = store.create([{"steps": 9}], ["a"])
    writer = store.writer(run_id)
    writer.begin(FACTS, INFO)
    writer.append(rows(0, 4))
    assert store.row(run_id).state == "running"
    writer._lock.release()  # as a killed process does
    for row in (store.row(run_id), store.runs()[0], Store.open(store.path).row(run_id)):
        assert (row.state, row.steps_done) == ("interrupted", 4)
        assert "the process that wrote it is gone" in row.detail
    assert store.tail(run_id).poll().state == "interrupted"
    assert store.check() == []
    with pytest.raises(StoreError, match=f"run {run_id} was not running any more"):
        writer.finish("finished")
    assert store.row(run_id).state == "interrupted"


def test_a_run_that_had_ended_keeps_its_end_though_the_catalog_missed_it(store):
    _, (run_id,) = store.create([{"steps": 4}], ["a"])
    writer = store.writer(run_id)
    writer.append(rows(0, 4))
    writer._close_file({"state": "finished", "detail": "", "ended_s": 1.5, "loss": math.nan, "steps_done": 4})
    writer._lock.release()
    row = store.row(run_id)
    assert (row.state, row.ended_s, row.steps_done) == ("finished", 1.5, 4)
    assert math.isnan(row.loss)
    assert store.check() == []


def test_looking_never_makes_a_run_that_starts_or_ends_look_dead(store):
    """Many look at runs while others start and end them: nobody ever sees one interrupted."""
    _, ids = store.create([{}] * 40, ["n"] * 40)
    seen: set[str] = set()

    def look() -> None:
        while (states := {row.state for row in store.runs()}) != {"finished"}:
            seen.update(states)

    def work() -> int:
        done = 0
        while (writer := store.claim()) is not None:
            with writer:
                writer.append(rows(0, 1))
                writer.finish("finished")
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        assert sum(job.result(60) for job in [pool.submit(work), pool.submit(work)]) == len(ids)
        for job in looking:
            job.result(60)
    assert seen <= {"queued", "running", "finished"}
    assert store.check() == []


def test_runs_are_claimed_in_the_order_in_which_they_were_asked_for(store):
    _, first = store.create([{}] * 3, list("abc"))
    _, second = store.create([{}], ["d"])
    claimed = []
    while (writer := store.claim()) is not None:
        with writer:
            claimed.append(writer.run_id)
            writer.finish("finished")
    assert claimed == [*first, *second]


def test_a_stop_is_heard_by_the_writer_and_ends_a_queued_run_at_once(store):
    _, (running, queued) = store.create([{}, {}], ["a", "b"])
    with store.writer(running) as writer:
        assert not writer.stop_requested()
        store.request_stop(running)
        assert writer.stop_requested()
        store.request_stop(queued)
        assert (store.row(queued).state, store.row(queued).detail) == ("stopped", "stopped before it began")
        writer.finish("stopped", "stopped at step 3 of 5")
    store.request_stop(running)
    assert store.row(running).detail == "stopped at step 3 of 5"


def test_a_lock_excludes_inside_one_process_and_survives_other_handles(tmp_path):
    path = tmp_path / "x.lock"
    lock = hold(path)
    assert hold(path) is None
    assert hold(path, 0.05) is None
    with path.open() as handle:  # closing another handle would drop an fcntl lock
        handle.read()
    assert is_held(path)
    lock.release()
    assert not is_held(path)
    assert not is_held(tmp_path / "never made")


def test_a_damaged_line_of_the_catalog_is_named(store, finished):
    with closing(sqlite3.connect(store.layout.catalog)) as catalog:
        catalog.execute("UPDATE run SET spec = 'no json'")
        catalog.commit()
    with pytest.raises(StoreError, match=f"the catalog's line of run '{finished}' is damaged"):
        store.row(finished)
