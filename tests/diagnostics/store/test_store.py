from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from diagnostics.store import Store, StoreError
from diagnostics.store.rows import from_base32, to_base32
from tests.diagnostics.store.sample import rows


def test_runs_come_newest_first_with_what_was_asked(store):
    first, old = store.create([{"steps": 3}, {"steps": 4}], ["one", "two"], "first")
    second, new = store.create([{"steps": 5, "rate": math.inf}], ["three"])
    assert [row.id for row in store.runs()] == [*new, *reversed(old)]
    assert [row.name for row in store.runs(comparison=first)] == ["two", "one"]
    row = store.row(new[0])
    assert (row.state, row.steps, row.steps_done, row.loss, row.comparison) == ("queued", 5, 0, None, second)
    assert row.spec == {"steps": 5, "rate": "inf"}
    assert [(c.id, c.name, c.runs) for c in store.comparisons()] == [(second, "", 1), (first, "first", 2)]


def test_ids_sort_by_age_even_when_made_at_once(store):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda i: store.create([{"n": i}] * 5, ["n"] * 5)[1], range(8)))
    ids = [row.id for row in reversed(store.runs())]
    assert ids == sorted({run_id for group in made for run_id in group})
    assert len(ids) == 40
    assert [from_base32(to_base32(n)) for n in (0, 31, 32, 2**35, 2**40)] == [0, 31, 32, 2**35, 2**40]


@pytest.mark.parametrize("name", ["Ελλάδα · ReLU", "🧠👩‍🔬", "<b>*&", "=1+1", "C:\\x"])
def test_any_text_is_a_name(store, finished, name):
    store.rename(finished, f"  {name} ")
    assert store.row(finished).name == name
    assert Store.open(store.path).read(finished).name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\x00b", "control characters or lone surrogates, but got U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("\udc80", "U\\+DC80"),
        ("x" * 201, "at most 200 characters long, but got 201"),
        ("  ", "must not be empty"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(store, finished, name, message):
    with pytest.raises(StoreError, match=message):
        store.rename(finished, name)
    assert store.row(finished).name == "a run"


def test_creating_is_all_or_nothing(store):
    with pytest.raises(StoreError, match=r"U\+0007"):
        store.create([{}, {}], ["fine", "\a"])
    with pytest.raises(StoreError, match="one per spec, at least one, but got 0 for 0"):
        store.create([], [])
    assert store.runs() == []
    assert store.comparisons() == []


def test_runs_can_join_a_comparison_as_long_as_it_is_there(store):
    comparison, (first,) = store.create([{}], ["one"], "together")
    joined, (second,) = store.create([{}], ["two"], "not used", comparison=comparison)
    assert joined == comparison
    assert [(row.id, row.comparison_name) for row in store.runs(comparison=comparison)] == [
        (second, "together"),
        (first, "together"),
    ]
    assert [(c.id, c.runs) for c in store.comparisons()] == [(comparison, 2)]
    with pytest.raises(StoreError, match="there is no comparison 'c-0000000' in this store"):
        store.create([{}], ["x"], comparison="c-0000000")
    store.delete([first])
    _, (third,) = store.create([{}], ["three"], comparison=comparison)
    store.delete([second, third])
    with pytest.raises(StoreError, match=f"comparison {comparison} has been deleted: restore one of its runs before"):
        store.create([{}], ["x"], comparison=comparison)
    store.purge()
    with pytest.raises(StoreError, match=f"there is no comparison '{comparison}'"):
        store.create([{}], ["x"], comparison=comparison)
    assert store.runs(include_deleted=True) == []


def test_deleting_can_be_undone_until_it_is_purged(store, finished):
    store.delete([finished])
    assert store.runs() == []
    assert [row.id for row in store.runs(include_deleted=True)] == [finished]
    store.restore([finished])
    assert store.read(finished).records.rows("step") == 6
    with pytest.raises(StoreError, match="must be deleted before it can be removed for good"):
        store.purge([finished])
    store.delete([finished])
    assert store.purge() == [finished]
    assert store.runs(include_deleted=True) == []
    assert store.comparisons() == []
    assert [p.name for folder in ("runs", "locks") for p in (store.path / folder).iterdir()] == []
    assert store.check() == []


def test_deleting_a_queued_run_stops_it_and_a_running_one_is_refused(store):
    _, (running, queued) = store.create([{}, {}], ["a", "b"])
    with store.writer(running) as writer:
        with pytest.raises(StoreError, match=f"run {running} is still running: stop it before deleting it"):
            store.delete([queued, running])
        assert store.row(queued).state == "queued"  # all or none
        store.delete([queued])
        assert store.row(queued).state == "stopped"
        assert store.claim() is None
        writer.finish("finished")


def test_an_unknown_run_is_named(store):
    for act in (store.row, store.read, store.request_stop, lambda i: store.delete([i]), lambda i: store.rename(i, "x")):
        with pytest.raises(StoreError, match="there is no run 'r-0000000'"):
            act("r-0000000")
    with pytest.raises(StoreError, match=r"run id must look like r-1a2b3c4, but got '../../etc/passwd'"):
        store.run_file("../../etc/passwd")


def test_the_folder_is_chosen_by_argument_then_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("GRADREACH_STORE")
    monkeypatch.chdir(tmp_path)
    assert Store.open(None).path == tmp_path / "runs"
    monkeypatch.setenv("GRADREACH_STORE", str(tmp_path / "elsewhere"))
    assert Store.open(None).path == tmp_path / "elsewhere"
    assert Store.open(tmp_path / "here").path == tmp_path / "here"


def test_what_is_no_store_is_named_and_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"the store must be a folder, but .*file"):
        Store.open(tmp_path / "file")
    (tmp_path / "foreign").mkdir()
    with closing(sqlite3.connect(tmp_path / "foreign" / "catalog.sqlite")) as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match=r"foreign/catalog.sqlite is not a catalog of gradreach, so it is left alone"):
        Store.open(tmp_path / "foreign")
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "catalog.sqlite").write_bytes(b"not a database, long enough to be looked at" * 40)
    with pytest.raises(StoreError, match=r"garbage/catalog.sqlite cannot be used: file is not a database"):
        Store.open(tmp_path / "garbage")


