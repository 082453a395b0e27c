from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from diagnostics.export.bundle import bundle_bytes, read_bundle
from diagnostics.store import Store, StoreError, run_file, weights
from tests.diagnostics.store.sample import FACTS, INFO, rows, same
from tests.diagnostics.store.test_check import edit, sentences


def some(seed: int) -> weights.Weights:
    rng = np.random.default_rng(seed)
    return {
        "embedding.weight": rng.normal(size=(3, 4)).astype("f4"),
        "recurrent.layers.0.bias_hh": np.array([np.inf, -0.0, 1e-45, 3.0], "f4"),
        "scalar": np.array(2.5, "f4"),
        "empty": np.zeros((0, 7), "f4"),
    }


def equal(got: weights.Weights, wanted: weights.Weights) -> bool:
    return list(got) == list(wanted) and all(same(got[name], wanted[name]) for name in wanted)


@pytest.fixture
def kept(store: Store) -> str:
    """The id of a run that kept its weights at the steps 0 and 6."""
    _, (run_id,) = store.create([{"steps": 6, "cell": "tanh"}], ["a run"], "a comparison")
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        writer.keep(0, some(0))
        writer.append({name: np.abs(values) for name, values in rows(0, 6).items()})  # norms, as figures need them
        assert store.weights_steps(run_id) == (0,)
        writer.keep(6, some(6), {"embedding.weight": 1e-3, "scalar": float("nan")})
        writer.finish("finished")
    return run_id


def test_weights_come_back_to_the_bit(store, kept):
    assert store.weights_steps(kept) == (0, 6)
    assert equal(store.weights(kept, 0), some(0))
    assert equal(store.weights(kept, 6), some(6))
    assert store.check() == []
    with pytest.raises(StoreError, match=f"run {kept} has not kept its weights at step 3, but at the steps 0, 6"):
        store.weights(kept, 3)
    with pytest.raises(StoreError, match="there is no run 'r-0000000'"):
        store.weights_steps("r-0000000")


def test_update_ratios_come_back_with_them(store, kept, tmp_path):
    store.copy_run_file(kept, tmp_path / "copy.sqlite")
    other = Store.open(tmp_path / "other")
    imported = other.import_run_file(tmp_path / "copy.sqlite", store.row(kept).spec, "again")
    for there, run_id in ((store, kept), (other, imported)):
        found = there.update_ratios(run_id, 6)
        assert found == pytest.approx({"embedding.weight": 1e-3, "scalar": float("nan")}, nan_ok=True)
        assert there.update_ratios(run_id, 0) == there.update_ratios(run_id, 3) == {}
    edit(store.run_file(kept), "UPDATE document SET json = '{}' WHERE name = 'updates'")
    with pytest.raises(StoreError, match="document 'updates' does not match its checksum"):
        store.update_ratios(kept, 6)


def test_a_run_that_never_began_or_kept_none(store, finished):
    _, (waiting,) = store.create([{}], ["a"])
    assert store.weights_steps(waiting) == store.weights_steps(finished) == ()
    with pytest.raises(StoreError, match="has not kept its weights at step 0, nor at any other"):
        store.weights(waiting, 0)


def test_copies_imports_and_bundles_carry_them(store, kept, tmp_path):
    store.copy_run_file(kept, tmp_path / "copy.sqlite")
    other = Store.open(tmp_path / "other")
    imported = other.import_run_file(tmp_path / "copy.sqlite", store.row(kept).spec, "again")
    bundled = Store.open(tmp_path / "bundled")
    (from_bundle,) = read_bundle(bundle_bytes(store, [kept], images=()), bundled).imported.values()
    for there, run_id in ((other, imported), (bundled, from_bundle)):
        assert there.weights_steps(run_id) == (0, 6)
        assert equal(there.weights(run_id, 6), some(6))
        assert there.check() == []


def to_version_1(path) -> None:
    """Make the file what gradreach wrote before it kept weights."""
    edit(path, "DROP TABLE weights", "PRAGMA user_version=1")


