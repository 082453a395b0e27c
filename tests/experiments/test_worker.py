from __future__ import annotations

import importlib
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.store import Store
from diagnostics.store.locks import hold
from experiments.spec import RunSpec
from experiments.worker import StoreRecorder, about_process, load, main, train_one
from tests.diagnostics.store.sample import FACTS, rows
from tests.experiments.conftest import FAKE, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def keep_the_signal_handler():
    """``main`` runs inside the test's process here, and takes SIGTERM for itself."""
    kept = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, kept)


def test_one_run_that_fails_does_not_stop_the_worker(store, acks, capfd):
    _, ids = store.create([{"steps": 2, "raise": "no\nluck"}, {}, {"steps": 2}], list("abc"))
    assert main([f"--store={store.path}", "--idle=0", f"--trainer={FAKE}"]) == 0
    assert [store.row(run_id).state for run_id in ids] == ["failed", "failed", "finished"]
    assert store.row(ids[0]).detail == "RuntimeError: no luck"
    assert store.read(ids[0]).records.rows("step") == 2
    assert store.row(ids[1]).detail == "KeyError: 'steps'"
    assert "Traceback" in capfd.readouterr().err
    assert store.check() == []


def test_a_worker_does_what_helps_later_runs_only_while_nobody_waits(store, acks, monkeypatch):
    trainers = importlib.import_module(FAKE.partition(":")[0])
    seen = []

    def idle() -> bool:
        seen.append([row.state for row in store.runs()])
        if len(seen) == 1:
            store.create([{"steps": 1}], ["late"])
        return len(seen) < 3

    monkeypatch.setattr(trainers, "idle", idle, raising=False)
    store.create([{"steps": 1}], ["first"])
    assert main([f"--store={store.path}", "--idle=0.5", f"--trainer={FAKE}"]) == 0
    assert seen[:3] == [["finished"], ["finished", "finished"], ["finished", "finished"]]
    assert len(seen) < 20  # where there was nothing to do, it slept


def test_what_happens_before_the_first_step_is_said_and_taken_back(store):
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        recorder = StoreRecorder(writer)
        recorder.say("compiling")
        assert (store.row(run_id).state, store.row(run_id).detail) == ("running", "compiling")
        recorder.say("")
        assert store.row(run_id).detail == ""
        recorder.say("compiling")
        writer.finish("stopped", "stopped at step 0 of 1")
    assert store.row(run_id).detail == "stopped at step 0 of 1"


def test_who_stops_a_run_while_its_cnn_is_trained_is_heard_and_the_run_ends_in_order(store, monkeypatch):
    from models import pictures

    monkeypatch.setattr(pictures, "_learnt", {})
    monkeypatch.setattr("experiments.worker.STOP_S", 0.0)
    spec = RunSpec.make(task="captions", gap=1, hidden=4, steps=20, device="cpu")
    _, (run_id,) = store.create([spec.to_json()], ["a"])
    say, seen = StoreRecorder.say, []

    def ask(recorder, what):
        say(recorder, what)
        seen.append(store.row(run_id).detail)
        if what == pictures.TRAINING:
            store.request_stop(run_id)

    monkeypatch.setattr(StoreRecorder, "say", ask)
    train, _ = load("experiments.training:train_json")
    train_one(store.claim(), train)
    row = store.row(run_id)
    assert (row.state, row.detail, row.steps_done) == ("stopped", "stopped at step 0 of 20", 0)
    assert seen[-1] == pictures.TRAINING
    assert math.isnan(row.success)
    assert store.read(run_id).state == "stopped"
    assert store.check() == []


def test_a_run_says_that_its_loops_are_compiled_first(store, monkeypatch):
    from experiments import training

    asked, seen = [], []
    _, (run_id,) = store.create([{}], ["a"])

    def warm(kinds, before_compiling):
        asked.extend(kinds)
        before_compiling()
        before_compiling()
        seen.append(store.row(run_id).detail)
        return 1.0

    monkeypatch.setattr(training.paths, "warm", warm)
    spec = RunSpec.make(gap=8, hidden=4, steps=1, cell="lstm", device="cpu").to_json()
    with store.writer(run_id) as writer:
        recorder = StoreRecorder(writer)
        training.train_json(spec, recorder)
        assert store.row(run_id).detail == ""
        writer.finish("finished")
    assert asked == ["lstm"]
    assert seen == [training.COMPILING]


def test_a_worker_without_a_slot_is_not_needed(store, acks, monkeypatch):
    monkeypatch.setattr("experiments.worker.SLOT_S", 0.1)
    slots = [hold(store.layout.slot_lock(number)) for number in range(2)]
    _, (run_id,) = store.create([{"steps": 1}], ["a"])
    assert main([f"--store={store.path}", "--slots=2", "--idle=0", f"--trainer={FAKE}"]) == 0
    assert store.row(run_id).state == "queued"
    slots[1].release()
    assert main([f"--store={store.path}", "--slots=2", "--idle=0", f"--trainer={FAKE}"]) == 0
    assert store.row(run_id).state == "finished"


