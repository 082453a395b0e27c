from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from diagnostics.store import StoreError
from diagnostics.store import run_file as files
from tests.diagnostics.store.sample import FACTS, INFO, rows, same


def test_a_tail_grows_with_the_run_and_reads_each_chunk_once(store, monkeypatch):
    read: list[int] = []
    scan = files.scan_chunks

    def counted(connection: sqlite3.Connection, after: int = 0):
        for seq, records, fault in scan(connection, after):
            read.append(seq)
            yield seq, records, fault

    monkeypatch.setattr(files, "scan_chunks", counted)
    _, (run_id,) = store.create([{}], ["a"])
    tail = store.tail(run_id)
    assert tail.poll().state == "queued"
    versions = [tail.version]
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        assert tail.poll().facts.answer == "French"
        versions.append(tail.version)
        for start in (0, 2, 4):
            writer.append(rows(start, start + 2))
            run = tail.poll()
            assert run.records["step"].tolist() == list(range(start + 2))
            versions.append(tail.version)
            assert tail.poll() is run  # nothing new: the same object
            assert tail.version == versions[-1]
        writer.append(rows(6, 8))
        writer.finish("finished")
    assert (tail.poll().state, tail.poll().records.rows("step")) == ("finished", 8)
    versions.append(tail.version)
    assert versions == sorted(set(versions))
    assert read == [1, 2, 3, 4]
    whole = store.read(run_id).records
    assert all(same(tail.poll().records[name], whole[name]) for name in whole)


def test_once_a_run_has_ended_its_file_is_not_looked_at_again(store, finished):
    tail = store.tail(finished)
    run = tail.poll()
    store.run_file(finished).unlink()
    assert tail.poll() is run
    store.rename(finished, "another name")
    assert tail.poll().name == "another name"
    assert np.array_equal(tail.poll().records["step"], np.arange(6))


def test_damage_in_a_new_chunk_is_told_and_keeps_being_told(store):
    _, (run_id,) = store.create([{}], ["a"])
    tail = store.tail(run_id)
    with store.writer(run_id) as writer:
        writer.append(rows(0, 2))
        assert tail.poll().records.rows("step") == 2
        writer.append(rows(2, 4))
        writer._file._connection.execute("UPDATE chunk SET crc = crc + 1 WHERE seq = 2")
        for _ in range(2):
            with pytest.raises(StoreError, match=f"{run_id}.sqlite is damaged: chunk 2 does not match its checksum"):
                tail.poll()
        writer.finish("finished")
