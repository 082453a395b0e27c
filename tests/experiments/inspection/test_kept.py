"""What a report takes of the inspections that are kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnostics.inspection import SECTIONS, Inspection, save
from diagnostics.store import Store, StoreError
from experiments.inspection.asked import Asked
from experiments.inspection.files import Place
from experiments.inspection.kept import kept
from tests.diagnostics.charts.inspections import inspection_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def ids(store: Store) -> list[str]:
    return store.create([{"cell": "tanh"}] * 2, ["one", "two"])[1]


def left(store: Store, run_id: str, step: int, samples: int = 4, sections: tuple[str, ...] = tuple(SECTIONS)) -> Path:
    """A result of these sections, as the process leaves it."""
    whole = inspection_of(B=samples)
    names = {name for name in whole if name in _of(whole, sections)}
    found = replace(whole, run_id=run_id, step=step, arrays={name: whole[name] for name in names})
    path = Place.of(store, run_id, step, Asked(samples, sections)).own_result
    path.parent.mkdir(parents=True, exist_ok=True)
    save(found, path)
    return path


def _of(whole: Inspection, sections: tuple[str, ...]) -> set[str]:
    from diagnostics.inspection import QUANTITIES

    return {name for name in whole if QUANTITIES[name].section in sections}


def test_what_is_kept_comes_run_by_run_and_step_by_step(store: Store, ids: list[str]) -> None:
    assert kept(store, ids) == []
    for run_id, step in ((ids[1], 9), (ids[0], 100), (ids[0], 20)):
        left(store, run_id, step)
    assert [(one.run_id, one.step) for one in kept(store, ids)] == [(ids[0], 20), (ids[0], 100), (ids[1], 9)]
    assert [one.run_id for one in kept(store, ids[1:])] == [ids[1]]


def test_parts_that_were_computed_one_by_one_are_one(store: Store, ids: list[str]) -> None:
    left(store, ids[0], 5, sections=("theory",))
    left(store, ids[0], 5, sections=("profile", "lyapunov"))
    (one,) = kept(store, ids)
    assert one.sections == ("profile", "theory", "lyapunov")
    np.testing.assert_array_equal(one["decay"], inspection_of(B=4)["decay"])


def test_of_several_numbers_of_samples_that_with_the_most_sections_counts_then_the_largest(
    store: Store, ids: list[str]
) -> None:
    left(store, ids[0], 5, samples=2)
    left(store, ids[0], 5, samples=8, sections=("theory",))
    assert [one.samples for one in kept(store, ids)] == [2]
    left(store, ids[0], 5, samples=8)
    assert [one.samples for one in kept(store, ids)] == [8]


def test_what_is_damaged_foreign_or_of_another_format_is_left_out(store: Store, ids: list[str]) -> None:
    path = left(store, ids[0], 5)
    (path.parent / "v0-5-4-1.npz").write_bytes(path.read_bytes())
    (path.parent / "notes.npz").write_bytes(b"nothing")
    os.utime(left(store, ids[0], 5, sections=("theory",)), (1, 1))
    left(store, ids[0], 7).write_bytes(b"PK nonsense")
    assert [one.step for one in kept(store, ids)] == [5]
    with pytest.raises(StoreError, match="run id must look like"):
        kept(store, ["../../etc"])
