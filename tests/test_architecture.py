"""What the page and the command line are made of comes up without torch: training happens in the workers."""

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = ("ui", "diagnostics.charts", "diagnostics.store", "diagnostics.export", "tasks", "experiments.cli")
CLIENTS = (
    "diagnostics",
    "models.cells",
    *(f"experiments.{name}" for name in ("bundle", "cost", "presets", "queue", "spec")),
    "experiments.inspection.cost",
    "experiments.inspection.request",
    "experiments.checkpoint.job",
    "experiments.watched",
)


def modules_of(room: str) -> list[str]:
    """The room and every module in it, except scripts that run as processes of their own."""
    folder = ROOT / room.replace(".", "/")
    found = [info.name for info in pkgutil.walk_packages([str(folder)], f"{room}.")]
    return [room, *(name for name in found if name != "diagnostics.export.converter")]


@pytest.mark.parametrize("room", [*ROOMS, "the clients"])
def test_no_torch_comes_with(room: str, tmp_path: Path) -> None:
    modules = list(CLIENTS) if room == "the clients" else modules_of(room)
    # To import a page is to draw it: on a store of its own, and without the worker that it would warm up.
    nobody = "from experiments.queue import Queue\nQueue.ensure_workers = lambda self, warm=0: None\n" * (room == "ui")
    code = (
        f"{nobody}import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'{name} brings torch'\n"
    )
    store = tmp_path / "store"
    environment = {**os.environ, "GRADREACH_STORE": str(store)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert store.exists() == (room == "ui")
    assert not [*store.glob("logs/*")]  # there is a log for every process that was started


@pytest.mark.parametrize("room", ["diagnostics.store", "diagnostics.measures.verdict", "diagnostics.recurrence"])
def test_the_library_needs_neither_streamlit_nor_plotly(room: str) -> None:
    code = f"import sys, {room}\nassert not {{'streamlit', 'plotly'}} & set(sys.modules), 'one came along'\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_entry_imports_only_the_page_and_streamlit() -> None:
    # The import linter takes packages alone, so app.py is held to its rule here.
    tree = ast.parse((ROOT / "app.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= {"ui", "streamlit"}
