from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from diagnostics.store import Store, StoreError
from tests.diagnostics.store.sample import FACTS, INFO, rows, same


def sentences(store: Store) -> str:
    return "\n".join(finding.sentence for finding in store.check())


def edit(path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file:
        for statement in statements:
            file.execute(statement)
        file.commit()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["DELETE FROM chunk WHERE seq = 2"], "chunk 2 is missing"),
        (["UPDATE chunk SET seq = 7 WHERE seq = 3"], "chunks 3 to 6 are missing"),
        (["DELETE FROM chunk WHERE seq = 3"], "holds 2 chunks where 3 were written"),
        (["UPDATE chunk SET payload = zeroblob(length(payload)) WHERE seq = 1"], "chunk 1 does not match its checksum"),
        (["UPDATE chunk SET payload = 'text' WHERE seq = 3"], "chunk 3 does not match its checksum"),
        (["UPDATE chunk SET header = replace(header, 'loss', 'l0ss') WHERE seq = 3"], "chunk 3 does not match"),
        (["UPDATE document SET json = '{}' WHERE name = 'facts'"], "document 'facts' does not match its checksum"),
        (["DROP TABLE chunk"], "its table chunk is missing"),
        (["PRAGMA application_id=7"], "is not a run file of gradreach, so it is left alone"),
    ],
)
def test_damage_is_found_and_named_and_other_runs_open(store, finished, statements, message):
    _, (other,) = store.create([{}], ["other"])
    with store.writer(other) as writer:
        writer.append(rows(0, 2))
        writer.finish("finished")
    edit(store.run_file(finished), *statements)
    assert message in sentences(store)
    assert {(f.run, f.file) for f in store.check()} == {(finished, str(store.run_file(finished)))}
    with pytest.raises(StoreError, match=finished):
        store.read(finished)
    assert store.read(other).records.rows("step") == 2
    assert len(store.runs()) == 2


def test_a_chunk_in_anothers_place_is_found(store, finished):
    edit(
        store.run_file(finished),
        "UPDATE chunk SET seq = -1 WHERE seq = 1",
        "UPDATE chunk SET seq = 1 WHERE seq = 2",
        "UPDATE chunk SET seq = 2 WHERE seq = -1",
    )
    found = sentences(store)
    assert "chunk 1 does not match its checksum" in found
    assert "chunk 2 does not match its checksum" in found


def test_rows_recorded_twice_are_found(store):
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        writer.append(rows(0, 3))
        writer.append(rows(2, 4))
        writer.finish("finished")
    assert f"{run_id}.sqlite has rows of step twice or out of order, first after 2" in sentences(store)


def test_every_fault_is_listed_not_only_the_first(store, finished):
    made = store.create([{"n": n} for n in range(4)], list("abcd"))[1]
    for run_id in made:
        with store.writer(run_id) as writer:
            writer.begin(FACTS, INFO)
            writer.append(rows(0, 2))
            writer.finish("finished")
    missing, cut, swapped, state = made
    store.run_file(missing).unlink()
    os.truncate(store.run_file(cut), 100)
    shutil.copyfile(store.run_file(finished), store.run_file(swapped))
    edit(store.layout.catalog, f"UPDATE run SET state = 'failed' WHERE id = '{state}'")
    (store.path / "runs" / "stray.txt").write_text("mine")
    (store.path / "runs" / "r-0000000.sqlite").touch()
    found = sentences(store)
    for message in (
        f"{missing}.sqlite is missing, so the records of run {missing} (a) are lost",
        f"{cut}.sqlite cannot be used: database disk image is malformed",
        f"{swapped}.sqlite holds another spec than the catalog has for run {swapped}",
        f"{state}.sqlite says that the run ended as finished, and the catalog says failed",
        "stray.txt belongs to no run of the catalog",
        "r-0000000.sqlite belongs to no run of the catalog",
    ):
        assert message in found
    assert finished not in "".join(f.run for f in store.check())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("spec = '{\"cell\": '", "Expecting value"),
        ("spec = '[]'", "its spec is no object"),
        ("spec = CAST(x'7b22ff227d' AS TEXT)", "can't decode byte 0xff"),
        ("name = CAST(x'ff' AS TEXT)", "can't decode byte 0xff"),
        ("loss = 'many'", "could not convert string to float"),
        ("created_s = 9e999", "a time of inf seconds"),
        ("started_s = 'soon'", "could not convert string to float"),
        ("steps = 'few'", "invalid literal for int"),
        ("comparison = 'c-0000000'", "there is no comparison 'c-0000000'"),
        ("id = '../../x', state = 'running'", "run id must look like r-1a2b3c4"),
    ],
)
def test_a_damaged_line_of_the_catalog_does_not_hide_the_others(store, finished, damage, said):
    _, (hurt, waiting) = store.create([{"n": 1}, {"n": 2}], ["hurt", "waiting"])
    assert store.notice == ""
    edit(store.layout.catalog, f"UPDATE run SET {damage} WHERE id = '{hurt}'")
    assert [row.id for row in store.runs()] == [waiting, finished]
    assert "A line of the catalog is damaged and not listed here: `python -m experiments doctor`" in store.notice
    assert not store.read_only
    assert said in sentences(store)
    assert store.read(finished).records.rows("step") == 6
    assert [row.id for row in store.active()] == [waiting]
    with store.claim() as writer:  # not stopped by the line before it
        assert writer.row.id == waiting
        writer.finish("finished")


def test_a_catalog_that_was_mended_is_not_called_damaged_any_more(store, finished):
    edit(store.layout.catalog, "UPDATE run SET spec = 'no JSON'")
    assert store.runs() == []
    assert store.notice
    edit(store.layout.catalog, "UPDATE run SET spec = '{}'")
    assert [row.id for row in store.runs()] == [finished]
    assert store.notice == ""


def test_a_damaged_catalog_does_not_hide_the_files(store, finished):
    with store.layout.catalog.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    assert any(f.file == str(store.layout.catalog) for f in store.check())


def test_each_flipped_bit_in_a_chunk_is_found_and_none_elsewhere_changes_a_number(store):
    """Flips in the pages that hold nothing (and in counters that nobody reads) are harmless, and only those pass.

    A file of large chunks, so that most flips hit data. A flip either makes reading fail with the file's name, or
    leaves every number what it was: never a changed number.
    """
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        for start in range(0, 300, 100):
            writer.append(rows(start, start + 100))
        writer.finish("finished")
    path = store.run_file(run_id)
    sound, wanted = path.read_bytes(), store.read(run_id)
    with closing(sqlite3.connect(path)) as file:
        payloads = [row[0] for row in file.execute("SELECT payload FROM chunk")]
    # Rows that are stored over several pages are contiguous within each, so a piece of a payload is found by search.
    pieces = [payload[i : i + 64] for payload in payloads for i in range(0, len(payload) - 64, 1997)]
    inside = [place for piece in pieces if (place := sound.find(piece)) > 0]
    assert len(inside) > 60
    rng = random.Random(0)
    found = harmless = 0
    told: set[bool] = set()
    for place in [*inside, *(rng.randrange(len(sound)) for _ in range(300))]:
        flipped = bytearray(sound)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            run = store.read(run_id)
        except StoreError as error:
            told.add(run_id in str(error) and len(store.check()) > 0)
            found += 1
            continue
        assert place not in inside, f"the flip at {place} was not found"
        assert all(same(run.records[name], wanted.records[name]) for name in wanted.records)
        assert (run.facts.tokens, run.versions) == (wanted.facts.tokens, wanted.versions)
        harmless += 1
    assert told == {True}  # the file is named, and doctor finds it too
    assert found > 5 * harmless
