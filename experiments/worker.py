"""A worker process: claims queued runs, the oldest first, trains them, and leaves when nothing is left to do.

Started by ``experiments.pool`` as ``python -m experiments.worker``. It imports what it trains with only after it has
a slot, so one that is not needed is gone at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
from filelock import FileLock

from diagnostics.records import Array, TaskFacts
from diagnostics.store import RunWriter, Store, StoreError
from diagnostics.store.locks import hold
from diagnostics.version import VERSION

SLOT_S = 2.0
"""How long to try for a slot: whoever counts the workers holds each for a moment."""

LOOK_S = 0.1
"""How often an idle worker looks for a run."""

STOP_S = 0.2
"""How often a training worker looks whether it should stop."""

BEAT_S = 1.0
"""How often it tells the catalog how far it is, which costs it a wait for the disk; the records come more often."""

COULD_NOT_START = 3

_ASKED_TO_LEAVE: list[int] = []
"""The signal that asked for it."""


class Outcome(Protocol):
    """What a trainer returns (see ``experiments.train.Outcome``)."""

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def steps_done(self) -> int: ...  # noqa: D102
    @property
    def detail(self) -> str: ...  # noqa: D102
    @property
    def loss(self) -> float: ...  # noqa: D102
    @property
    def success(self) -> float: ...  # noqa: D102


class StoreRecorder:
    """The recorder that training writes to: every hand-over is one chunk of the run's file, safe when it returns."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._look_s = self._beat_s = 0.0
        self._stop = False

    @property
    def run_id(self) -> str:
        """The run that is recorded."""
        return self._writer.run_id

    def begin(self, facts: TaskFacts, info: Mapping[str, str]) -> None:
        """Record what is known before the first step."""
        self._writer.begin(facts, {**about_process(), **info})

    def say(self, what: str) -> None:
        """Tell what happens before the first step; "" once that is over."""
        self._writer.say(what)

    def add(self, columns: Mapping[str, Array]) -> None:
        """Append rows."""
        self._writer.append(columns)

    def keep(self, step: int, weights: Mapping[str, Array], update_ratio: Mapping[str, float]) -> None:
        """Keep the weights of a step."""
        self._writer.keep(step, weights, update_ratio)

    def stop_requested(self) -> bool:
        """Whether the run should end after this step. Called at every step, it looks now and then."""
        leave_if_asked()
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + STOP_S
            self._stop = self._writer.stop_requested()
        if now_s >= self._beat_s:
            self._beat_s = now_s + BEAT_S
            self._writer.heartbeat()
        return self._stop


Trainer = Callable[[Mapping[str, Any], StoreRecorder], Outcome]

Idle = Callable[[], bool]
"""Does a few seconds' work that later runs gain from, and returns whether there was any to do."""


@cache
def about_process() -> Mapping[str, str]:
    """What every run records of the machine and the versions it was made with.

    Asked once, before any run is held: ``platform`` starts a child process, and until that has become ``uname`` it has
    a share in this one's locks, which would then outlive it.
    """
    return {
        "gradreach": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


def load(name: str) -> tuple[Trainer, Idle]:
    """The function ``module:function``, its module warmed up where it can be, and what it does when nobody waits."""
    module_name, _, function = name.partition(":")
    module = importlib.import_module(module_name)
    trainer: Trainer = getattr(module, function)
    warm_up = getattr(module, "warm_up", None)
    if warm_up is not None:
        warm_up()
    return trainer, getattr(module, "idle", lambda: False)


def serve(store: Store, token: str, slot: FileLock, trainer: Trainer, idle: Idle, idle_s: float) -> None:
    """Train what is queued until there has been nothing for ``idle_s`` seconds, or the store's folder is gone."""
    leave_s = time.monotonic() + idle_s
    while store.layout.catalog.exists():
        leave_if_asked()
        writer = store.claim()
        if writer is not None:
            store.workers.set_run(token, writer.run_id)
            train_one(writer, trainer)
            store.workers.set_run(token, None)
            leave_s = time.monotonic() + idle_s
        elif time.monotonic() < leave_s:
            if not idle():
                time.sleep(LOOK_S)
        else:
            # The slot first, a last look second: who submits now sees either this worker's slot free or its run taken.
            slot.release()
            if not store.catalog.queued():
                return
            again = hold(Path(slot.lock_file), SLOT_S)
            if again is None:
                return
            slot = again


def train_one(writer: RunWriter, trainer: Trainer) -> None:
    """Train one run to its end. What goes wrong is that run's end and a line in the log; the next run may go well."""
    try:
        with writer:
            outcome = trainer(writer.row.spec, StoreRecorder(writer))
            writer.finish(
                outcome.state,
                outcome.detail,
                steps_done=outcome.steps_done,
                loss=outcome.loss,
                success=outcome.success,
            )
    except Exception:
        _say(f"run {writer.run_id} failed")
        traceback.print_exc()


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 where it left in order, or was not needed."""
    parser = argparse.ArgumentParser(prog="experiments.worker", description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--token", default=f"w-{os.getpid()}")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--idle", type=float, default=300.0)
    parser.add_argument("--trainer", default="experiments.training:train_json")
    asked = parser.parse_args(arguments)
    store = Store.open(asked.store)
    slot, number = _take_slot(store, asked.slots)
    if slot is None:
        store.workers.remove([asked.token])
        return 0
    store.workers.update(asked.token, "starting", pid=os.getpid(), slot=number)
    about_process()
    try:
        trainer, idle = load(asked.trainer)
    except Exception as error:
        traceback.print_exc()
        store.workers.update(asked.token, "failed", detail=f"{type(error).__name__}: {' '.join(str(error).split())}")
        return COULD_NOT_START
    # From here on a run may be open, which SIGTERM is to end in order; before, there is nothing to lose.
    _ASKED_TO_LEAVE.clear()
    signal.signal(signal.SIGTERM, _leave)
    store.workers.update(asked.token, "ready")
    try:
        serve(store, asked.token, slot, trainer, idle, asked.idle)
        store.workers.remove([asked.token])
    except StoreError:
        if store.layout.catalog.exists():
            raise
        _say("the store is gone")
    return 0


def _take_slot(store: Store, slots: int) -> tuple[FileLock | None, int]:
    until_s = time.monotonic() + SLOT_S
    while True:
        for number in range(slots):
            if (lock := hold(store.layout.slot_lock(number))) is not None:
                return lock, number
        if time.monotonic() > until_s:
            return None, -1
        time.sleep(0.05)


def leave_if_asked() -> None:
    """Leave where a signal asked for it, and what it raised was lost.

    Python drops an exception that a signal raises within a ``__del__``, a weak reference's callback or a library that
    catches everything.
    """
    if _ASKED_TO_LEAVE:
        raise SystemExit(128 + _ASKED_TO_LEAVE[0])


def _leave(signum: int, frame: FrameType | None) -> None:
    _ASKED_TO_LEAVE.append(signum)
    raise SystemExit(128 + signum)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%F %T')} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
