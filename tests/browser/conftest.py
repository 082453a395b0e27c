"""A real browser on a real server with a store of its own; workers are real too, and are ended with the session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from diagnostics.store import Store
from experiments.queue import Queue
from experiments.spec import expand

ROOT = Path(__file__).parents[2]
expect.set_options(timeout=30_000)  # a busy machine is no fault of the page's
SMALL = "gap=8&hidden=8&embedding=8&batch=8&eval_every=20"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(params=["light"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a fresh profile, in light or dark."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store that the server uses."""
    opened = Store.open(tmp_path_factory.mktemp("store"))
    yield opened
    for worker in opened.workers.rows():
        if worker.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
    opened.layout.catalog.unlink(missing_ok=True)  # the process that inspects leaves with its store


@pytest.fixture(scope="session")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running app."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=ROOT,
        env={**os.environ, "GRADREACH_STORE": str(store.path), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _await_health(process, address, Path(log.name))
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _await_health(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the app's server left: {log.read_text()}")
        with suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
            return
        time.sleep(0.1)
    pytest.fail("the app's server was not up within 60 s")


@pytest.fixture
def errors(page: Page) -> list[str]:
    """What went wrong in the browser, so that a test can say that nothing did."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "requestfailed",
        lambda request: None if request.url.startswith("http://127.0.0.1") else found.append(f"asked {request.url}"),
    )
    return found


@pytest.fixture(scope="module")
def trained(server: str, store: Store) -> tuple[str, list[str]]:
    """A comparison of two small runs that the workers have trained: its id, and theirs."""
    specs = expand(cells=["tanh", "gru"], gap=8, hidden=8, embedding=8, batch=8, steps=30)
    queue = Queue(store)
    comparison, run_ids = queue.submit(specs, "Small comparison")
    deadline = time.monotonic() + 60
    while not all(queue.progress(run_id).state == "finished" for run_id in run_ids):
        assert time.monotonic() < deadline, [queue.progress(run_id) for run_id in run_ids]
        time.sleep(0.2)
    return comparison, run_ids
