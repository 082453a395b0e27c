from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.store import RunRow, StoreError
from experiments import pool
from experiments.queue import Queue, _seconds_left
from experiments.spec import Refusal, RunSpec
from tests.experiments.conftest import FAKE, wait_for

SLOW = "tests.experiments.fake_trainers:slowly"


def ended(queue: Queue, run_ids: list[str]) -> bool:
    return all(queue.progress(run_id).state not in ("queued", "running") for run_id in run_ids)


def test_submitted_runs_are_trained_in_order_by_no_more_workers_than_allowed(store, acks):
    queue = Queue(store, workers=1, idle_s=0.5, trainer=FAKE)
    comparison, ids = queue.submit([RunSpec.make(steps=10, seed=seed) for seed in range(3)], "three seeds")
    assert [queue.progress(run_id).queued_behind for run_id in ids] in ([0, 1, 2], [0, 0, 1])
    wait_for(lambda: ended(queue, ids))
    rows = {row.id: row for row in store.runs(comparison=comparison)}
    assert {row.state for row in rows.values()} == {"finished"}
    assert [row.comparison_name for row in rows.values()] == ["three seeds"] * 3
    assert [rows[run_id].started_s for run_id in ids] == sorted(rows[run_id].started_s for run_id in ids)
    assert rows[ids[1]].name == "tanh · seed 1"
    assert RunSpec.from_json(rows[ids[1]].spec) == RunSpec.make(steps=10, seed=1)
    progress = queue.progress(ids[0])
    assert (progress.steps_done, progress.steps, progress.seconds_left, progress.loss) == (10, 10, 0.0, 0.5)
    run = store.read(ids[0])
    assert run.facts.answer == "French"
    assert {"gradreach", "python", "numpy", "torch", "platform", "threads"} <= set(run.versions)
    assert run.versions["threads"] == "1"
    wait_for(lambda: not store.workers.rows())  # idle: the worker leaves
    assert [store.layout.slot_lock(0).exists(), store.layout.slot_lock(1).exists()] == [True, False]


def test_a_warm_worker_waits_and_is_used(store, acks):
    queue = Queue(store, workers=1, idle_s=30, trainer=FAKE)
    queue.ensure_workers(warm=1)
    wait_for(lambda: [worker.state for worker in store.workers.rows()] == ["ready"])
    (worker,) = store.workers.rows()
    for _ in range(3):
        queue.ensure_workers(warm=1)
    assert [w.token for w in store.workers.rows()] == [worker.token]
    _, (run_id,) = queue.submit([RunSpec.make(steps=3)])
    wait_for(lambda: ended(queue, [run_id]))
    assert (acks / run_id).read_text().startswith(f"pid {worker.pid}\n")


def test_a_run_is_stopped_and_started_again_with_a_change(store, acks):
    queue = Queue(store, workers=1, idle_s=5, trainer=SLOW)
    _, (run_id, behind) = queue.submit([RunSpec.make(steps=5000), RunSpec.make(steps=5000, cell="gru")], "long")
    wait_for(lambda: (left := queue.progress(run_id)).seconds_left is not None and left.steps_done > 1)
    progress = queue.progress(run_id)
    assert progress.state == "running"
    assert 0 < progress.seconds_left < 5000
    assert progress.silent_s < 30
    queue.stop(behind)
    assert queue.progress(behind).state == "stopped"
    queue.stop(run_id)
    wait_for(lambda: ended(queue, [run_id]))
    row = store.row(run_id)
    assert row.state == "stopped"
    assert row.detail == f"stopped at step {row.steps_done} of 5000"
    queue.stop(run_id)  # nothing left to stop

    comparison, (again,) = queue.repeat(run_id, steps=3, cell="lstm")
    wait_for(lambda: ended(queue, [again]))
    spec = RunSpec.from_json(store.row(again).spec)
    assert (spec.cell, spec.steps, store.row(again).comparison_name) == ("lstm", 3, "long")
    assert comparison != row.comparison
    with pytest.raises(Refusal, match="cell must be one of"):
        queue.repeat(run_id, cell="transformer")
    with pytest.raises(StoreError, match="there is no run 'r-0000000'"):
        queue.repeat("r-0000000")


