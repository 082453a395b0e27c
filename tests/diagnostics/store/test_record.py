from __future__ import annotations

import pytest

from diagnostics.store import Store, StoreError, locks
from tests.diagnostics.store.sample import FACTS, INFO, rows


def test_a_recorded_run_was_never_queued(store: Store) -> None:
    with store.record({"cell": "lstm"}, "mine", comparison_name="together") as writer:
        assert store.row(writer.run_id).state == "running"
        assert locks.is_held(store.layout.run_lock(writer.run_id))
        assert store.claim() is None
        with pytest.raises(StoreError, match="it is running, not queued and free"):
            store.writer(writer.run_id, timeout_s=0.0)
        writer.begin(FACTS, INFO)
        writer.append(rows(0, 2))
        writer.inform({**INFO, "known": "later"})
        with store.record({}, "beside", writer.row.comparison) as other:
            other.finish("stopped")
        writer.finish("finished")
    run = store.read(writer.run_id)
    assert (run.state, run.name, run.records.rows("step")) == ("finished", "mine", 2)
    assert store.info(writer.run_id)["known"] == "later"
    (comparison,) = store.comparisons()
    assert (comparison.name, comparison.runs) == ("together", 2)
    assert store.check() == []


def test_where_it_cannot_be_recorded_no_lock_is_left(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no comparison"):
        store.record({}, "mine", "c-none")
    with pytest.raises(StoreError, match="control characters"):
        store.record({}, "mi\nne")
    assert store.runs() == []
    assert not any(locks.is_held(path) for path in store.layout.locks.glob("*.lock"))


def test_whoever_forgets_to_say_how_it_ended_leaves_a_failed_run(store: Store) -> None:
    with store.record({}, "mine") as writer:
        pass
    assert store.row(writer.run_id).state == "failed"
