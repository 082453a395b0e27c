"""``export --inspect``: runs are looked into for a report, and what is found is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diagnostics.store import Store
from experiments.inspection import process
from experiments.inspection.compute import inspect
from experiments.inspection.files import Place, requests, write_text
from experiments.inspection.kept import kept
from experiments.spec import RunSpec
from experiments.train import Trainer
from tests.diagnostics.charts.samples import story
from tests.experiments.cli.conftest import Said


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is computed in this process, at the next look."""

    def ensure(store: Store) -> str:
        for asked in requests(store):
            process.answer(store, *asked, inspect)
        return ""

    monkeypatch.setattr("experiments.inspection.request.ensure_inspector", ensure)


def test_a_report_is_had_with_everything_computed_and_again_without_computing(
    here: None, say: Callable[..., Said], trained: Said, ids: list[str], folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    comparison, path = trained.json()["comparison"], tmp_path / "report.html"
    said = say("export", comparison, "--inspect", "--step", "2", "--to", str(path))
    assert (said.status, said.err) == (0, "")
    text = path.read_text()
    assert "tanh, GRU, after 2 updates" in text
    assert "4 held-out samples of 10 timesteps" in text
    assert "Not computed" not in text
    for key in ("theory-step-2", *(f"states-{run_id}-step-2" for run_id in ids), f"timescales-{ids[1]}-step-2"):
        assert f'data-figure="{key}"' in text
    assert [(one.run_id, one.step) for one in kept(Store.open(folder), ids)] == [(run_id, 2) for run_id in ids]
    monkeypatch.setattr("experiments.inspection.request.ensure_inspector", lambda store: "nobody may compute")
    again = tmp_path / "again.html"
    assert say("export", comparison, "--to", str(again)).status == 0
    assert 'data-figure="theory-step-2"' in again.read_text()
    theory = tmp_path / "theory.html"
    assert say("export", comparison, "--format", "html", "--figure", "theory", "--to", str(theory)).status == 0
    assert "What theory says" in theory.read_text()


def test_what_makes_no_sense_or_goes_wrong_is_a_sentence(
    say: Callable[..., Said], ids: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = str(tmp_path / "report.html")
    said = say("export", ids[0], "--step", "2", "--to", report)
    assert (said.status, said.err) == (2, "--step must be asked for with --inspect, but --inspect is missing.\n")
    said = say("export", ids[0], "--inspect", "--format", "csv")
    assert (said.status, said.err) == (2, "--inspect must be asked for with a format that has figures, but got csv.\n")
    store = Store.open(folder)

    def fail(store: Store) -> str:
        for _, place in requests(store):
            write_text(place.failed, "the memory was not enough")
        return ""

    monkeypatch.setattr("experiments.inspection.request.ensure_inspector", fail)
    said = say("export", ids[0], "--inspect", "--step", "0", "--to", report)
    assert said.status == 2
    assert said.err == f"{ids[0]} after 0 updates cannot be looked into: the memory was not enough.\n"
    for path in store.layout.inspections(ids[0]).glob("*-0-*"):
        Place(path.parent, path.stem).forget()

    def interrupted(store: Store) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.cli.looking.time.sleep", interrupted)
    monkeypatch.setattr("experiments.inspection.request.ensure_inspector", lambda store: "")
    assert say("export", ids[0], "--inspect", "--step", "0", "--to", report).status == 130
    assert not requests(store)
    assert not Path(report).exists()


def test_a_run_that_kept_nothing_is_passed_over_with_its_reason(
    here: None, say: Callable[..., Said], tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "mine")
    spec = RunSpec.make(task="france", gap=5, cell="tanh", hidden=4, embedding=4, steps=6, device="cpu")
    run = story(count=2)[0]
    _, (whole, bare) = store.create([spec.to_json()] * 2, ["whole", "bare"])
    for run_id in (whole, bare):
        with store.writer(run_id) as writer:
            assert run.facts is not None
            writer.begin(run.facts, {"versions": {}})
            if run_id == whole:
                writer.keep(0, Trainer(spec).weights())
            writer.append(dict(run.records))
            writer.finish("finished")
    said = say("export", whole, bare, "--inspect", "--to", str(tmp_path / "report.html"), store=store)
    assert said.status == 0
    assert f"run {bare} has kept no weights to look into" in said.err
    assert "whole, before any update" in (tmp_path / "report.html").read_text()
    said = say("export", bare, "--inspect", "--to", str(tmp_path / "other.html"), store=store)
    assert said.status == 2
    assert "has kept no weights to look into" in said.err
    assert not (tmp_path / "other.html").exists()


def test_seeds_are_drawn_as_one_and_each_run_where_that_is_asked_for(
    here: None, say: Callable[..., Said], tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "mine")
    shape = {"task": "france", "gap": 5, "cell": "tanh", "hidden": 4, "embedding": 4, "steps": 6, "device": "cpu"}
    specs = [RunSpec.make(**shape, seed=seed) for seed in (0, 1)]
    run = story(count=2)[0]
    assert run.facts is not None
    _, run_ids = store.create([spec.to_json() for spec in specs], [f"tanh · seed {spec.seed}" for spec in specs])
    for run_id, spec in zip(run_ids, specs, strict=True):
        with store.writer(run_id) as writer:
            writer.begin(run.facts, {"versions": {}})
            writer.keep(0, Trainer(spec).weights())
            writer.append(dict(run.records))
            writer.finish("finished")
    report = tmp_path / "report.html"
    assert say("export", *run_ids, "--inspect", "--to", str(report), store=store).status == 0
    assert "tanh · 2 seeds, before any update" in report.read_text()
    assert "Lines are medians over the seeds, in bands from the lowest to the highest" in report.read_text()
    asked = ("export", *run_ids, "--format", "html", "--figure", "singular_values", "--to")
    assert say(*asked, str(tmp_path / "one.html"), store=store).status == 0
    assert "median over the seeds" in (tmp_path / "one.html").read_text()
    assert say(*asked, str(tmp_path / "each"), "--each-run", store=store).status == 0
    files = [file.read_text() for file in (tmp_path / "each").iterdir()]
    assert len(files) == 2
    assert not any("median over the seeds" in text for text in files)
