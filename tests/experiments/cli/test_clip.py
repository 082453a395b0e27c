"""``clip``: what a threshold would have done, against the recorded numbers themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnostics.measures.entry_sizes import EDGES, entry_sizes
from diagnostics.measures.what_if import PERCENTILES, TORCH_EPSILON
from diagnostics.records import Records
from diagnostics.store import Store
from tests.diagnostics.charts.samples import story
from tests.experiments.cli.conftest import Said


def test_by_norm_the_numbers_are_those_of_the_recorded_norms(
    say: Callable[..., Said], ids: list[str], folder: Path
) -> None:
    norms = Store.open(folder).read(ids[0]).records["grad_norm_pre"]
    at = float(np.median(norms))
    (told,) = say("clip", ids[0], "--threshold", repr(at), "--json").json()["runs"]
    assert (told["run"], told["clip"], told["norm"]["steps"]) == (ids[0], "norm:1.0", len(norms))
    (one,) = told["norm"]["thresholds"]
    factors = at / (norms + TORCH_EPSILON)
    assert one["threshold"] == at
    assert one["share"] == np.mean(factors < 1)
    assert one["median_factor"] == pytest.approx(np.median(factors[factors < 1]), rel=1e-12)
    assert one["least_factor"] == pytest.approx(factors.min(), rel=1e-12)


def test_by_value_the_cosine_is_told_at_the_nearest_edge(say: Callable[..., Said], ids: list[str]) -> None:
    said = say("clip", ids[0], "--threshold", "0.0101", "1e9", "--json").json()["runs"][0]["value"]
    assert said["profiles"] == 3
    assert [one["threshold"] for one in said["thresholds"]] == [0.01, 1e4]
    small, large = said["thresholds"]
    assert 0 < small["share"] < 1
    assert 0 < small["cosine_p05"] <= small["cosine"] <= small["cosine_p95"] < 1
    assert (large["share"], large["cosine"], large["factor"]) == (0, pytest.approx(1), pytest.approx(1))
    every = say("clip", ids[0], "--json").json()["runs"][0]["value"]["thresholds"]
    assert [one["threshold"] for one in every] == sorted(one["threshold"] for one in every)
    assert small in every


def test_the_suggested_thresholds_are_told_with_their_reasons(
    say: Callable[..., Said], trained: Said, ids: list[str]
) -> None:
    told = say("clip", trained.json()["comparison"], "--json").json()["runs"]
    assert [one["run"] for one in told] == ids
    assert [one["percentile"] for one in told[0]["suggestions"]] == list(PERCENTILES)
    assert [one["threshold"] for one in told[0]["norm"]["thresholds"]] == [
        one["threshold"] for one in told[0]["suggestions"]
    ]
    said = say("clip", *ids)
    assert said.status == 0
    head = "asked of 3 training steps with a finite norm, before any clipping; it was trained with norm:1.0\n"
    assert said.out.startswith(f"{ids[0]}  tanh\n{head}")
    for one in told:
        assert one["sentence"] in said.out
        assert all(suggestion["reason"] in said.out for suggestion in one["suggestions"])
    for words in ("by norm", "steps clipped", "by value", "entries cut", "cosine, raw and cut", "over 3 recorded"):
        assert said.out.count(words) >= 2


def test_what_was_not_recorded_is_said(say: Callable[..., Said], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "mine")
    run = story(count=4)[0]
    old = replace(run, records=Records({name: run.records[name] for name in run.records if name != "grad_sizes"}))
    norms = np.full_like(run.records["grad_norm_pre"], np.nan)
    broken = replace(run, records=Records({**run.records, "grad_norm_pre": norms}))
    _, run_ids = store.create([{"cell": "tanh"}] * 3, ["old", "broken", "never"])
    for run_id, one in zip(run_ids, (old, broken), strict=False):
        assert one.facts is not None
        with store.writer(run_id) as writer:
            writer.begin(one.facts, {"versions": {}})
            writer.append(dict(one.records))
            writer.finish("finished")
    said = [say("clip", run_id, store=store) for run_id in run_ids]
    assert [one.status for one in said] == [0, 0, 0]
    assert "by value: not known, because it was recorded without the sizes of the gradient's entries" in said[0].out
    assert "asked of 0 training steps with a finite norm, and " in said[1].out
    assert "there is nothing to choose a threshold from" in said[1].out
    assert "by value: not known, because nothing is recorded yet" in said[2].out
    (told,) = say("clip", run_ids[2], "--json", "--threshold", "1", store=store).json()["runs"]
    assert told["norm"]["thresholds"] == [
        {"threshold": 1.0, "share": "nan", "median_factor": "nan", "least_factor": "nan"}
    ]
    assert told["value"] == {"missing": "nothing is recorded yet"}


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "1e13"])
def test_a_threshold_that_is_none_is_refused(say: Callable[..., Said], ids: list[str], given: str) -> None:
    said = say("clip", ids[0], "--threshold", given)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("threshold must be a number from 1e-12 to 1e+12, but got ")
    assert say("clip", "c-none").status == 2


def test_a_run_of_one_huge_step_is_told_of_in_a_few_lines(say: Callable[..., Said], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "mine")
    run = story(count=4)[0]
    assert run.facts is not None
    rows = {name: run.records[name][:1] for name in run.records}
    gradient = np.append(np.zeros(20), np.linspace(0.9e26, 1.1e26, 60)).astype(np.float32)
    rows |= {"grad_norm_pre": np.full(1, 1.9e26), "grad_sizes": entry_sizes(gradient)[None]}
    _, (run_id,) = store.create([{"cell": "tanh"}], ["huge"])
    with store.writer(run_id) as writer:
        writer.begin(run.facts, {"versions": {}})
        writer.append(rows)
        writer.finish("diverged")
    said = say("clip", run_id, store=store)
    assert said.status == 0
    assert "asked of 1 training step with a finite norm" in said.out
    assert "clipping takes none below 10⁻¹² or above 10¹²" in said.out
    assert "→" not in said.out
    ends = [line.split()[0] for line in said.out.splitlines() if line.startswith("±")]
    assert ends == ["±1e-06", "±10000"]  # between the two, nothing changes but the length
    assert said.out.endswith(
        "medians over 1 recorded step; 2 of the 41 recorded edges, the others with --threshold or --json\n"
    )


def test_the_table_by_value_fits_a_screen(say: Callable[..., Said], ids: list[str]) -> None:
    lines = [line.split() for line in say("clip", ids[0]).out.splitlines() if line.startswith("±")]
    edges = [float(line[0].removeprefix("±")) for line in lines]
    assert 2 <= len(edges) <= 12
    assert edges == sorted(set(edges))
    asked = say("clip", ids[0], "--threshold", *(f"{edge:g}" for edge in EDGES)).out
    assert asked.count("\n±") == len(EDGES)
