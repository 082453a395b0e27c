from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing

import pytest

from diagnostics.store import Store, StoreError, database, read_run_file
from tests.diagnostics.store.sample import FACTS, INFO, rows, same


@pytest.fixture
def elsewhere(tmp_path) -> Store:
    return Store.open(tmp_path / "elsewhere")


def test_an_imported_run_is_the_run(store, finished, elsewhere):
    spec = store.row(finished).spec
    first = elsewhere.import_run_file(store.run_file(finished), spec, "from afar", comparison_name="guests")
    group = elsewhere.row(first).comparison
    second = elsewhere.import_run_file(store.run_file(finished).read_bytes(), spec, "again", comparison=group)
    wanted, got = store.read(finished), elsewhere.read(second)
    assert all(same(got.records[name], wanted.records[name]) for name in wanted.records)
    assert (got.state, got.detail, got.versions) == (wanted.state, wanted.detail, wanted.versions)
    assert got.facts.tokens == wanted.facts.tokens
    row = elsewhere.row(first)
    assert (row.name, row.comparison_name, row.steps_done, row.loss, row.success) == (
        "from afar",
        "guests",
        6,
        0.5,
        0.75,
    )
    assert elsewhere.comparisons()[0].runs == 2
    assert elsewhere.check() == []
    assert elsewhere.claim() is None


def test_a_run_exported_while_it_ran_arrives_as_interrupted(store, elsewhere, tmp_path):
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        writer.append(rows(0, 2))
        store.copy_run_file(run_id, tmp_path / "copy")
        writer.finish("finished")
    row = elsewhere.row(elsewhere.import_run_file(tmp_path / "copy", {}, "a"))
    assert (row.state, row.detail) == ("interrupted", "it was still running when it was exported")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON chunk BEGIN DELETE FROM chunk; END", "tables or views that no run file has"),
        ("CREATE VIEW v AS SELECT 1", "tables or views that no run file has"),
        ("ALTER TABLE chunk ADD COLUMN more", "tables or views that no run file has"),
        ("UPDATE chunk SET payload = zeroblob(2000000) WHERE seq = 1", "too big"),
        ("DELETE FROM chunk WHERE seq = 3", "is not complete"),
        ("UPDATE chunk SET payload = zeroblob(1000) WHERE seq = 1", "chunk 1 does not match its checksum"),
        ("DELETE FROM document WHERE name = 'run'", "does not hold the run that its spec describes"),
        ("PRAGMA application_id=0", "is not a run file of gradreach"),
    ],
)
def test_a_foreign_or_altered_file_is_refused_and_nothing_is_written(
    store, finished, elsewhere, tmp_path, monkeypatch, statement, message
):
    monkeypatch.setattr(database, "LARGEST_VALUE", 1_000_000)
    path = tmp_path / "copy.sqlite"
    store.copy_run_file(finished, path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(statement)
        file.commit()
    with pytest.raises(StoreError, match=message):
        elsewhere.import_run_file(path, store.row(finished).spec, "x")
    assert elsewhere.runs(include_deleted=True) == []
    assert list((elsewhere.path / "runs").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + b"\xff" * 4000])
def test_what_is_no_database_is_refused(elsewhere, content):
    with pytest.raises(StoreError, match=r"run.sqlite"):
        elsewhere.import_run_file(content, {}, "x")
    assert elsewhere.runs() == []


def test_the_name_and_the_spec_are_checked_too(store, finished, elsewhere):
    with pytest.raises(StoreError, match="does not hold the run that its spec describes"):
        elsewhere.import_run_file(store.run_file(finished), {"steps": 7}, "x")
    with pytest.raises(StoreError, match="name must not contain control characters"):
        elsewhere.import_run_file(store.run_file(finished), store.row(finished).spec, "\0")
    with pytest.raises(StoreError, match="there is no comparison 'c-none'"):
        elsewhere.import_run_file(store.run_file(finished), store.row(finished).spec, "x", comparison="c-none")
    assert elsewhere.runs() == []
    assert list((elsewhere.path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("document", "content"),
    [
        ("end", "[]"),
        ("end", '{"state": "finished", "loss": "three"}'),
        ("end", '{"state": "finished", "detail": ["x"]}'),
        ("end", '{"state": "running"}'),
        ("facts", '{"title": "x"}'),
        ("facts", "null"),
        ("info", "[" * 100_000),
        ("run", '{"spec": NaN}'),
    ],
)
def test_documents_with_true_checksums_and_absurd_content_are_refused(
    store, finished, elsewhere, tmp_path, document, content
):
    path = tmp_path / "copy.sqlite"
    store.copy_run_file(finished, path)
    crc = zlib.crc32(content.encode(), zlib.crc32(document.encode()))
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE document SET json = ?, crc = ? WHERE name = ?", (content, crc, document))
        file.commit()
    with pytest.raises(StoreError):
        elsewhere.import_run_file(path, store.row(finished).spec, "x")
    assert elsewhere.runs() == []
    assert list((elsewhere.path / "runs").iterdir()) == []


def test_a_file_outside_a_store_reads_as_the_run(store, finished, tmp_path):
    store.copy_run_file(finished, tmp_path / "alone.sqlite")
    wanted, got = store.read(finished), read_run_file(tmp_path / "alone.sqlite")
    assert all(same(got.records[name], wanted.records[name]) for name in wanted.records)
    assert (got.id, got.name, got.state, got.spec) == (wanted.id, wanted.name, wanted.state, wanted.spec)
    assert (got.facts.tokens, got.versions) == (wanted.facts.tokens, wanted.versions)
    with pytest.raises(StoreError, match=r"nowhere.sqlite is missing"):
        read_run_file(tmp_path / "nowhere.sqlite")
