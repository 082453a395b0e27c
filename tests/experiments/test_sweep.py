"""Sweeps in the queue, without workers: what is asked for, what is missing, what stopping and resuming do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.measures.seeds import groups
from diagnostics.measures.sweep import MEASURED_ON
from diagnostics.records import Records, Run
from diagnostics.store import Store
from experiments import sweep as sweeps
from experiments.cost import HELD_OUT
from experiments.queue import Queue
from experiments.seeds import more_seeds
from experiments.spec import Refusal, RunSpec, expand
from experiments.sweep import PRESETS, Sweep, resume, state, stop, submit
from tests.diagnostics.charts.samples import facts_of, powers, run_of

SMALL = {"task": "temporal_order", "gap": 10, "hidden": 4, "batch": 4, "steps": 3}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setattr(Queue, "ensure_workers", lambda self, warm=0: None)
    return Queue(Store.open(tmp_path / "store"))


def end(store: Store, run_id: str, how: str = "finished") -> None:
    """Train nothing, and end the run as if it had been trained."""
    run = run_of(powers(0.9, 8, 2), facts=facts_of(9, 6), loss=np.ones(3), success=(0.5, 1.0))
    assert run.facts is not None
    with store.writer(run_id) as writer:
        writer.begin(run.facts, {"versions": {}})
        writer.append(dict(run.records))
        writer.finish(how)


def test_chance_is_reckoned_with_as_many_held_out_examples_as_are_measured() -> None:
    assert MEASURED_ON == HELD_OUT


def test_a_sweep_is_every_threshold_with_each_kind_and_no_clipping_once() -> None:
    specs = Sweep((0.1, 1.0), cells=("tanh", "gru"), seeds=(0, 1), common=SMALL).specs()
    assert len(specs) == (1 + 2 + 2) * 2 * 2
    assert len({spec.digest() for spec in specs}) == len(specs)
    assert [spec.clip for spec in specs[:5]] == ["none", "norm:0.1", "norm:1.0", "value:0.1", "value:1.0"]
    assert [spec.seed for spec in specs] == [0] * 10 + [1] * 10


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6),
    st.lists(st.sampled_from(["tanh", "gru", "lstm"]), min_size=1, max_size=3),
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
    st.sets(st.sampled_from(["off", "norm", "value"]), min_size=1),
)
def test_any_grid_has_each_run_once(
    thresholds: list[float], cells: list[str], seeds: list[int], kinds: set[str]
) -> None:
    rules = ("off" in kinds) + len(set(thresholds)) * len(kinds - {"off"})
    specs = Sweep(tuple(thresholds), tuple(cells), tuple(seeds), tuple(kinds), SMALL).specs()
    assert len(specs) == rules * len(set(cells)) * len(set(seeds))
    assert {(spec.cell, spec.clip, spec.seed) for spec in specs} == {
        (cell, clip, seed)
        for cell in cells
        for seed in seeds
        for clip in Sweep(tuple(thresholds), kinds=tuple(kinds)).clips()
    }


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Sweep((), common=SMALL), "thresholds must have at least one value"),
        (Sweep((1.0,), kinds=(), common=SMALL), "kinds must have at least one of off, norm, value"),
        (Sweep((1.0,), kinds=("l1",), common=SMALL), "kinds must be among off, norm, value, but got 'l1'"),
        (Sweep((-1.0,), common=SMALL), "clip must have a threshold between"),
        (Sweep((float("nan"),), common=SMALL), "clip must have a number as its threshold"),
        (Sweep((1.0,), cells=(), common=SMALL), "cell must have at least one value"),
        (Sweep((1.0,), seeds=(), common=SMALL), "seed must have at least one value"),
        (Sweep((1.0,), seeds=tuple(range(400)), common=SMALL), "a sweep must have at most 1000 runs, but got 1200"),
    ],
)
def test_absurd_sweeps_are_refused_in_a_sentence(asked: Sweep, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        asked.specs()


def test_a_sweep_without_thresholds_may_be_of_no_clipping_alone() -> None:
    assert [spec.clip for spec in Sweep((), seeds=(0,), kinds=("off",), common=SMALL).specs()] == ["none"]


@pytest.mark.parametrize("key", list(PRESETS))
def test_presets_are_runs_that_this_machine_takes(key: str) -> None:
    specs = PRESETS[key].sweep.specs()
    assert {spec.clip_rule[0] for spec in specs} == {"none", "norm", "value"}
    assert len({spec.seed for spec in specs}) >= 3
    assert len(groups([Run(s.digest(), s.label(), "queued", s.to_json(), None, Records.empty()) for s in specs])) == 13


def test_progress_counts_steps_and_runs(queue: Queue) -> None:
    comparison, ids = submit(queue, Sweep((0.1,), seeds=(0,), common=SMALL))
    assert state(queue.store, comparison).share == 0
    end(queue.store, ids[0])
    found = state(queue.store, comparison)
    assert (found.done, len(found.active), found.share) == (1, 2, pytest.approx(1 / 3))
    for run_id in ids[1:]:
        end(queue.store, run_id, "diverged")
    found = state(queue.store, comparison)
    assert (found.done, found.active, found.share, found.seconds_left) == (3, (), 1.0, 0.0)
    assert not found.missing
    assert queue.store.row(ids[0]).comparison_name.startswith("Threshold sweep · Temporal order")


def test_stopping_stops_all_and_resuming_trains_only_what_is_missing(queue: Queue) -> None:
    comparison, ids = submit(queue, Sweep((0.1, 1.0), seeds=(0,), common=SMALL))
    end(queue.store, ids[0])
    end(queue.store, ids[1], "diverged")
    end(queue.store, ids[2], "failed")
    names = {row.spec["clip"]: row.name for row in queue.store.runs(comparison=comparison)}
    stop(queue, comparison)
    found = state(queue.store, comparison)
    assert [row.state for row in found.rows] == ["finished", "diverged", "failed", "stopped", "stopped"]
    assert [spec.clip for spec in found.missing] == ["norm:1.0", "value:0.1", "value:1.0"]
    again = resume(queue, comparison)
    found = state(queue.store, comparison)
    assert [row.id for row in found.rows] == [*ids[:2], *again]
    assert [row.state for row in found.rows] == ["finished", "diverged", "queued", "queued", "queued"]
    assert {row.spec["clip"]: row.name for row in found.rows} == names
    assert not found.missing
    assert resume(queue, comparison) == []  # what waits is not missing
    assert {row.id for row in queue.store.runs(comparison=comparison, include_deleted=True)} == {*ids, *again}


def test_resuming_with_a_larger_grid_adds_what_is_new(queue: Queue) -> None:
    first = Sweep((0.1,), seeds=(0,), common=SMALL)
    comparison, ids = submit(queue, first)
    for run_id in ids:
        end(queue.store, run_id)
    more = resume(queue, comparison, Sweep((0.1, 1.0), seeds=(0,), common=SMALL).specs())
    assert sorted(queue.store.row(run_id).spec["clip"] for run_id in more) == ["norm:1.0", "value:1.0"]
    assert state(queue.store, comparison).done == 3


def test_a_comparison_that_is_not_there_has_no_runs(queue: Queue) -> None:
    found = state(queue.store, "c-0000000")
    assert (found.rows, found.share, found.missing) == ((), 0.0, ())
    assert resume(queue, "c-0000000") == []


def test_a_spec_of_another_version_is_left_alone(queue: Queue) -> None:
    asked = {**RunSpec.make(**SMALL).to_json(), "of_tomorrow": 1}
    comparison, ids = queue.store.create([asked], ["x"], "")
    queue.store.request_stop(ids[0])
    assert not state(queue.store, comparison).missing
    assert resume(queue, comparison) == []


def test_seeds_left_is_nothing_known_before_there_is_a_pace(queue: Queue) -> None:
    comparison, _ = submit(queue, Sweep((0.1,), seeds=(0,), common=SMALL))
    assert state(queue.store, comparison).seconds_left is None


def test_titles_tell_sweeps_of_other_step_sizes_apart() -> None:
    titles = {sweeps.title(preset.sweep.specs()) for preset in PRESETS.values()}
    assert len(titles) == len(PRESETS)


def test_more_seeds_are_the_smallest_that_are_free() -> None:
    specs = [*expand(cells=("tanh", "gru"), seeds=(1,), **SMALL), *expand(cells=("gru",), seeds=(0, 5), **SMALL)]
    more = more_seeds(specs, 4)
    assert sorted((spec.cell, spec.seed) for spec in more) == [("gru", 2), ("tanh", 0), ("tanh", 2), ("tanh", 3)]
    assert {spec.changed(seed=0) for spec in more} == {spec.changed(seed=0) for spec in specs}
    assert more_seeds(specs, 1) == []
    assert more_seeds([], 5) == []


@pytest.mark.parametrize("seeds", [0, -1, 51])
def test_an_absurd_number_of_seeds_is_refused(seeds: int) -> None:
    with pytest.raises(Refusal, match="seeds must be from 1 to 50, but got"):
        more_seeds([], seeds)


def test_too_many_runs_for_more_seeds_are_refused() -> None:
    with pytest.raises(Refusal, match="at most 200 more runs, but 50 ask for 245"):
        more_seeds(expand(clips=[f"norm:{i}" for i in range(1, 6)], **SMALL), 50)
