"""How long a person waits: for the page's text, beside an empty Streamlit page, and for a warm Run's first point.

Each round starts both servers afresh, one after the other, and opens them in the same browser (Chromium, headless).
"cold" is from the start of the server's process to the heading; "warm" from opening one more tab to it. The first
point is from the click on Run, with a worker warm, to a line in the gradient profile. Needs a Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from diagnostics.store import Store  # noqa: E402 - run as a script

WHEN_SHOWN = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("h1")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.headingShown = Date.now() / 1000; }));
}).observe(document, { childList: true, subtree: true });
"""
"""Notes in the page itself when the heading is painted: asked from outside, a busy page would answer late."""

EMPTY = "import streamlit as st\nst.title('Empty')\n"
TEXT_LIMIT, POINT_LIMIT_S = 1.3, 2.0
SMALL = "cell=tanh&gap=20&steps=20000&record_every=20"


@contextmanager
def served(script: Path, store: Path) -> Iterator[tuple[str, float]]:
    """A server over ``script``: its address, and when its process was started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)],
        cwd=ROOT,
        env={**os.environ, "GRADREACH_STORE": str(store), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                break
            time.sleep(0.02)
        yield address, started
    finally:
        process.terminate()
        process.wait(20)


def text_times(browser: Browser, script: Path, store: Path) -> tuple[float, float]:
    """Seconds to the heading: cold, and in one more tab (the median of three)."""
    with served(script, store) as (address, started):
        cold = _shown(browser, address) - started
        warm = []
        for _ in range(3):
            opened = time.time()
            warm.append(_shown(browser, address) - opened)
        return cold, statistics.median(warm)


def _shown(browser: Browser, address: str) -> float:
    """When the heading was painted, in seconds of the clock."""
    page = browser.new_page()
    page.add_init_script(WHEN_SHOWN)
    page.goto(address)
    page.wait_for_function("window.headingShown")
    shown = float(page.evaluate("window.headingShown"))
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.close()
    return shown


def first_point(page: Page, address: str, store: Store) -> float:
    """Seconds from the click on Run to the first line of the gradient profile, with a warm worker."""
    page.goto(f"{address}/?{SMALL}")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    while not any(worker.state == "ready" and worker.run is None for worker in store.workers.rows()):
        time.sleep(0.1)
    page.wait_for_selector("[class*=st-key-figure-profile] .main-svg")
    clicked = time.perf_counter()
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_function(
        """() => { const node = document.querySelector("[class*='st-key-figure-profile-c-'] .live-figure-plot");
                   return node && node._fullData && node._fullData.some(trace => (trace.x || []).length > 1) }""",
        polling=20,
    )
    seconds = time.perf_counter() - clicked
    page.get_by_role("button", name="Stop").first.click()
    while any(row.state in ("queued", "running") for row in store.runs()):
        time.sleep(0.1)
    return seconds


def main() -> int:
    """Print both; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("page_time: no Chromium or Chrome was found, so nothing was measured")
        return 0
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        store = Store.open(Path(folder) / "store")
        text_times(browser, empty, store.path)  # the first of all pays for cold files, so it is not counted
        both = [
            (text_times(browser, empty, store.path), text_times(browser, ROOT / "app.py", store.path))
            for _ in range(rounds)
        ]
        kept = True
        print(f"{'page text':10} {'empty':>8} {'ours':>8} {'ratio':>7}   limit {TEXT_LIMIT}")
        for kind, name in enumerate(("cold", "warm")):
            without, ours = (statistics.median(pair[side][kind] for pair in both) for side in (0, 1))
            kept &= ours <= TEXT_LIMIT * without
            print(f"{name:10} {without:6.2f} s {ours:6.2f} s {ours / without:7.2f}")
        with served(ROOT / "app.py", store.path) as (address, _):
            points = [first_point(browser.new_page(), address, store) for _ in range(rounds)]
        kept &= statistics.median(points) <= POINT_LIMIT_S
        print(
            f"first point of a warm Run: {statistics.median(points):.2f} s (worst {max(points):.2f} s)   "
            f"limit {POINT_LIMIT_S:g} s"
        )
        for worker in store.workers.rows():
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGTERM)
        browser.close()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