def test_a_file_of_version_1_is_read_copied_and_imported(store, finished, tmp_path):
    path = store.run_file(finished)
    to_version_1(path)
    with closing(sqlite3.connect(path)) as file:
        names = {row[0] for row in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert names == set(run_file.SCHEMA_1)
    assert store.read(finished).records.rows("step") == 6
    assert store.weights_steps(finished) == ()
    assert store.check() == []
    store.copy_run_file(finished, tmp_path / "copy.sqlite")
    other = Store.open(tmp_path / "other")
    imported = other.import_run_file(tmp_path / "copy.sqlite", store.row(finished).spec, "again")
    assert other.read(imported).records.rows("step") == 6
    assert other.weights_steps(imported) == ()
    assert other.check() == []


@pytest.mark.parametrize(
    ("statement", "said", "refused"),
    [
        (
            "UPDATE weights SET payload = zeroblob(length(payload)) WHERE step = 6",
            "the weights of step 6 do not match their checksum",
            "is damaged: the weights of step 6 do not match their checksum",
        ),
        (
            "UPDATE weights SET step = 5 WHERE step = 6",
            "the weights of step 5 do not match their checksum",
            "has not kept its weights at step 6, but at the steps 0, 5",
        ),
        (
            "DELETE FROM weights WHERE step = 6",
            r"holds the weights of the steps [0] where those of [0, 6] were written",
            "has not kept its weights at step 6, but at the steps 0",
        ),
        ("DROP TABLE weights", "its table weights is missing", "is damaged: its table weights is missing"),
        (
            "UPDATE weights SET payload = 'text' WHERE step = 6",
            "the weights of step 6 do not match their checksum",
            "is damaged: the weights of step 6 do not match their checksum",
        ),
    ],
)
def test_damage_is_found_refused_and_hides_no_records(store, kept, statement, said, refused, tmp_path):
    edit(store.run_file(kept), statement)
    assert said in sentences(store)
    with pytest.raises(StoreError) as error:
        store.weights(kept, 6)
    assert refused in str(error.value)
    assert store.read(kept).records.rows("step") == 6
    with pytest.raises(StoreError):
        Store.open(tmp_path / "other").import_run_file(store.run_file(kept), store.row(kept).spec, "again")


def test_each_flipped_bit_in_the_weights_is_found(store):
    _, (run_id,) = store.create([{}], ["a"])
    wanted = {"w": np.random.default_rng(0).normal(size=(200, 100)).astype("f4")}
    with store.writer(run_id) as writer:
        writer.append(rows(0, 2))
        writer.keep(2, wanted)
        writer.finish("finished")
    path = store.run_file(run_id)
    sound, payload = path.read_bytes(), wanted["w"].tobytes()
    inside = [sound.find(payload[i : i + 64]) for i in range(0, len(payload) - 64, 4999)]
    places = [place for place in inside if place > 0]
    assert len(places) > 10
    rng = random.Random(0)
    for place in places:
        flipped = bytearray(sound)
        flipped[place + rng.randrange(64)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match=f"{run_id}.sqlite is damaged: the weights of step 2"):
            store.weights(run_id, 2)
        assert "the weights of step 2 do not match their checksum" in sentences(store)
        assert store.read(run_id).records.rows("step") == 2


def test_what_a_killed_writer_kept_is_there(store):
    """The files as ``kill -9`` leaves them: a log that nobody folded in."""
    _, (run_id,) = store.create([{}], ["a"])
    path = store.run_file(run_id)
    writer = store.writer(run_id)
    writer.append(rows(0, 2))
    writer.keep(0, some(0))
    writer.keep(2, some(2))
    left = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    writer.finish("finished")
    path.unlink()
    for name, content in left.items():
        if not name.endswith("-shm"):
            (path.parent / name).write_bytes(content)
    assert store.weights_steps(run_id) == (0, 2)
    assert equal(store.weights(run_id, 2), some(2))


@pytest.mark.parametrize(
    ("step", "values", "message"),
    [
        (1, {"w": np.zeros(3)}, "w must be an array of float32, but got float64"),
        (1, {"w": np.zeros(3, "i4")}, "w must be an array of float32, but got int32"),
        (0, {"w": np.zeros(3, "f4")}, "step must be one whose weights are not kept yet, from 0, but got 0"),
        (-1, {"w": np.zeros(3, "f4")}, "from 0, but got -1"),
    ],
)
def test_what_are_no_weights_is_refused_by_name(store, step, values, message):
    _, (run_id,) = store.create([{}], ["a"])
    with store.writer(run_id) as writer:
        writer.keep(0, some(0))
        with pytest.raises(ValueError, match=message):
            writer.keep(step, values)
        writer.finish("stopped")
    assert store.weights_steps(run_id) == (0,)


@pytest.mark.parametrize(
    "header",
    ['[["w", [1000000000000]]]', '[["w", [-1]]]', '[["w", [true]]]', "[[7, [1]]]", '[["w", [1]]]', '[["w"]]', "{}"],
)
def test_a_header_that_lies_allocates_nothing(header):
    with pytest.raises((ValueError, TypeError)):
        weights.unpack(header, b"\0" * 8)


@pytest.mark.parametrize(("limit", "value"), [("AT_MOST_BYTES", 100), ("STEPS_AT_MOST", 1)])
def test_a_foreign_file_of_too_many_weights_is_refused_before_they_are_read(
    store, kept, tmp_path, monkeypatch, limit, value
):
    monkeypatch.setattr(weights, limit, value)
    other = Store.open(tmp_path / "other")
    with pytest.raises(StoreError, match=r"the file of run 'again' holds more than \d+ bytes of weights, or of more"):
        other.import_run_file(store.run_file(kept), store.row(kept).spec, "again")
    assert other.runs() == []
