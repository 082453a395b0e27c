"""``run``, with the real queue and the real worker."""

import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diagnostics.store import Store
from experiments.cli import main
from experiments.cli import run as run_module
from tests.experiments.cli.conftest import ROOT, TINY, Said, end_workers, process

KEYS = ["id", "cell", "seed", "clip", "state", "steps", "loss", "success", "chance", "verdict"]
VERDICT_KEYS = ["kind", "reach", "of", "decay", "half_life_steps", "informative_grad", "sentence"]


def test_the_json_answer_is_strict_and_as_promised(trained: Said) -> None:
    assert trained.status == 0
    answer = trained.json()
    assert list(answer) == ["comparison", "runs", "over_seeds"]
    assert [run["cell"] for run in answer["runs"]] == ["tanh", "gru"]
    for run in answer["runs"]:
        assert list(run) == KEYS
        assert list(run["verdict"]) == VERDICT_KEYS
        assert (run["state"], run["steps"], run["seed"], run["clip"]) == ("finished", 3, 0, "norm:1.0")
        assert run["verdict"]["kind"] in {"vanishing", "exploding", "reaches", "diverged"}
        assert run["verdict"]["of"] == 9
        assert 0 <= run["success"] <= 1
        assert math.isclose(run["chance"], 1 / 12, rel_tol=0.3)
    assert trained.out.count("\n") == 1


def test_the_last_two_lines_are_the_last_runs_verdict_and_id(
    trained: Said, say: Callable[..., Said], folder: Path
) -> None:
    said = say("run", *TINY, "--cell", "tanh", "--clip", "none", "value:0.1", "--seed", "0", "1")
    assert said.status == 0
    lines = said.out.splitlines()
    newest = Store.open(folder).runs()[0]
    assert lines[-1] == newest.id
    assert lines[-2].startswith(("Vanishing", "Reaches", "Exploding"))
    table = lines[: lines.index("")]
    assert table[0].split()[:4] == ["id", "name", "state", "verdict"]
    assert len(table) == 5
    specs = [row.spec for row in Store.open(folder).runs(comparison=newest.comparison)[::-1]]
    assert [(spec["clip"], spec["seed"]) for spec in specs] == [
        ("none", 0),
        ("none", 1),
        ("value:0.1", 0),
        ("value:0.1", 1),
    ]
    assert "4 runs in comparison" in said.err
    assert newest.comparison_name == "France … French · gap 5"  # as the page would call it
    assert newest.name == "tanh · clip value 0.1 · seed 1"


def test_divergence_is_a_finding_and_its_numbers_are_words(trained: Said, say: Callable[..., Said]) -> None:
    wild = ("--cell", "identity", "--init", "scaled:90", "--gap", "200", "--clip", "none", "--optimizer", "sgd")
    said = say("run", *TINY, *wild, "--learning-rate", "100", "--json")
    assert said.status == 0
    (run,) = said.json()["runs"]
    assert run["state"] == "diverged"
    assert run["verdict"]["kind"] == "diverged"
    shown = say("show", run["id"], "--json", "--records").json()
    values = [*shown["records"]["loss"], *np.ravel(np.array(shown["records"]["state_grad"], dtype=object)).tolist()]
    assert {"nan", "inf"} & {value for value in values if isinstance(value, str)}
    assert "diverged at step" in say("show", run["id"]).out


def test_a_run_that_fails_says_so_with_status_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a lost worker leaves behind: the run has ended, in the worst way. The store is its own: in the shared one a
    # warm worker might take the run first.
    class Losing(run_module.Queue):
        def ensure_workers(self, warm: int = 0) -> None:
            for row in self.store.runs():
                if row.state == "queued":
                    with self.store.writer(row.id) as writer:
                        writer.finish("failed", "the disk is full: nothing more can be written")

    monkeypatch.setattr(run_module, "Queue", Losing)
    assert main(["run", *TINY, "--store", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "the disk is full" in said
    assert said.splitlines()[-1] == Store.open(tmp_path).runs()[0].id


def test_a_spec_from_a_bundle_runs_again_to_the_same_numbers(
    trained: Said, say: Callable[..., Said], folder: Path, ids: list[str], tmp_path: Path
) -> None:
    specs = tmp_path / "specs.json"
    specs.write_text(json.dumps([say("show", run_id, "--json").json()["spec"] for run_id in ids]))
    again = say("run", "--spec", str(specs), "--json").json()["runs"]
    store = Store.open(folder)
    for before, after in zip(ids, again, strict=True):
        old, new = store.read(before), store.read(after["id"])
        assert dict(old.spec) == dict(new.spec)
        assert set(old.records) == set(new.records)
        for name in set(old.records) - {"wall_s"}:
            np.testing.assert_array_equal(new.records[name], old.records[name], err_msg=name)
    assert [run["loss"] for run in again] == [run["loss"] for run in trained.json()["runs"]]


def test_ctrl_c_stops_the_runs_and_keeps_what_they_recorded(trained: Said, folder: Path) -> None:
    run = process(
        "run", "--store", str(folder), *TINY, "--steps", "1000000", "--record-every", "1000", start_new_session=True
    )
    store = Store.open(folder)
    deadline = time.monotonic() + 60
    while not any(row.state == "running" and row.steps_done for row in store.runs()):
        assert time.monotonic() < deadline, "the run never began"
        assert run.poll() is None, run.stderr and run.stderr.read()
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Stopping; what was recorded is kept" in err
    assert "Traceback" not in err
    row = store.runs()[0]
    assert row.state == "stopped"
    assert store.read(row.id).records.rows("step") > 0
    assert out.splitlines()[-1] == row.id


def test_two_commands_at_once_on_a_store_that_is_not_there_yet_both_end_well(tmp_path: Path) -> None:
    folder = tmp_path / "not there" / "a b ü"
    place = os.path.relpath(folder, ROOT)  # where the commands are started
    commands = [process("run", "--store", place, *TINY, "--seed", seeds, "--json") for seeds in "01"]
    try:
        for command, seed in zip(commands, (0, 1), strict=True):
            out, err = command.communicate(timeout=120)
            assert command.returncode == 0, err
            (run,) = json.loads(out)["runs"]
            assert (run["seed"], run["state"]) == (seed, "finished")
        store = Store.open(folder)
        assert sorted(row.spec["seed"] for row in store.runs()) == [0, 1]
        assert store.check() == []
    finally:
        for command in commands:
            command.kill()
        end_workers(folder)
