"""What must not lose a run, made for real: killed workers, a killed server, a full disk, two apps on one store."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnostics.store import ENDED, Store, run_file
from experiments.queue import Queue
from experiments.worker import main
from tests.experiments.conftest import FAKE, wait_for

ROOT = Path(__file__).parents[2]
KILLS = 50


def acknowledged(acks: Path, run_id: str) -> list[int]:
    """The steps that the store had acknowledged, as the trainer noted."""
    path = acks / run_id
    return [int(line) for line in path.read_text().split("\n") if line.isdigit()] if path.exists() else []


def test_kill_9_of_a_worker_at_random_moments_loses_nothing_acknowledged(store, acks):
    rng = random.Random(int(os.environ.get("KILL_SEED", "0")))
    struck = between = 0
    ends = dict.fromkeys(("queued", *ENDED), 0)
    kept: dict[str, list[int]] = {}
    # Each worker is a process of its own, forked from one that has imported everything: starting Python 60 times over
    # would take a minute.
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload(["experiments.worker", "tests.experiments.fake_trainers"])
    for n in itertools.count():
        if struck == KILLS:
            break
        token = f"w-{n}"
        store.workers.add(token, "", 1)
        process = nursery.Process(
            target=main, args=([f"--store={store.path}", f"--token={token}", f"--trainer={FAKE}"],), daemon=True
        )
        process.start()
        wait_for(lambda: [w.state for w in store.workers.rows()] == ["ready"])
        # Runs of 3 steps end at about the time of the kill: the last words of a run are a moment like any other.
        spec = {"steps": rng.choice((3, 30, 10**6))}
        _, (run_id,) = store.create([spec], ["x"])
        if rng.random() < 0.7:  # while it writes, else perhaps before it has begun
            wait_for(functools.partial(acknowledged, acks, run_id))
            time.sleep(rng.uniform(0.0, 0.05))
        else:
            time.sleep(rng.uniform(0.0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        process.close()
        store.workers.remove([token])

        known, path = acknowledged(acks, run_id), store.run_file(run_id)
        if path.exists():  # before anybody has tidied up, a read-only reader sees all of it
            with run_file.opened(path) as connection:
                assert len(run_file.chunks(connection, path)) >= len(known)
        row = store.row(run_id)
        assert row.state in ("queued", "interrupted", "finished")
        assert row.state != "finished" or row.steps_done == spec["steps"]
        run = store.read(run_id)
        steps = run.records["step"].tolist()
        assert steps == list(range(len(steps)))  # no gap, no duplicate
        assert steps[: len(known)] == known  # nothing acknowledged lost
        assert len(steps) <= len(known) + 1
        assert row.steps_done == len(steps)
        between += len(steps) > len(known)
        ends[row.state] += 1
        struck += row.state == "interrupted"
        kept[run_id] = steps
        store.request_stop(run_id)  # one that was not claimed yet
    assert store.check() == []
    assert all(store.read(run_id).records["step"].tolist() == steps for run_id, steps in kept.items())
    sys.stdout.write(
        f"{sum(ends.values())} kills: {ends['interrupted']} interrupted a run ({between} of them between commit and "
        f"acknowledgement), {ends['finished']} came after its end, {ends['queued']} before its start; "
        f"all {sum(map(len, kept.values()))} chunks are there\n"
    )


SERVER = """
import sys, time
from diagnostics.store import Store
from experiments.queue import Queue
from experiments.worker import main
from experiments.spec import RunSpec
queue = Queue(Store.open(sys.argv[1]), workers=1, idle_s=1.0, trainer="tests.experiments.fake_trainers:slowly")
print(queue.submit([RunSpec.make(steps=200)], "from the page")[1][0], flush=True)
time.sleep(600)
"""


def test_training_goes_on_when_the_pages_server_is_killed(store, acks):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(store.path)], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    run_id = server.stdout.readline().decode().strip()
    tail = store.tail(run_id)
    wait_for(lambda: tail.poll().records.rows("step") > 10)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    server.stdout.close()
    seen = tail.poll().records.rows("step")
    assert seen < 200
    queue = Queue(Store.open(store.path), workers=1)  # the page, started again
    assert queue.progress(run_id).state == "running"
    wait_for(lambda: queue.progress(run_id).state != "running")
    assert queue.progress(run_id).state == "finished"
    assert tail.poll().records["step"].tolist() == list(range(200))
    assert [line for line in (acks / run_id).read_text().split("\n") if line.startswith("pid")] == [
        f"pid {pid}" for pid in {int((acks / run_id).read_text().split()[1])}
    ]
    wait_for(lambda: not store.workers.rows())  # and the worker leaves when nothing is left to do


def namespace() -> list[str]:
    """The command prefix for something with mounts of its own, which vanish with it; empty where there is none."""
    for prefix in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        probe = [*prefix, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return prefix
    return []


def test_on_a_full_disk_the_run_fails_with_that_word_and_earlier_data_stays(tmp_path, acks):
    prefix = namespace()
    if not prefix:
        pytest.skip("no small file system can be mounted here: that needs root, or unprivileged user namespaces")
    (tmp_path / "disk").mkdir()
    script = f"mount -t tmpfs -o size=2m tmpfs {tmp_path}/disk && exec {sys.executable} -m tests.experiments.full_disk"
    done = subprocess.run(
        [*prefix, "sh", "-c", f"{script} {tmp_path}/disk {acks}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("filled by")


APP = """
import sys, time
from diagnostics.store import ENDED, Store
from experiments.queue import Queue
from experiments.worker import main
from experiments.spec import RunSpec
store = Store.open(sys.argv[1])
queue = Queue(store, workers=2, idle_s=1.0, trainer="tests.experiments.fake_trainers:train")
sys.stdin.readline()
for n in range(4):
    _, ids = queue.submit([RunSpec.make(steps=20 + n, seed=seed) for seed in range(2)], sys.argv[2])
    queue.ensure_workers(warm=2)
print(*(row.id for row in store.runs() if row.comparison_name == sys.argv[2]), flush=True)
while any(queue.progress(row.id).state not in ENDED for row in store.runs()):
    time.sleep(0.02)
"""


def test_two_apps_on_one_store_share_the_workers_and_every_run_runs_once(store, acks):
    apps = [
        subprocess.Popen(
            [sys.executable, "-c", APP, str(store.path), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for name in ("one", "two")
    ]
    most = 0
    for app in apps:
        assert app.stdin is not None
        app.stdin.write(b"go\n")
        app.stdin.flush()
    while any(app.poll() is None for app in apps):
        most = max(most, sum(row.state == "running" for row in store.runs()))
        assert len([w for w in store.workers.rows() if w.slot is not None and w.state == "ready"]) <= 2
        time.sleep(0.01)
    printed = [app.communicate()[0].split() for app in apps]
    assert [app.returncode for app in apps] == [0, 0]
    assert [len(ids) for ids in printed] == [8, 8]
    rows = store.runs()
    assert {row.state for row in rows} == {"finished"}
    assert len(rows) == 16
    assert 1 <= most <= 2
    began = [[line for line in path.read_text().split("\n") if line.startswith("pid")] for path in acks.iterdir()]
    assert len(began) == 16
    assert all(len(lines) == 1 for lines in began)  # every run ran once
    assert all(store.read(row.id).records.rows("step") == row.steps for row in rows)
    assert store.check() == []
    wait_for(lambda: not store.workers.rows())
