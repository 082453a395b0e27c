"""A store with runs of known content, and the app over it without a browser and without workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.records import Run
from diagnostics.store import Store
from experiments.queue import Queue
from experiments.spec import RunSpec
from models.cells import CELLS
from tests.diagnostics.charts.samples import story

ROOT = Path(__file__).parents[2]
Open = Callable[..., AppTest]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store that the app uses."""
    monkeypatch.setenv("GRADREACH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(Queue, "ensure_workers", lambda self, warm=0: None)
    return Store.open(tmp_path / "store")


@pytest.fixture
def told(store: Store) -> tuple[str, list[str]]:
    """The newcomer's comparison, finished: its id, and those of its runs (tanh, ReLU, GRU, LSTM)."""
    runs = story(count=20)
    specs = [RunSpec.make(cell=run.spec["cell"], gap=40, steps=500).to_json() for run in runs]
    comparison, run_ids = store.create(specs, [CELLS[run.spec["cell"]].title for run in runs], "The story")
    for run_id, run in zip(run_ids, runs, strict=True):
        write(store, run_id, run)
    return comparison, run_ids


def write(store: Store, run_id: str, run: Run, state: str = "finished") -> None:
    """Write ``run`` as the records of a queued run."""
    assert run.facts is not None
    with store.writer(run_id) as writer:
        writer.begin(run.facts, {"versions": {}})
        writer.append(dict(run.records))
        if state != "running":
            writer.finish(state)


@pytest.fixture
def open_app(store: Store) -> Open:
    """Open the app at an address and run its script once."""

    def opened(page: str = "", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        if page:
            app.switch_page(page).run()
        assert not app.exception, app.exception
        return app

    return opened


def words(app: AppTest) -> str:
    """Every sentence on the page."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success", "html")
    return "\n".join(
        str(getattr(element, "value", None) or getattr(element.proto, "body", ""))
        for kind in kinds
        for element in app.get(kind)
    )
