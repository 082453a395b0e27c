from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diagnostics.store import Store
from experiments import pool

FAKE = "tests.experiments.fake_trainers:train"


def wait_for(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """Until ``condition`` holds; fails where it takes too long."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"waited {within_s} s in vain"
        time.sleep(0.01)


@pytest.fixture
def acks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the fake trainers note what was acknowledged."""
    folder = tmp_path / "acks"
    folder.mkdir()
    monkeypatch.setenv("ACKS", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose workers are ended with the test."""
    store = Store.open(tmp_path / "store")
    yield store
    for child in pool._CHILDREN:
        child.kill()
        child.wait()
    pool._CHILDREN.clear()
