from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.records import COLUMNS, Records
from diagnostics.store import DiskFullError, Store, StoreError, database
from diagnostics.store.packing import checked, checksum, pack, unpack
from tests.diagnostics.store.sample import FACTS, INFO, rows, same


def test_every_bit_of_every_column_comes_back(store):
    _, (run_id,) = store.create([{"steps": 9}], ["a"])
    parts = [rows(start, start + 3, optional=True) for start in (0, 3, 6)]
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        assert [writer.append(part) for part in parts] == [1, 2, 3]
        writer.finish("diverged", "diverged at step 9: the loss is nan", loss=math.nan, success=0.25)
    run = store.read(run_id)
    assert set(run.records) == set(COLUMNS)
    for name in COLUMNS:
        assert same(run.records[name], np.concatenate([part[name] for part in parts])), name
    assert (run.state, run.detail) == ("diverged", "diverged at step 9: the loss is nan")
    assert math.isnan(run.facts.chance_loss)
    assert run.facts.tokens == FACTS.tokens
    assert run.versions == INFO
    row = store.row(run_id)
    assert math.isnan(row.loss)
    assert (row.success, row.steps_done) == (0.25, 9)


@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 6), st.binary(min_size=8, max_size=8))
def test_packing_keeps_bits_and_shapes(n, layers, steps, bits):
    columns = rows(0, n, sizes={"L": layers, "T": steps, "band": 3})
    columns["loss"] = np.full(n, np.frombuffer(bits, "<f8")[0])
    header, payload = pack(checked(columns))
    back = unpack(header, payload)
    assert all(same(back[name], columns[name]) for name in columns)
    with pytest.raises(ValueError, match="are left over"):
        unpack(header, payload + b"\0")
    if payload:
        with pytest.raises(ValueError, match="goes on after the end"):
            unpack(header, payload[:-1])
    assert checksum(1, header, payload) != checksum(2, header, payload)


