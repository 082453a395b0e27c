"""Every example runs, says what it saw and leaves a finished run; the notebook's cells are run too."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diagnostics import Watch
from diagnostics.measures.verdict import verdict
from diagnostics.store import Store
from diagnostics.watching.results import bundles

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NEEDS = {"with_lightning.py": "lightning", "forecaster.py": "vega_datasets"}
SCRIPTS = ["plain_loop.py", "with_lightning.py", "sentiment.py", "forecaster.py"]


def run(script: str, folder: Path, *arguments: str) -> str:
    """Runs an example with warnings as errors; what it printed."""
    needed = NEEDS.get(script)
    if needed is not None and importlib.util.find_spec(needed) is None:
        sentence = f"{needed} is not installed, so examples/{script} was not run: pip install {needed}"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # Lightning warns while it is imported, of what it does itself.
    strict = [] if needed == "lightning" else ["-W", "error"]
    command = [sys.executable, *strict, str(EXAMPLES / script), "--store", str(folder / "runs"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_all_examples_are_listed_and_tested() -> None:
    there = {path.name for path in EXAMPLES.glob("*.py")} | {path.name for path in EXAMPLES.glob("*.ipynb")}
    assert there == {*SCRIPTS, "notebook.ipynb"}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(name in listed for name in there)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_says_what_it_saw(script: str, tmp_path: Path) -> None:
    said = run(script, tmp_path, "--steps", "11")
    store = Store.open(tmp_path / "runs")
    (row,) = store.runs()
    found = store.read(row.id)
    assert found.state == "finished"
    assert len(found.records["step"]) == 11
    assert verdict(found).sentence in said
    assert "decay per step" in said
    assert "Your model" in said


def test_sentiment_reads_a_folder_of_ones_own(tmp_path: Path) -> None:
    for kind, word in (("bad", "awful"), ("good", "lovely")):
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "mine" / kind / f"{number}.txt").write_text(f"What {word} weather, and so on {number}.")
    said = run("sentiment.py", tmp_path, "--steps", "3", "--folder", str(tmp_path / "mine"))
    assert "8 texts of bad, good" in said


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    return read


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which the format keeps as lines or as one."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def test_the_notebook_is_a_small_one_with_its_outputs(notebook: dict[str, Any]) -> None:
    assert (EXAMPLES / "notebook.ipynb").stat().st_size < 300_000
    assert notebook["nbformat"] == 4
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(codes) + 1))
    kinds = {kind for cell in codes for output in cell["outputs"] for kind in output.get("data", {})}
    assert kinds == {"text/plain", "text/html", "image/png"}
    assert all(output["output_type"] in ("stream", "execute_result") for cell in codes for output in cell["outputs"])


def test_the_notebooks_cells_run_and_show_a_figure(
    notebook: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    shown = []
    for cell in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        tree = ast.parse(source(cell).replace("STEPS = 400", "STEPS = 11"))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "a cell", "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), "a cell", "eval"), names))
    assert names["STEPS"] == 11
    watched = [one for one in shown if isinstance(one, Watch)]
    assert len(watched) == 2
    for words, drawn in map(bundles, watched):
        assert "of its value at the loss" in words["text/html"]
        assert "application/vnd.plotly.v1+json" in drawn
    assert "is watched" in capsys.readouterr().out