def test_runs_of_workers_that_cannot_start_fail_with_a_sentence(store, monkeypatch):
    queue = Queue(store, workers=1, trainer="tests.experiments.unstartable:train")
    _, (run_id,) = queue.submit([RunSpec.make(steps=3)])
    wait_for(lambda: (queue.ensure_workers(), ended(queue, [run_id]))[1])
    row = store.row(run_id)
    assert row.state == "failed"
    assert row.detail.startswith("no worker could start: ImportError: no module named torch in this environment (all")
    log = Path(row.detail.split("all of it is in ")[1].rstrip(")"))
    assert "unstartable.py" in log.read_text()
    assert store.workers.rows() == []  # the next submission tries again

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    _, (run_id,) = Queue(store, workers=1, trainer=FAKE).submit([RunSpec.make(steps=3)])
    wait_for(lambda: (queue.ensure_workers(), ended(queue, [run_id]))[1])
    assert "/nowhere/python cannot be run: No such file or directory" in store.row(run_id).detail


def test_a_worker_that_dies_before_it_is_ready_counts_as_one_that_cannot_start(store, acks):
    queue = Queue(store, workers=1, trainer="os:abort")
    store.create([{"steps": 1}], ["x"])
    queue = Queue(store, workers=1, trainer="tests.experiments.fake_trainers:no_such_function")
    wait_for(lambda: (queue.ensure_workers(), store.runs()[0].state == "failed")[1])
    assert "has no attribute 'no_such_function'" in store.runs()[0].detail


def test_a_queue_whose_workers_were_killed_gets_new_ones(store, acks):
    queue = Queue(store, workers=1, idle_s=5, trainer=SLOW)
    _, (first, second) = queue.submit([RunSpec.make(steps=5000), RunSpec.make(steps=3)])
    wait_for(lambda: queue.progress(first).state == "running")
    (worker,) = store.workers.rows()
    wait_for(lambda: store.workers.rows()[0].run == first)
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: ended(queue, [first, second]))
    assert [queue.progress(run_id).state for run_id in (first, second)] == ["interrupted", "finished"]
    assert worker.token not in {w.token for w in store.workers.rows()}


def test_a_worker_that_does_not_hear_the_stop_is_ended(store, acks, monkeypatch):
    monkeypatch.setattr(pool, "HUNG_S", 0.3)
    queue = Queue(store, workers=1, idle_s=5, trainer="tests.experiments.fake_trainers:deaf")
    _, (run_id,) = queue.submit([RunSpec.make(steps=5)])
    wait_for(lambda: queue.progress(run_id).steps_done == 1)
    wait_for(lambda: queue.progress(run_id).silent_s > 0.5)
    queue.ensure_workers()
    assert queue.progress(run_id).state == "running"  # slow is not hung: nobody asked it to stop
    queue.stop(run_id)
    wait_for(lambda: (queue.ensure_workers(), ended(queue, [run_id]))[1])
    assert store.row(run_id).state == "interrupted"
    assert store.read(run_id).records.rows("step") == 1


def test_nothing_is_started_for_a_store_that_may_only_be_read(store, acks):
    store.create([{"steps": 1}], ["x"])
    store.catalog.writable = False
    Queue(store, trainer=FAKE).ensure_workers(warm=1)
    assert store.workers.rows() == []
    with pytest.raises(StoreError, match="open for reading only"):
        Queue(store, trainer=FAKE).submit([RunSpec.make(steps=1)])


def test_the_time_left_counts_down_between_two_signs_of_the_worker():
    row = RunRow(
        id="r-0000000", name="", comparison="", comparison_name="", state="running", spec={}, created_s=0.0,
        started_s=0.0, ended_s=None, steps_done=20, steps=100, detail="", loss=None, success=None, deleted=False,
        heartbeat_s=1000.0, elapsed_s=10.0, stop_requested=False,
    )  # fmt: skip
    assert _seconds_left(row, 1000.0) == 40.0
    assert _seconds_left(row, 1015.0) == 25.0
    assert _seconds_left(row, 2000.0) == 0.0


def test_there_is_a_slot_for_every_core_but_one():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert pool.default_slots() == max(1, cores - 1)


def test_the_queue_is_free_of_torch():
    code = "import sys, experiments.queue; print('torch' in sys.modules, 'streamlit' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
