from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from diagnostics import Watch, watch
from diagnostics.store import DiskFullError, RunWriter, Store, StoreError
from diagnostics.watching import recording
from diagnostics.watching.rows import Rows
from tests.diagnostics.watching.loops import Classifier, a_pass, batches, mean_square, model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is written, and every request looked for, at every training step."""
    monkeypatch.setattr(recording, "FLUSH_S", 0.0)
    monkeypatch.setattr(recording, "BEAT_S", 0.0)


def steps(network: Classifier, w: Watch, count: int) -> Iterator[int]:
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    for step, (x, y) in enumerate(batches(count)):
        loss = mean_square(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        w.step(optimizer, clip="norm:1.0", loss=loss)
        yield step


def test_a_part_is_a_run_and_together_they_are_a_comparison(store: Store) -> None:
    network = model(bidirectional=True)
    with watch(network, every=2, name="my run", store=store) as w:
        list(steps(network, w, 3))
    rows = {row.name: row for row in store.runs()}
    assert sorted(rows) == ["my run · rnn ←", "my run · rnn →"]
    (comparison,) = store.comparisons()
    assert (comparison.id, comparison.name, comparison.runs) == (w.comparison, "my run", 2)
    for run_id in w.run_ids:
        run, info = store.read(run_id), store.info(run_id)
        assert run.state == "finished"
        assert run.facts is not None
        assert run.facts.title.startswith("Your model: rnn")
        assert run.records.rows("step") == 3
        assert run.records.rows("profile") == 2
        assert run.spec["clip"] == "norm:1.0"
        assert info["torch"] == torch.__version__
        assert "before clipping, the mean over the batch undone; every 2nd" in info["state gradients"]
        assert info["watched"]["micro_steps"] == 1
        assert info["watched"]["covered"] == w.covered
        assert set(info["watched"]["self_check"]) == {"rnn.weight_hh_l0", "rnn.weight_hh_l0_reverse"}
        assert 0 <= info["watched"]["overhead"]["share"] <= 1
    assert store.check() == []


def test_a_single_part_is_called_as_the_training_and_without_a_name_as_the_model(store: Store) -> None:
    network = model()
    with watch(network, name="alone", store=store.path) as w:
        list(steps(network, w, 1))
    with watch(network, store=str(store.path)) as again:
        list(steps(network, again, 1))
    newest, first = (row.name for row in store.runs())
    assert first == "alone"
    assert newest.startswith("Classifier 20")


def test_a_run_is_there_while_it_grows_and_nobody_can_claim_it(store: Store, at_once: None) -> None:
    network = model()
    with watch(network, every=1, store=store) as w:
        for step in steps(network, w, 3):
            (row,) = store.runs()
            assert row.state == "running"
            assert store.claim() is None
            assert store.read(row.id).records["profile_step"].tolist() == list(range(step + 1))
            assert row.steps_done == step + 1
            assert row.heartbeat_s is not None
            assert len(w.reach) == 1
    assert store.row(w.run_ids[0]).state == "finished"


def test_whoever_names_no_store_gets_the_usual_one_and_false_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADREACH_STORE", str(tmp_path / "usual"))
    network = model()
    with watch(network) as w:
        list(steps(network, w, 1))
    assert [row.id for row in Store.open().runs()] == list(w.run_ids)
    with watch(network, store=False) as w:
        list(steps(network, w, 1))
    folder = w._recording.path
    assert folder is not None
    assert folder.exists()
    assert folder.parent != tmp_path
    del w
    assert not folder.exists()


def test_what_waits_does_not_grow_with_training(store: Store, at_once: None) -> None:
    network = model()
    with watch(network, every=7, store=store) as w:
        for _ in steps(network, w, 60):
            assert not any(run.waiting for run in w._recording._writing())
            assert not w._recording._early


def test_steps_before_the_first_profile_are_kept_up_to_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "EARLY_STEPS", 3)
    rows = recording.Recording(store, "a name")
    row = {"loss": 0.5, "grad_norm_pre": 1.0, "grad_norm_post": 1.0, "clip_factor": 1.0, "wall_s": 0.1}
    counts = {"nan_count": 0, "inf_count": 0, "zero_count": 0}
    for step in range(5):
        rows.step({"step": step, **row, **counts})
    about = Rows(a_pass(), mean=True, distance=None, timesteps=None)
    rows.begin("part", True, {"watched": {"module": "part"}}, about.facts(), {})
    rows.step({"step": 5, **row, **counts})
    rows.finish("finished", "", {})
    assert rows.runs()[0].records["step"].tolist() == [2, 3, 4, 5]


def fails(after: int, error: Exception) -> Callable[..., int]:
    calls = []

    def append(self: RunWriter, columns: object) -> int:
        calls.append(columns)
        if len(calls) > after:
            raise error
        return original(self, columns)  # type: ignore[arg-type]

    original = RunWriter.append
    return append


def test_a_full_disk_is_one_warning_and_training_goes_on(
    store: Store, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, network = model(), model()
    with watch(alone, store=False) as w:
        list(steps(alone, w, 5))
    monkeypatch.setattr(RunWriter, "append", fails(2, DiskFullError("the disk is full: nothing more can be written")))
    said = "the disk is full: .*: training goes on, and nothing more"
    with watch(network, every=1, store=store) as w, pytest.warns(RuntimeWarning, match=said) as caught:
        done = list(steps(network, w, 5))
    assert len(caught) == 1
    assert done == [0, 1, 2, 3, 4]
    run = store.read(w.run_ids[0])
    assert (run.state, run.detail) == ("failed", "the disk is full: nothing more can be written")
    assert run.records["step"].tolist() == [0, 1]
    for one, other in zip(alone.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_a_store_that_cannot_be_made_is_one_warning(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    network = model()
    w = watch(network, store=in_the_way)
    with pytest.warns(RuntimeWarning, match="the store must be a folder, but .*: training goes on, and nothing more"):
        w.__enter__()
    assert list(steps(network, w, 2)) == [0, 1]
    w.__exit__(None, None, None)
    assert w.runs == ()
    with pytest.raises(ValueError, match="there is no figure, because nothing has been recorded: the store must be"):
        w.figure()


def test_a_store_that_may_only_be_read_is_one_warning(store: Store) -> None:
    store.catalog.writable = False
    network = model()
    w = watch(network, store=store)
    with pytest.warns(RuntimeWarning, match="training goes on, and nothing more of it is recorded"):
        w.__enter__()
    assert list(steps(network, w, 2)) == [0, 1]
    w.__exit__(None, None, None)


def test_stopping_it_in_the_app_stops_the_recording_and_not_the_training(store: Store, at_once: None) -> None:
    network = model()
    with watch(network, every=1, store=store) as w:
        for step in steps(network, w, 5):
            if step == 2:
                store.request_stop(w.run_ids[0])
        assert step == 4
    run = store.read(w.run_ids[0])
    assert (run.state, run.detail) == ("stopped", "the recording was stopped on request, the training went on")
    assert run.records["step"].tolist() == [0, 1, 2, 3]


def test_a_long_name_is_cut(store: Store) -> None:
    network = model(bidirectional=True)
    with watch(network, name="n" * 200, store=store) as w:
        list(steps(network, w, 1))
    assert {len(row.name) for row in store.runs()} == {200}
    with pytest.raises(ValueError, match="name must be at most 200 characters long, but got 201"):
        watch(network, name="n" * 201)


KILLED = """
import sys, torch
from diagnostics import watch
from tests.diagnostics.watching.loops import batches, mean_square, model
network = model()
optimizer = torch.optim.SGD(network.parameters(), 0.01)
with watch(network, every=1, store=sys.argv[1]) as w:
    for x, y in batches(10**9):
        optimizer.zero_grad()
        mean_square(network(x), y).backward()
        w.step(optimizer)
"""


def test_a_killed_training_says_interrupted_and_keeps_what_was_written(store: Store) -> None:
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(store.path)], cwd=root)
    try:
        until_s = time.monotonic() + 120
        while time.monotonic() < until_s and process.poll() is None:
            try:
                rows = store.runs()
                if rows and store.read(rows[0].id).records.rows("profile") > 2:
                    break
            except StoreError:
                pass
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    (row,) = store.runs()
    assert row.state == "interrupted"
    assert store.read(row.id).records.rows("profile") > 2
