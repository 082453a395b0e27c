"""The process that computes inspections: takes requests, the oldest first, and leaves when nobody asks any more.

Started by ``start`` as ``python -m experiments.inspection.process``. One per store, which a lock sees to; it imports
what it computes with only once it has the lock. SIGTERM ends it at once, wherever it is: every file is written beside
its place and then moved there, and the system gives the lock back.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Protocol

from diagnostics.inspection import Inspection, save
from diagnostics.records import Array
from diagnostics.store import Store, StoreError
from diagnostics.store.locks import hold
from experiments.inspection.asked import Asked
from experiments.inspection.cost import predict
from experiments.inspection.files import Place, Request, prune, requests, write_json, write_text
from experiments.inspection.start import IDLE_S, started
from experiments.spec import Refusal, RunSpec

LOCK_S = 2.0
"""How long to try for the lock: whoever asks whether it is held takes it for a moment."""

LOOK_S = 0.05
"""How often an idle process looks for a request."""

TELL_S = 0.1
"""How often it says how far it is."""

TRIES = 2
"""A request whose computation was begun so often and never ended, because the process was killed, is given up."""


class Compute(Protocol):
    """``compute.inspect``."""

    def __call__(  # noqa: D102
        self,
        run_id: str,
        spec: RunSpec,
        step: int,
        weights: Mapping[str, Array],
        asked: Asked,
        progress: Callable[[float, str], None],
        update_ratio: Mapping[str, float],
        /,
    ) -> Inspection: ...


class Cancelled(Exception):  # noqa: N818 - nobody's error
    """Nobody wants it any more."""


class Teller:
    """Says how far a computation is, and ends it where its request is gone."""

    def __init__(self, place: Place, expected_s: float) -> None:
        self._place = place
        self._expected_s = expected_s
        self._began_s = time.monotonic()
        self._next_s = 0.0

    def __call__(self, share: float, section: str) -> None:
        """Take the share that is done, 0 to 1."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + TELL_S
        if not self._place.asked.exists():
            raise Cancelled
        left_s = seconds_left(share, now_s - self._began_s, self._expected_s)
        about = {"share": share, "section": section, "seconds_left": left_s, "at_s": time.time()}
        with contextlib.suppress(OSError):
            write_json(self._place.progress, about)


def seconds_left(share: float, elapsed_s: float, expected_s: float) -> float:
    """From what was expected at first, and ever more from how long the share that is done has taken."""
    measured_s = elapsed_s / share if share > 0 else expected_s
    trust = min(1.0, 2 * share)
    return max(0.0, trust * measured_s + (1 - trust) * expected_s - elapsed_s)


def serve(store: Store, compute: Compute, idle_s: float) -> None:
    """Compute what is asked for until nobody has for ``idle_s`` seconds, or the store's folder is gone."""
    leave_s = time.monotonic() + idle_s
    while store.layout.catalog.exists():
        waiting = requests(store)
        if waiting:
            answer(store, *waiting[0], compute)
            leave_s = time.monotonic() + idle_s
        elif time.monotonic() < leave_s:
            time.sleep(LOOK_S)
        else:
            return


def answer(store: Store, request: Request, place: Place, compute: Compute) -> None:
    """Compute one request; what goes wrong becomes its sentence and a line in the log, and the next may go well."""
    try:
        if place.result() is not None:  # another request brought it along
            place.forget()
            return
        if request.begun >= TRIES:
            raise Refusal(
                f"the process that computes was ended {request.begun} times while it did this, as happens where memory "
                "runs out: ask for fewer samples or sections"
            )
        again = Request(request.run_id, request.step, request.asked, request.asked_s, request.begun + 1)
        write_json(place.asked, again.to_json())
        spec = RunSpec.from_json(store.row(request.run_id).spec)
        weights = store.weights(request.run_id, request.step)
        told = Teller(place, predict(spec, request.asked).seconds)
        ratios = store.update_ratios(request.run_id, request.step)
        found = compute(request.run_id, spec, request.step, weights, request.asked, told, ratios)
        save(found, place.own_result)
        prune(store, place.own_result)
        place.forget()
    except Cancelled:
        place.forget()
    except Exception as error:
        if not isinstance(error, StoreError | Refusal):
            traceback.print_exc()
        place.progress.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the run was purged meanwhile, or the disk is full
            write_text(place.failed, sentence(error))
        if not place.failed.exists():
            place.forget()


def sentence(error: Exception) -> str:
    """What a person is told."""
    if isinstance(error, StoreError | Refusal):
        return str(error)
    if isinstance(error, MemoryError):
        return "the memory was not enough: ask for fewer samples or sections"
    if isinstance(error, OSError):
        return f"the result cannot be kept: {error.strerror or error}"
    return f"this should not have happened ({type(error).__name__}: {' '.join(str(error).split())[:300]})"


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 where it left in order, or was not needed."""
    parser = argparse.ArgumentParser(prog="experiments.inspection.process", description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--idle", type=float, default=IDLE_S)
    asked = parser.parse_args(arguments)
    store = Store.open(asked.store)
    lock = hold(store.layout.inspector_lock, LOCK_S)
    if lock is None:
        return 0
    from experiments.inspection.compute import inspect

    started(store.layout).unlink(missing_ok=True)  # ready: earlier failures to start are forgotten
    for left in store.layout.inspected.glob("*/*.npz.new"):
        left.unlink(missing_ok=True)  # of one that was killed: nobody else writes results
    while True:
        serve(store, inspect, asked.idle)
        lock.release()
        # Who asks now sees the lock free and starts another; who asked a moment ago is seen here.
        if not store.layout.catalog.exists() or not requests(store):
            return 0
        lock = hold(store.layout.inspector_lock, LOCK_S)
        if lock is None:
            return 0


if __name__ == "__main__":
    sys.exit(main())
