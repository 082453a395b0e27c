from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from diagnostics.store import Store

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
    for worker in store.workers.rows():
        if worker.pid is not None and psutil.pid_exists(worker.pid):
            process = psutil.Process(worker.pid)
            if "experiments.worker" in process.cmdline():
                os.kill(worker.pid, signal.SIGKILL)