def test_an_empty_catalog_left_by_a_killed_start_is_made_anew(tmp_path):
    (tmp_path / "catalog.sqlite").touch()
    assert Store.open(tmp_path).runs() == []


def test_a_store_of_a_newer_version_is_opened_for_reading_with_a_word(store, finished):
    with closing(sqlite3.connect(store.layout.catalog)) as catalog:
        catalog.execute("PRAGMA user_version=2")
        catalog.execute("ALTER TABLE run ADD COLUMN from_the_future TEXT")
        catalog.commit()
    before = store.layout.catalog.read_bytes()
    newer = Store.open(store.path)
    assert newer.read_only
    assert "was written by a newer version of gradreach (format 2), so it is open for reading only." in newer.notice
    assert newer.read(finished).records.rows("step") == 6
    for change in (
        lambda: newer.create([{}], ["x"]),
        lambda: newer.rename(finished, "x"),
        lambda: newer.delete([finished]),
        lambda: newer.restore([finished]),
        newer.purge,
        lambda: newer.request_stop(finished),
        lambda: newer.writer(finished),
        lambda: newer.import_run_file(newer.run_file(finished), {}, "x"),
    ):
        with pytest.raises(StoreError, match="open for reading only"):
            change()
    assert store.layout.catalog.read_bytes() == before


def test_a_run_left_running_in_a_read_only_store_does_not_say_running(store, finished):
    _, (run_id,) = store.create([{}], ["a"])
    writer = store.writer(run_id)
    writer.append(rows(0, 2))
    with closing(sqlite3.connect(store.layout.catalog)) as catalog:
        catalog.execute("PRAGMA user_version=2")
    newer = Store.open(store.path)
    assert newer.row(run_id).state == "running"
    writer._lock.release()  # as a killed process does
    assert newer.row(run_id).state == "interrupted"
    assert newer.read(run_id).records.rows("step") == 2
    writer._file.close()


def test_a_run_file_of_a_newer_version_says_so_where_it_cannot_be_read(store, finished):
    path = store.run_file(finished)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version=3")
    assert store.read(finished).records.rows("step") == 6
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE chunk SET header = 'a new format' WHERE seq = 2")
        file.commit()
    with pytest.raises(StoreError, match="was written by a newer version of gradreach, which is needed here"):
        store.read(finished)


def test_a_store_that_vanished_is_named(store, finished):
    for path in sorted(store.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    store.path.rmdir()
    with pytest.raises(StoreError, match=r"catalog.sqlite is missing"):
        store.runs()


def test_torch_and_plotly_stay_away():
    code = "import sys, diagnostics.store; print([m for m in ('torch', 'plotly', 'streamlit') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "a?b#c%20 é'\"&mode=memory"
    store = Store.open(folder)
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        writer.append(rows(0, 2))
        writer.finish("finished")
    assert Store.open(folder).read(run_id).records.rows("step") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


def test_active_lists_what_waits_or_runs(store, finished):
    _, (first, second) = store.create([{}, {}], ["a", "b"])
    with store.writer(first) as writer:
        assert [row.id for row in store.active()] == [second, first]
        writer.finish("finished")
    assert [row.id for row in store.active()] == [second]
