"""Requests, results and the process between them: what is wanted, how far it is, what is kept, and what goes wrong."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from diagnostics.inspection import SECTIONS, Inspection
from diagnostics.store import Store, StoreError
from diagnostics.store.locks import hold
from diagnostics.store.weights import AT_MOST_BYTES
from experiments.cost import predict
from experiments.inspection import files, process, start
from experiments.inspection.asked import Asked
from experiments.inspection.files import Place, read_request, requests
from experiments.inspection.process import answer, seconds_left, serve
from experiments.inspection.request import Ticket, request
from experiments.keep import steps_to_keep
from experiments.spec import RunSpec
from experiments.train import Trainer
from tests.diagnostics.store.sample import FACTS, INFO, rows
from tests.experiments.conftest import wait_for

SPEC = RunSpec.make(task="france", gap=5, cell="gru", hidden=4, embedding=4, steps=6, device="cpu")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose inspector is ended with the test."""
    store = Store.open(tmp_path / "store")
    start._LOOKED.clear()
    yield store
    for child in start._CHILDREN:
        child.kill()
        child.wait()
    start._CHILDREN.clear()


@pytest.fixture
def run_id(store: Store) -> str:
    """A finished run that kept its weights at the steps 0 and 6."""
    _, (run_id,) = store.create([SPEC.to_json()], ["a run"])
    trainer = Trainer(SPEC)
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        writer.keep(0, trainer.weights())
        writer.append(rows(0, 6))
        writer.keep(6, trainer.weights())
        writer.finish("finished")
    return run_id


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started: the test answers itself."""
    monkeypatch.setattr("experiments.inspection.request.ensure_inspector", lambda store: "")


def found(run: str, spec: RunSpec, step: int, weights, asked: Asked, progress, update_ratio) -> Inspection:
    """A stand-in for ``compute.inspect``: an array for each section that needs no other letters."""
    progress(0.5, asked.sections[0])
    T, B = 7, asked.samples
    whole = {"decay": np.full(1, step * 1.0), "saturated": np.zeros((1, T)), "state_grad": np.ones((1, T, B))}
    named = {"theory": "decay", "states": "saturated", "profile": "state_grad"}
    arrays = {named[name]: whole[named[name]] for name in asked.sections}
    tokens = (tuple("abcdefg"),) * B
    return Inspection(run, step, spec.cell, "gru", "", 1, tokens, ((1,),) * B, 6, arrays)


def answer_all(store: Store, compute=found) -> None:
    for one in requests(store):
        answer(store, *one, compute)


def test_the_real_process_from_request_to_result(store, run_id):
    ticket = request(store, run_id, 6, Asked(samples=2))
    seen = set()
    wait_for(lambda: seen.add(ticket.state().name) or seen & {"done", "failed", "cancelled"}, 60)
    assert seen <= {"waiting", "computing", "done"}
    result = ticket.result()
    assert (result.run_id, result.step, result.samples) == (run_id, 6, 2)
    assert set(result.sections) == set(SECTIONS)
    again = request(store, run_id, 6, Asked(samples=2))
    assert again.state().name == "done"  # at once: it is kept
    part = request(store, run_id, 6, Asked(samples=2, sections=("theory",)))
    assert part.state().name == "done"  # a part of what is kept is kept
    # The result is there a moment before what was asked for is taken away.
    wait_for(lambda: {path.suffix for path in store.layout.inspections(run_id).iterdir()} == {".npz"})
    assert len(start._CHILDREN) == 1
    second = request(store, run_id, 0, Asked(samples=1, sections=("states",)))
    wait_for(lambda: second.state().name == "done")
    assert len(start._CHILDREN) == 1  # it stayed warm


def test_a_killed_process_is_started_anew_and_the_request_is_answered(store, run_id):
    ticket = request(store, run_id, 6, Asked(samples=1, sections=("theory",)))
    (child,) = start._CHILDREN
    child.kill()
    child.wait()
    left = store.layout.inspections(run_id) / "v1-6-1-4.npz.new"
    left.write_bytes(b"half of it")
    wait_for(lambda: ticket.state().name in ("done", "failed"), 60)
    assert ticket.state().name == "done"
    assert not left.exists()


def test_waiting_then_computing_then_done(store, run_id, nobody):
    first = request(store, run_id, 6, Asked(sections=("theory",)))
    second = request(store, run_id, 0, Asked(sections=("theory",)))
    assert (first.state().name, first.state().words) == ("waiting", "about to begin")
    assert second.state().words == "1 other comes first"
    seen = []

    def compute(run, spec, step, weights, asked, progress, update_ratio):
        progress(0.25, "theory")
        seen.append(first.state())
        return found(run, spec, step, weights, asked, progress, update_ratio)

    answer(store, *requests(store)[0], compute)
    (state,) = seen
    assert (state.name, state.share) == ("computing", 0.25)
    assert state.words == f"computing {SECTIONS['theory']}"
    assert state.seconds_left >= 0
    assert first.state().name == "done"
    assert second.state().words == "about to begin"
    answer_all(store)
    assert second.result()["decay"].tolist() == [0.0]
    assert first.result()["decay"].tolist() == [6.0]
    assert {path.suffix for path in store.layout.inspections(run_id).iterdir()} == {".npz"}


def test_the_same_request_twice_is_one(store, run_id, nobody):
    for _ in range(3):
        request(store, run_id, 6, Asked(sections=("theory",)))
    assert len(requests(store)) == 1


def test_a_cancelled_request_is_not_computed_and_one_that_is_ends(store, run_id, nobody):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))
    ticket.cancel()
    assert ticket.state().name == "cancelled"
    assert requests(store) == []
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))

    def compute(run, spec, step, weights, asked, progress, update_ratio):
        progress(0.1, "theory")
        ticket.cancel()
        wait_for(lambda: progress(0.2, "theory"))  # raises
        raise AssertionError("it went on")

    answer_all(store, compute)
    assert ticket.state().name == "cancelled"
    assert list(store.layout.inspections(run_id).iterdir()) == []
    request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    assert ticket.state().name == "done"


def test_what_goes_wrong_is_a_sentence_and_asking_again_tries_again(store, run_id, nobody, capsys):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))

    def compute(*_):
        raise ZeroDivisionError("1/0\nhere")

    answer_all(store, compute)
    assert ticket.state().name == "failed"
    assert ticket.state().words == "this should not have happened (ZeroDivisionError: 1/0 here)"
    assert "Traceback" in capsys.readouterr().err  # for the log
    assert requests(store) == []  # nobody tries again by himself
    request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    assert ticket.state().name == "done"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory was not enough: ask for fewer samples or sections"),
        (OSError(28, "No space left on device"), "the result cannot be kept: No space left on device"),
        (StoreError("the file is damaged"), "the file is damaged"),
    ],
)
def test_errors_that_are_expected(store, run_id, nobody, error, said):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))

    def compute(*_):
        raise error

    answer_all(store, compute)
    assert ticket.state().words == said


def test_damaged_weights_are_refused_with_a_sentence(store, run_id, nobody):
    with closing(sqlite3.connect(store.run_file(run_id))) as file:
        file.execute("UPDATE weights SET payload = zeroblob(8) WHERE step = 6")
        file.commit()
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    assert "is damaged: the weights of step 6 do not match their checksum" in ticket.state().words


def test_a_request_that_kills_the_process_is_given_up(store, run_id, nobody):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))
    for _ in range(process.TRIES):
        with pytest.raises(KeyboardInterrupt):
            answer(store, *requests(store)[0], lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert ticket.state().name == "waiting"
    answer_all(store)
    assert ticket.state().name == "failed"
    assert "was ended 2 times while it did this, as happens where memory runs out" in ticket.state().words


def test_what_was_not_kept_cannot_be_asked(store, run_id, nobody):
    with pytest.raises(StoreError, match=f"run {run_id} kept its weights at the steps 0, 6, but step 3 was asked for"):
        request(store, run_id, 3, Asked())
    _, (waiting,) = store.create([SPEC.to_json()], ["a"])
    with pytest.raises(StoreError, match=f"run {waiting} is queued and has not kept any weights yet"):
        request(store, waiting, 0, Asked())
    store.request_stop(waiting)
    never = f"run {waiting} has kept no weights to look into: it never began, but was stopped before"
    with pytest.raises(StoreError, match=never):
        request(store, waiting, 0, Asked())
    _, (old,) = store.create([SPEC.to_json()], ["old"])
    with store.writer(old) as writer:
        writer.begin(FACTS, INFO)
        writer.append(rows(0, 6))
        writer.finish("finished")
    with pytest.raises(StoreError, match="it was recorded before gradreach kept any, or it broke off at once"):
        request(store, old, 6, Asked())
    with pytest.raises(StoreError, match="there is no run 'r-0000000'"):
        request(store, "r-0000000", 0, Asked())
    assert requests(store) == []


def test_a_network_too_large_to_keep_says_so_with_its_size_also_while_it_is_trained(store, nobody):
    large = RunSpec.make(task="france", gap=5, cell="lstm", hidden=1024, layers=2, steps=6, device="cpu")
    assert 4 * predict(large).parameters > AT_MOST_BYTES
    assert steps_to_keep(large.steps, 4 * predict(large).parameters) == ()
    _, (run_id,) = store.create([large.to_json()], ["large"])
    said = (
        f"run {run_id} keeps no weights to look into: its network has {predict(large).parameters:,} parameters, which "
        "take 51.0 MB, and a run keeps at most 16.8 MB of weights; a smaller hidden size or fewer layers would fit"
    )
    for _ in ("queued", "stopped"):
        with pytest.raises(StoreError) as refused:
            request(store, run_id, 0, Asked())
        assert str(refused.value) == said
        store.request_stop(run_id)


def test_a_store_that_can_only_be_read_computes_nothing_and_shows_what_is_kept(store, run_id, nobody):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    store.catalog.writable = False
    assert request(store, run_id, 6, Asked(sections=("theory",))).state().name == "done"
    assert ticket.result().step == 6
    with pytest.raises(StoreError, match="nothing can be computed for a store that is open for reading only"):
        request(store, run_id, 0, Asked())


def test_a_damaged_result_is_removed_and_can_be_had_again(store, run_id, nobody):
    ticket = request(store, run_id, 6, Asked(sections=("theory",)))
    with pytest.raises(StoreError, match=f"the inspection of run {run_id} at step 6 has not been computed yet"):
        ticket.result()
    answer_all(store)
    (path,) = store.layout.inspections(run_id).glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"is no whole inspection: .*it was removed: ask for it again"):
        ticket.result()
    assert ticket.state().name == "cancelled"
    request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    assert ticket.result().step == 6


def test_purging_a_run_takes_its_inspections_along(store, run_id, nobody):
    request(store, run_id, 6, Asked(sections=("theory",)))
    answer_all(store)
    assert store.layout.inspections(run_id).exists()
    assert store.check() == []
    store.delete([run_id])
    store.purge([run_id])
    assert not store.layout.inspections(run_id).exists()


def test_a_run_that_is_purged_while_it_is_computed_is_no_trouble(store, run_id, nobody):
    request(store, run_id, 6, Asked(sections=("theory",)))

    def compute(*asked):
        store.delete([run_id])
        store.purge([run_id])
        return found(*asked[:-2], lambda share, section: None, {})

    answer_all(store, compute)
    assert not store.layout.inspections(run_id).exists()
    assert requests(store) == []


def test_the_oldest_results_go_first_and_a_look_makes_young(store, run_id, nobody):
    tickets = [request(store, run_id, step, Asked(samples=n, sections=("theory",))) for step in (0, 6) for n in (1, 2)]
    answer_all(store)
    paths = [ticket._place.own_result for ticket in tickets]
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (time.time() - 1000 - age,) * 2)
    tickets[0].result()  # the oldest, looked at
    files.prune(store, paths[3], at_most=sum(path.stat().st_size for path in paths) - 1)
    assert [path.exists() for path in paths] == [True, False, True, True]
    files.prune(store, paths[3], at_most=0)
    assert [path.exists() for path in paths] == [False, False, False, True]


def test_a_process_that_cannot_start_is_told(store, run_id, monkeypatch):
    monkeypatch.setattr(start, "MODULE", "experiments.inspection.no_such_module")
    monkeypatch.setattr(start, "LOOK_AFTER_S", 0.0)
    ticket = request(store, run_id, 6, Asked())
    wait_for(lambda: ticket.state().name == "failed", 60)
    assert "what inspects runs could not start: " in ticket.state().words
    assert "No module named experiments.inspection.no_such_module (all of it is in" in ticket.state().words


def test_only_one_process_serves_a_store(store):
    lock = hold(store.layout.inspector_lock)
    assert start.ensure_inspector(store) == ""
    assert start._CHILDREN == []
    assert process.main(["--store", str(store.path)]) == 0  # it sees that it is not needed
    lock.release()


def test_an_idle_process_leaves_and_one_whose_store_is_gone(store, run_id, nobody):
    serve(store, found, idle_s=0.0)
    request(store, run_id, 6, Asked(sections=("theory",)))
    serve(store, found, idle_s=0.0)
    assert Ticket(store, run_id, 6, Asked(sections=("theory",))).state().name == "done"
    store.layout.catalog.unlink()
    serve(store, found, idle_s=1000.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "6"}', '{"step": 6, "begun": 0, "asked_s": 1, "asked": {}}'])
def test_a_request_that_is_none_is_left_alone(store, run_id, text):
    place = Place.of(store, run_id, 6, Asked())
    place.folder.mkdir(parents=True)
    place.asked.write_text(text)
    assert read_request(place.asked) is None
    assert requests(store) == []


def test_a_name_that_is_no_run_never_becomes_a_path(store):
    with pytest.raises(StoreError, match="run id must look like"):
        Place.of(store, "../../etc", 0, Asked())


def test_the_time_that_is_left():
    assert seconds_left(0.0, 3.0, 10.0) == 7.0  # nothing measured yet
    assert seconds_left(0.5, 10.0, 1.0) == 10.0  # as long again, whatever was expected
    assert seconds_left(1.0, 10.0, 99.0) == 0.0
    assert seconds_left(0.25, 10.0, 20.0) == 20.0  # half of each: (40 + 20) / 2 − 10
    assert seconds_left(0.0, 30.0, 10.0) == 0.0


def test_the_process_itself_leaves_when_it_is_asked_to(store):
    child = start.launch(start.MODULE, ["--store", str(store.path), "--idle", "60"], store.layout.logs / "x.log")
    try:
        lock = store.layout.inspector_lock
        wait_for(lambda: lock.exists() and not _free(lock), 30)
        psutil.Process(child.pid).terminate()
        assert child.wait(30) == -15  # by the signal itself, which no library can catch on its way
        assert _free(lock)
    finally:
        child.kill()
        child.wait()


def _free(path: Path) -> bool:
    lock = hold(path)
    if lock is not None:
        lock.release()
    return lock is not None
