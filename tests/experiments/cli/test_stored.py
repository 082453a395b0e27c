"""The commands on what is stored: list, show, export, import, delete, doctor."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diagnostics.export import images
from diagnostics.store import Store
from experiments.cli import transfer, words
from experiments.spec import FIELDS
from tests.experiments.cli.conftest import ROOT, Said, process


def test_list_names_what_is_stored_newest_first(say: Callable[..., Said], trained: Said, ids: list[str]) -> None:
    comparison = trained.json()["comparison"]
    said = say("list", "--comparison", comparison)
    assert said.status == 0
    header, *rows = said.out.splitlines()
    assert header.split() == ["id", "comparison", "name", "task", "gap", "state", "steps", "success", "begun"]
    assert [row.split()[0] for row in rows] == ids[::-1]
    listed = say("list", "--comparison", comparison, "--json").json()["runs"]
    assert [row["id"] for row in listed] == ids[::-1]
    assert {"name", "state", "spec", "loss", "steps_done", "comparison_name"} <= set(listed[0])


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    listing = process("list", variables={"GRADREACH_STORE": str(tmp_path / "empty")})
    out, err = listing.communicate(timeout=30)
    assert (listing.returncode, out, err) == (0, "No runs are stored here yet; `run` makes some.\n", "")
    assert (tmp_path / "empty" / "catalog.sqlite").exists()


def test_show_tells_spec_state_and_verdict(say: Callable[..., Said], ids: list[str], trained: Said) -> None:
    said = say("show", ids[0])
    assert said.status == 0
    told = dict(line.split(maxsplit=1) for line in said.out.splitlines() if len(line.split()) > 1)
    assert told["state"] == "finished"
    assert told["hidden"] == "4 units"
    assert set(FIELDS) - {"length", "text", "gate_bias", "truncate"} <= set(told)
    assert trained.json()["runs"][0]["verdict"]["sentence"] in said.out


def test_show_says_what_clipping_did(say: Callable[..., Said], ids: list[str]) -> None:
    told = [event for run_id in ids for event in say("show", run_id, "--json").json()["events"]]
    printed = "".join(say("show", run_id).out for run_id in ids)
    assert told
    for event in told:
        assert f"{'!' if event['fault'] else '·'} {event['sentence']}" in printed


def test_show_gives_all_records_as_strict_json(say: Callable[..., Said], folder: Path, ids: list[str]) -> None:
    shown = say("show", ids[1], "--json", "--records").json()
    records = Store.open(folder).read(ids[1]).records
    assert set(shown["records"]) == set(records)
    for name in records:
        np.testing.assert_array_equal(np.array(shown["records"][name], dtype=np.float64), records[name], err_msg=name)
    assert shown["facts"]["loss_step"] == 9
    assert "records" not in say("show", ids[1], "--json").json()


def test_records_without_json_are_refused(say: Callable[..., Said], ids: list[str]) -> None:
    assert say("show", ids[0], "--records").status == 2


def test_a_close_id_is_suggested(say: Callable[..., Said], ids: list[str]) -> None:
    said = say("show", ids[0] + "x")
    assert said.status == 2
    assert ids[0] in said.err
    assert "did you mean" in said.err


@pytest.fixture
def bundle(say: Callable[..., Said], trained: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("diagnostics.export.bundle.unavailable", lambda: "no Chrome here")
    path = tmp_path / "tiny.zip"
    said = say("export", trained.json()["comparison"], "--to", str(path))
    assert (said.status, said.out) == (0, f"{path}\n")
    return path


def test_a_bundle_goes_out_and_comes_in_elsewhere(bundle: Path, tmp_path: Path, ids: list[str], folder: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    taking = process("import", str(bundle), "--store", str(elsewhere), "--json")
    out, err = taking.communicate(timeout=60)
    assert (taking.returncode, err) == (0, "")
    answer = json.loads(out)
    assert list(answer["imported"]) == ids
    here, there = Store.open(folder), Store.open(elsewhere)
    for old, new in answer["imported"].items():
        np.testing.assert_array_equal(there.read(new).records["state_grad"], here.read(old).records["state_grad"])
    assert [row.comparison_name for row in there.runs()] == ["tiny", "tiny"]
    with zipfile.ZipFile(bundle) as file:
        assert json.loads(file.read("specs.json")) == [dict(here.row(run_id).spec) for run_id in ids]


def test_importing_at_home_finds_the_runs_there(bundle: Path, say: Callable[..., Said], ids: list[str]) -> None:
    before = say("list", "--json").json()
    said = say("import", str(bundle))
    assert (said.status, said.out) == (0, "Found 2 runs here already.\n")
    assert say("list", "--json").json() == before


def test_a_bundle_with_a_spec_of_another_world_is_refused(
    say: Callable[..., Said], folder: Path, ids: list[str], tmp_path: Path
) -> None:
    from diagnostics.export.bundle import write_bundle

    foreign, home = Store.open(tmp_path / "foreign"), Store.open(folder)
    _, (made,) = foreign.create([dict(home.row(ids[0]).spec) | {"cell": "elephant"}], ["an elephant"])
    with foreign.writer(made) as writer:
        writer.finish("finished")
    with (tmp_path / "elephant.zip").open("w+b") as file:
        write_bundle(foreign, [made], file, images=())
    before = say("list", "--json").json()
    said = say("import", str(tmp_path / "elephant.zip"))
    assert said.status == 2
    assert "is refused: cell must be one of tanh" in said.err
    assert say("list", "--json").json() == before


def test_nothing_is_written_over_without_being_asked(bundle: Path, say: Callable[..., Said], ids: list[str]) -> None:
    before = bundle.read_bytes()
    said = say("export", ids[0], "--to", str(bundle))
    assert said.status == 2
    assert "--force writes over files" in said.err
    assert bundle.read_bytes() == before
    assert say("export", ids[0], "--to", str(bundle), "--force").status == 0
    assert bundle.read_bytes() != before
    assert say("export", ids[0], "--to", str(bundle.parent), "--force").status == 2


def test_tables_are_a_folder(say: Callable[..., Said], trained: Said, ids: list[str], tmp_path: Path) -> None:
    said = say("export", trained.json()["comparison"], "--format", "csv", "--to", str(tmp_path / "tables"), "--json")
    names = [Path(file["path"]).name for file in said.json()["files"]]
    assert names == ["summary.csv", "columns.csv", *(f"{i}-{kind}.csv" for i in ids for kind in ("steps", "profiles"))]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables" / "summary.csv").read_text(), newline="")))
    assert [row["run"] for row in rows] == ids


def test_a_report_and_one_figure_are_single_pages(say: Callable[..., Said], ids: list[str], tmp_path: Path) -> None:
    report, figure = tmp_path / "report.html", tmp_path / "figure.html"
    assert say("export", *ids, "--to", str(report)).status == 0
    assert "<h2>Verdicts</h2>" in report.read_text()
    assert say("export", *ids, "--format", "html", "--figure", "profile", "--to", str(figure)).status == 0
    assert figure.read_text().startswith("<!DOCTYPE html>")
    folder = tmp_path / "maps"
    assert say("export", *ids, "--format", "html", "--figure", "heatmap", "--to", str(folder)).status == 0
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"heatmap-{i}.html" for i in ids)
    refused = say("export", *ids, "--format", "html", "--figure", "pie")
    assert refused.status == 2
    assert "--figure must be one of ribbon, profile, heatmap" in refused.err


def test_an_image_is_drawn_where_it_can_be(
    say: Callable[..., Said], ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "unavailable", lambda: "")
    monkeypatch.setattr(transfer, "to_image", lambda figure, form: f"an {form}".encode())
    target = tmp_path / "profile.svg"
    assert say("export", *ids, "--figure", "profile", "--to", str(target)).status == 0
    assert target.read_bytes() == b"an svg"

    def fail(figure: object, form: str) -> bytes:
        raise images.ExportUnavailable("The browser failed.")

    monkeypatch.setattr(transfer, "to_image", fail)
    failed = say("export", *ids, "--figure", "profile", "--to", str(tmp_path / "other.png"))
    assert (failed.status, failed.err) == (2, "The browser failed.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["profile.svg"]
    monkeypatch.setattr(transfer, "unavailable", lambda: "No Chrome here.")
    assert say("export", *ids, "--figure", "profile", "--to", str(tmp_path / "other.png")).err == "No Chrome here.\n"


def test_what_cannot_be_written_or_drawn_is_said(
    say: Callable[..., Said],
    ids: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from experiments.cli import main

    def deny(dir: Path, **_: str) -> None:
        raise PermissionError(13, "Permission denied", f"{dir}/.abcdefgh.part")

    with monkeypatch.context() as patch:
        patch.setattr(transfer.tempfile, "mkstemp", deny)
        said = say("export", *ids, "--format", "report", "--to", str(tmp_path / "report.html"))
    assert (said.status, said.err) == (1, f"{tmp_path / 'report.html'}: Permission denied\n")
    store = Store.open(tmp_path / "mine")
    _, (never,) = store.create([{"cell": "tanh"}], ["never begun"])
    store.request_stop(never)
    assert main(["export", never, "--format", "html", "--store", str(store.path), "--to", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == f"RUN must be a run that has recorded a training step, but got {never}.\n"
    assert not (tmp_path / "x").exists()


def test_deleting_can_be_undone_until_it_is_for_good(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.cli import main

    store = ["--store", str(tmp_path / "mine")]
    assert main(["import", str(bundle), *store]) == 0
    first, second = [row.id for row in Store.open(tmp_path / "mine").runs()]
    capsys.readouterr()
    assert main(["delete", first, *store]) == 0
    assert f"`delete --undo {first}` brings back" in capsys.readouterr().out
    assert [row.id for row in Store.open(tmp_path / "mine").runs()] == [second]
    assert main(["list", "--deleted", *store]) == 0
    assert "finished (deleted)" in capsys.readouterr().out
    assert main(["delete", "--undo", first, *store]) == 0
    assert main(["delete", "--purge", first, *store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"purged": [first]}
    assert [row.id for row in Store.open(tmp_path / "mine").runs(include_deleted=True)] == [second]
    assert main(["doctor", *store]) == 0
    faults, loops = capsys.readouterr().out.splitlines()
    assert faults == f"Checked 1 run in {tmp_path / 'mine'}: no faults found."
    assert loops.startswith(("Recurrences: compiled for ", "Recurrences: plain: "))


def test_the_doctor_names_what_is_broken(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from experiments.cli import main

    place = ["--store", str(tmp_path / "mine")]
    assert main(["import", str(bundle), *place]) == 0
    store = Store.open(tmp_path / "mine")
    hurt = store.runs()[0].id
    with sqlite3.connect(store.run_file(hurt)) as file:
        (payload,) = file.execute("SELECT payload FROM chunk WHERE seq = 1").fetchone()
        file.execute("UPDATE chunk SET payload = ? WHERE seq = 1", (payload[:-1] + bytes([payload[-1] ^ 1]),))
    file.close()
    capsys.readouterr()
    assert main(["doctor", *place]) == 1
    assert hurt in capsys.readouterr().out
    assert main(["doctor", *place, "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["run"] == hurt
    assert main(["show", hurt, *place]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_trouble(folder: Path, trained: Said) -> None:
    code = (
        "import subprocess, sys\n"
        f"listing = subprocess.Popen([sys.executable, '-m', 'experiments', 'list', '--store', {str(folder)!r}],"
        " stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "listing.stdout.close()\n"
        "print(listing.stderr.read().decode(), listing.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "1"


def test_a_terminal_cannot_be_tricked_by_a_name() -> None:
    assert words.plain("a\x1b[2Jb\rc\u202ed") == "a�[2Jb�c�d"
    assert words.table(("n", "x"), [(1, "é"), (10, "漢字")]).splitlines() == [" n  x", " 1  é", "10  漢字"]
