"""Trainers without torch, which worker processes of the tests are started with.

Each writes what the store has acknowledged into a file of the folder ``$ACKS``, named by the run: a line ``pid N``
when it begins, a line per step after ``add`` has returned. What a process has written survives its ``kill -9``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.worker import StoreRecorder
from tests.diagnostics.store.sample import FACTS, rows

SIZES = {"L": 2, "T": 60, "band": 3}
"""About 12 kB in a chunk: several pages, so that a kill can fall into the middle of one."""


@dataclass(frozen=True)
class Outcome:
    state: str
    steps_done: int
    detail: str = ""
    loss: float = 0.5
    success: float = 0.75


def train(spec: Mapping[str, Any], recorder: StoreRecorder) -> Outcome:
    """``steps`` steps of random records; ``pause`` seconds between them; ``raise`` at the end where there is one.

    ``lose`` loses whatever is raised between them, a signal's too, as Python does within a ``__del__``.
    """
    acks = os.open(Path(os.environ["ACKS"]) / recorder.run_id, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(acks, b"pid %d\n" % os.getpid())
        recorder.begin(FACTS, {"torch": "none"})
        for step in range(spec["steps"]):
            recorder.add(rows(step, step + 1, sizes=SIZES))
            os.write(acks, b"%d\n" % step)
            if recorder.stop_requested():
                return Outcome("stopped", step + 1, f"stopped at step {step + 1} of {spec['steps']}")
            with suppress(BaseException) if spec.get("lose") else nullcontext():
                time.sleep(spec.get("pause", 0.0))
        if "raise" in spec:
            raise RuntimeError(spec["raise"])
        return Outcome("finished", spec["steps"])
    finally:
        os.write(acks, b"end %d\n" % os.getpid())
        os.close(acks)


def slowly(spec: Mapping[str, Any], recorder: StoreRecorder) -> Outcome:
    """``train`` with a pause, for the specs that a real ``RunSpec`` makes."""
    return train({**spec, "pause": 0.01}, recorder)


def deaf(spec: Mapping[str, Any], recorder: StoreRecorder) -> Outcome:
    """Hangs: it never comes back to ask whether it should stop."""
    recorder.add(rows(0, 1, sizes=SIZES))
    recorder.stop_requested()
    time.sleep(600)
    return Outcome("finished", 1)