def test_a_header_that_lies_allocates_nothing():
    for header in (
        '[["loss", "<f8", [1000000000000000]]]',
        '[["loss", "|O8", [1]]]',
        '[["loss", "<f8", [-1]]]',
        '[["loss", "<f8", [NaN]]]',
    ):
        with pytest.raises(ValueError):
            unpack(header, b"\0" * 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": [1.0, 2.0]}, "column must be one of step, .*, but got 'speed'"),
        ({"loss": ["a", "b"]}, r"loss must be an array of f8 \[rows\], but got <U1 of shape \(2,\)"),
        ({"loss": [[1.0], [2.0]]}, r"loss must be an array of f8 \[rows\], but got float64 of shape \(2, 1\)"),
        ({"step": [0.5, 1.5]}, r"step must be an array of i8 \[rows\], but got float64"),
        ({"loss": [1.0]}, "columns of the stream 'step' must have equal lengths, but loss has 1 rows"),
        ({"state_grad": np.zeros((2, 2, 5, 2))}, "state_grad must end in an axis of 3"),
        ({"loss": None}, "rows of the stream 'step' must bring loss, but it is missing"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(store, change, message):
    _, (run_id,) = store.create([{}], ["a"])
    columns = {name: value for name, value in (rows(0, 2) | change).items() if value is not None}
    with store.writer(run_id) as writer:
        with pytest.raises(ValueError, match=message):
            writer.append(columns)
        writer.append(rows(0, 2))
        with pytest.raises(ValueError, match="profile columns must keep the shapes"):
            writer.append(rows(2, 4, optional=True))
        writer.finish("finished")
    assert store.read(run_id).records.rows("step") == 2


def test_a_run_can_be_read_while_it_is_written_and_is_one_file_when_it_has_ended(store):
    _, (run_id,) = store.create([{}], ["a"])
    path = store.run_file(run_id)
    assert store.read(run_id).records.rows("step") == 0  # queued: nothing yet, and no fault
    with store.writer(run_id) as writer:
        assert store.read(run_id).facts is None
        writer.begin(FACTS, INFO)
        assert store.info(run_id) == INFO
        writer.append(rows(0, 2))
        run = store.read(run_id)
        assert (run.state, run.records.rows("step"), run.facts.answer) == ("running", 2, "French")
        store.copy_run_file(run_id, store.path / "copy.sqlite")
        writer.finish("finished")
    assert list(path.parent.iterdir()) == [path]
    with closing(sqlite3.connect(store.path / "copy.sqlite")) as copy:
        assert copy.execute("SELECT count(*) FROM chunk").fetchone() == (1,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_what_a_killed_writer_left_in_the_log_is_read_without_writing(store):
    """The state of the files after ``kill -9``: a log that nobody folded in."""
    _, (run_id,) = store.create([{}], ["a"])
    path = store.run_file(run_id)
    writer = store.writer(run_id)
    writer.append(rows(0, 2))
    left = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    writer.finish("finished")
    path.unlink()
    for name, content in left.items():
        if not name.endswith("-shm"):  # the index of the log is not on disk after a crash of the machine
            (path.parent / name).write_bytes(content)
    assert store.read(run_id).records.rows("step") == 2


def test_a_run_is_written_once_and_by_one(store):
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        with pytest.raises(StoreError, match=f"run {run_id} cannot be started: it is running, not queued and free"):
            store.writer(run_id, timeout_s=0.05)
        assert store.claim() is None
        with pytest.raises(ValueError, match=r"state must be one of finished, .*, but got 'done'"):
            writer.finish("done")
        writer.finish("stopped", "stopped at step 0 of 5")
    with pytest.raises(StoreError, match="it is stopped, not queued and free"):
        store.writer(run_id)


def test_how_a_writer_leaves_is_how_the_run_ends(store):
    _, ids = store.create([{}] * 4, list("abcd"))
    sentences = ["ValueError", "its worker was asked to leave", "the run ended without a word on how", "no luck"]
    for run_id, error in zip(
        ids, (ZeroDivisionError("1/0\nhere"), SystemExit(), None, ValueError("no luck")), strict=True
    ):
        try:
            with store.writer(run_id) as writer:
                writer.append(rows(0, 2))
                if error is not None:
                    raise error
        except type(error):
            pass
    sentences[0] = "ZeroDivisionError: 1/0 here"
    assert [store.row(run_id).detail for run_id in ids] == sentences
    assert [store.row(run_id).state for run_id in ids] == ["failed", "interrupted", "failed", "failed"]
    assert all(store.read(run_id).records.rows("step") == 2 for run_id in ids)


def test_no_room_for_a_chunk_is_a_full_disk_and_what_came_before_stays(store):
    _, (run_id,) = store.create([{}], ["a"])

    def fill() -> None:
        with store.writer(run_id) as writer:
            writer.append(rows(0, 2))
            writer._file._connection.execute("PRAGMA max_page_count=12")
            for start in range(2, 1000, 2):
                writer.append(rows(start, start + 2))

    with pytest.raises(DiskFullError, match=r"the disk is full: nothing more can be written to .*sqlite"):
        fill()
    row = store.row(run_id)
    assert row.state == "failed"
    assert "the disk is full" in row.detail
    run = store.read(run_id)
    assert run.records.rows("step") == row.steps_done > 2
    assert run.records["step"].tolist() == list(range(row.steps_done))
    assert not list((store.path / "locks").glob("*.reserve"))


def test_reading_does_not_change_a_file(store, finished):
    path = store.run_file(finished)
    before = path.read_bytes(), path.stat().st_mtime_ns
    store.read(finished)
    store.tail(finished).poll()
    store.check()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert isinstance(store.read(finished).records, Records)


def test_a_file_in_a_folder_that_cannot_be_written_is_read(store, finished, monkeypatch):
    """As on a read-only medium, where SQLite cannot make the index of a log; made up, as root may write anywhere."""

    def refused(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(database, "_look", refused)
    monkeypatch.setattr(sqlite3.OperationalError, "sqlite_errorname", "SQLITE_CANTOPEN", raising=False)
    monkeypatch.setattr(database.os, "access", lambda *_: False)
    path = store.run_file(finished)
    with database.reading(path) as connection:
        assert connection.execute("SELECT count(*) FROM chunk").fetchone() == (3,)
    Path(f"{path}-wal").write_bytes(b"newer entries")
    with pytest.raises(StoreError, match=r"because r-\w+.sqlite-wal belongs to it and the folder cannot be written"):
        database.reading(path).__enter__()


@pytest.mark.parametrize("which", ["catalog", "run"])
def test_what_a_killed_writer_left_half_done_is_undone_by_who_looks(store, finished, tmp_path, which):
    """The files as ``kill -9`` leaves them in the middle of a commit: pages written, and the journal to undo them."""
    path = store.layout.catalog if which == "catalog" else store.run_file(finished)
    with closing(database.connect(path, write=True)) as writer:
        writer.execute("PRAGMA cache_size=1")  # so that pages reach the file before the commit
        writer.execute("BEGIN IMMEDIATE")
        if which == "catalog":
            writer.execute("CREATE TABLE half (x)")
            writer.execute("UPDATE run SET state = 'failed', name = 'half done'")
        else:
            writer.execute("UPDATE chunk SET payload = zeroblob(length(payload) + 9000)")
        shutil.copytree(store.path, tmp_path / "left")
        writer.execute("ROLLBACK")
    copied = tmp_path / "left" / path.relative_to(store.path)
    assert copied.read_bytes() != path.read_bytes()
    assert Path(f"{copied}-journal").stat().st_size > 0
    left = Store.open(tmp_path / "left")
    assert (left.row(finished).state, left.row(finished).name) == ("finished", "a run")
    assert left.read(finished).records.rows("step") == 6
    assert left.check() == []