def test_a_worker_that_cannot_start_says_so_to_the_store(store, capfd):
    store.workers.add("w-1", "", 9)
    trainer = "--trainer=tests.experiments.unstartable:train"
    assert main([f"--store={store.path}", "--token=w-1", trainer]) == 3
    (row,) = store.workers.rows()
    assert (row.state, row.detail) == ("failed", "ImportError: no module named torch in this environment")
    assert "Traceback" in capfd.readouterr().err


def test_a_run_that_comes_while_the_worker_leaves_is_not_left_behind(store, acks, monkeypatch):
    """The submitter saw the slot held, so it started nobody: the worker's last look must find the run."""
    claims = 0
    claim = Store.claim

    def late(self: Store):
        nonlocal claims
        claims += 1
        found = claim(self)
        if claims == 2:  # the look after which the worker, with no time to idle, leaves
            store.create([{"steps": 1}], ["late"])
        return found

    monkeypatch.setattr(Store, "claim", late)
    assert main([f"--store={store.path}", "--idle=0.05", f"--trainer={FAKE}"]) == 0
    assert [row.state for row in store.runs()] == ["finished"]


@pytest.mark.parametrize("lose", [False, True])
def test_a_terminated_worker_ends_its_run_in_order(store, acks, lose):
    _, (run_id,) = store.create([{"steps": 10**6, "pause": 0.01, "lose": lose}], ["a"])
    command = [sys.executable, "-m", "experiments.worker", f"--store={store.path}", f"--trainer={FAKE}"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    tail = store.tail(run_id)
    wait_for(lambda: tail.poll().records.rows("step") > 2)
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    assert (tail.poll().state, tail.poll().detail) == ("interrupted", "its worker was asked to leave")
    assert tail.poll().records.rows("step") == store.row(run_id).steps_done


def test_a_worker_leaves_when_its_store_vanishes(store, acks):
    command = [sys.executable, "-m", "experiments.worker", f"--store={store.path}", f"--trainer={FAKE}", "--token=w-1"]
    store.workers.add("w-1", "", 9)
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    wait_for(lambda: store.workers.rows()[0].state == "ready")
    shutil.rmtree(store.path)
    assert process.wait(30) == 0
    assert not store.path.exists()
    Store.open(store.path)  # for the fixture that tidies up


def test_the_recorder_looks_now_and_then_and_not_at_every_step(store, monkeypatch):
    now = 100.0
    monkeypatch.setattr("experiments.worker.time.monotonic", lambda: now)
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        recorder = StoreRecorder(writer)
        recorder.begin(FACTS, {"device": "cpu"})
        recorder.add(rows(0, 2))
        assert not recorder.stop_requested()
        assert store.row(run_id).steps_done == 2  # the heartbeat
        store.request_stop(run_id)
        recorder.add(rows(2, 4))
        assert not recorder.stop_requested()
        now += 0.21
        assert recorder.stop_requested()
        assert store.row(run_id).steps_done == 2
        now += 0.9
        assert recorder.stop_requested()
        assert store.row(run_id).steps_done == 4
        writer.finish("stopped")
    assert store.info(run_id) == {**about_process(), "device": "cpu"}


def test_a_real_run_is_trained_and_recorded(store):
    """The trainer that the app uses, warmed up, from a spec in the store to a run that reads back."""
    spec = RunSpec.make(gap=8, hidden=4, steps=3, cell="gru", device="cpu")
    _, (run_id,) = store.create([spec.to_json()], [spec.label()])
    train, _ = load("experiments.training:train_json")
    with store.writer(run_id) as writer:
        outcome = train(writer.row.spec, StoreRecorder(writer))
        writer.finish(outcome.state, outcome.detail, steps_done=outcome.steps_done, success=outcome.success)
    run = store.read(run_id)
    assert run.state == "finished"
    assert run.records["step"].tolist() == [0, 1, 2]
    assert run.records["state_grad"].shape == (3, 1, spec.timesteps, 3)
    assert run.facts.distance == 8
    assert {"torch", "device", "processor"} <= set(run.versions)
    assert store.check() == []


def test_a_spec_that_is_none_fails_the_run_with_the_refusal(store):
    _, (run_id,) = store.create([{"cell": "transformer"}], ["a"])
    assert main([f"--store={store.path}", "--idle=0"]) == 0
    row = store.row(run_id)
    assert row.state == "failed"
    assert row.detail.startswith("cell must be one of")
