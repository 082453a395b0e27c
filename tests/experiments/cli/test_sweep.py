"""``sweep`` on the command line, and what ``show`` tells of seeds."""

from collections.abc import Callable

import pytest

from tests.experiments.cli.conftest import Said

Say = Callable[..., Said]
TINY = ("--task", "temporal_order", "--gap", "10", "--hidden", "4", "--batch", "4", "--steps", "3")
GRID = ("--cell", "tanh", "--clip-thresholds", "0.1,1", "--seeds", "0", "1", "--kinds", "off", "norm")


@pytest.fixture(scope="module")
def swept(folder, trained: Said) -> Said:
    """One small sweep, on the worker that is warm already."""
    from tests.experiments.cli.conftest import process

    run = process("--store", str(folder), "sweep", *TINY, *GRID, "--json")
    out, err = run.communicate(timeout=180)
    return Said(run.returncode, out, err)


def test_a_sweep_is_trained_and_judged(swept: Said) -> None:
    assert swept.status == 0, swept.err
    assert "6 runs in comparison c-" in swept.err
    told = swept.json()
    assert [(p["clip"], p["threshold"]) for p in told["points"]] == [("none", "inf"), ("norm", 0.1), ("norm", 1.0)]
    for point in told["points"]:
        assert point["cell"] == point["series"] == "tanh"
        assert (point["ended"], point["waiting"], point["broken_off"], len(point["runs"])) == (2, 0, 0, 2)
        assert 0 <= point["success"]["low"] <= point["success"]["median"] <= point["success"]["high"] <= 1
    assert told["goal"] == 0.95
    assert told["missing"] == 0
    assert len(told["findings"]) == 1


def test_resuming_adds_only_what_is_new_and_prints_a_table(swept: Said, say: Say) -> None:
    comparison = swept.json()["comparison"]
    said = say(
        "sweep", "--resume", comparison, *TINY, *GRID[:4], "--seeds", "0", "1", "--kinds", "off", "norm", "value"
    )
    assert said.status == 0, said.err
    assert f"4 runs to train in comparison {comparison}." in said.err
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["series", "clipping", "threshold", "ended"]
    assert [line.split()[1:4] for line in lines[1:6]] == [
        ["off", "–", "2"],
        ["norm", "0.1", "2"],
        ["norm", "1", "2"],
        ["value", "0.1", "2"],
        ["value", "1", "2"],
    ]
    assert lines[-1] == comparison
    again = say("sweep", "--resume", comparison)
    assert "0 runs to train" in again.err
    assert again.status == 0


def test_show_tells_of_a_comparison_and_of_a_runs_seeds(swept: Said, say: Say) -> None:
    told = swept.json()
    said = say("show", told["comparison"]).out
    assert "over seeds" in said
    assert "reach 95.0 %" in said
    read = say("show", told["comparison"], "--json").json()
    assert len(read["over_seeds"]) >= 3
    assert read["sweep"]["goal"] == 0.95
    run_id = told["points"][1]["runs"][0]
    one = say("show", run_id, "--json").json()
    assert [group["ids"] for group in one["over_seeds"]] == [told["points"][1]["runs"]]
    assert "2 seeds: " in say("show", run_id).out


def test_a_run_without_sisters_has_no_seeds(say: Say, ids: list[str]) -> None:
    assert say("show", ids[0], "--json").json()["over_seeds"] == []


def test_seeds_are_exported(swept: Said, say: Say, tmp_path) -> None:
    comparison = swept.json()["comparison"]
    written = say("export", comparison, "--format", "csv", "--to", str(tmp_path / "csv"), "--json").json()
    assert any(file["path"].endswith("seeds.csv") for file in written["files"])
    lines = (tmp_path / "csv" / "seeds.csv").read_text().splitlines()
    assert lines[0].startswith("group,runs,seeds,")
    assert len(lines) >= 4
    page = tmp_path / "report.html"
    assert say("export", comparison, "--to", str(page)).status == 0
    assert "Over seeds" in page.read_text()
    assert "What comes of a threshold" in page.read_text()
    each = tmp_path / "each"
    assert (
        say("export", comparison, "--format", "html", "--figure", "profile", "--each-run", "--to", str(each)).status
        == 0
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--preset", "nothing"), "preset must be one of needed, harms"),
        (("--clip-thresholds", "0.1,x"), "clip_thresholds must be numbers, but got 'x'"),
        (("--clip-thresholds", ","), "clip_thresholds must have at least one value"),
        (("--clip-thresholds", "-1"), "clip must have a threshold"),
        (("--kinds", "l1"), "invalid choice: 'l1'"),
        (("--seeds", "-1"), "seed must be at least 0"),
        (("--goal", "0"), "goal must be a success above 0 and at most 1, but got 0"),
        (("--goal", "nan"), "goal must be a success"),
        (("--resume", "c-0000000"), "--resume must be the id of a stored comparison"),
        (("--clip", "norm:1"), "does not know '--clip' (did you mean --clip-thresholds?)"),
        (("--hidden", "1000000"), "hidden must be at most 1024"),
    ],
)
def test_absurd_sweeps_are_refused(say: Say, arguments: tuple[str, ...], sentence: str) -> None:
    said = say("sweep", *arguments)
    assert said.status == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_comparison_that_is_not_there_cannot_be_shown(say: Say) -> None:
    said = say("show", "c-0000000")
    assert said.status == 2
    assert "RUN must be the id of a stored run or comparison" in said.err
