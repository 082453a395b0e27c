"""What tests of several rooms share: random numbers that are the same every time; a store for whoever names none; one
real browser a session, since two drivers do not live in one process; and the path of the recurrences a test is about.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

settings.register_profile("gradreach", deadline=None)  # no test asks how long something took
settings.load_profile("gradreach")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin every test with the same random numbers: a model of fresh weights has the same verdict every time."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def nobodys_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The store of whoever names none is a folder of this session and never ./runs; nothing may be started for it."""
    store = tmp_path_factory.mktemp("nobody") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADREACH_STORE", str(store))
        yield
    started = sorted(path.name for path in store.glob("logs/*"))
    assert not started, f"a test started processes for a store that it did not name, and did not end them: {started}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own browser; nothing is downloaded. Without one the test is skipped, and in CI it fails."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sentence = "no Chromium or Chrome was found, so no browser was driven: apt install chromium"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """The path, "plain" or "fused", that the recurrences of this test take; a test names it by indirect parameters."""
    from diagnostics.recurrence import paths

    if request.param == "fused" and importlib.util.find_spec("numba") is None:
        sentence = "numba is not installed, so no compiled loop was tested: pip install -r requirements.txt"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    with paths.use(request.param):
        yield request.param
