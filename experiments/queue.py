"""The queue as the page and the command line use it: submit, watch, stop, run again. Nothing here trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diagnostics.store import RunRow, Store
from experiments.naming import comparison_name, run_names
from experiments.pool import Pool, default_slots
from experiments.spec import RunSpec
from experiments.watched import is_watched

IDLE_S = 300.0
"""How long a worker stays warm without work."""

TRAINER = "experiments.training:train_json"
"""What a worker trains with: ``module:function``."""

LOOK_AFTER_S = 1.0
"""``progress`` looks after the workers this often, so that a queue whose workers died goes on."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. ``seconds_left`` is None where nothing is known yet, 0 once the run has ended.

    ``queued_behind`` counts the queued runs that come first; ``silent_s`` is the time since the worker last gave a
    sign, None while there is no worker.
    """

    state: str
    steps_done: int
    steps: int
    seconds_left: float | None
    loss: float | None
    queued_behind: int
    silent_s: float | None
    detail: str


class Queue:
    """The runs that wait in ``store``, and the worker processes that train them.

    ``workers`` bounds how many train at once (None: the cores less one); all who use a store should agree on it.
    ``idle_s`` is how long a worker waits for more; ``trainer`` is ``module:function`` of what it trains with.
    """

    def __init__(
        self, store: Store, *, workers: int | None = None, idle_s: float = IDLE_S, trainer: str = TRAINER
    ) -> None:
        self.store = store
        self._pool = Pool(store, workers or default_slots(), idle_s, trainer)
        self._looked_s = 0.0

    def submit(self, specs: Sequence[RunSpec], name: str = "") -> tuple[str, list[str]]:
        """Queue runs as one comparison, see that there are workers for them, and return its id and theirs.

        Without a ``name`` the comparison is called after what its runs have in common.
        """
        asked = [spec.to_json() for spec in specs]
        created = self.store.create(asked, run_names(specs), name or comparison_name(specs))
        self.ensure_workers()
        return created

    def ensure_workers(self, warm: int = 0) -> None:
        """Start the workers that are missing: one per waiting run and ``warm`` spare ones, within the bound.

        Where workers cannot start, the waiting runs become ``failed`` with a sentence that names the log.
        """
        self._looked_s = time.monotonic()
        if self.store.read_only:
            return
        rows = self.store.active()
        waiting = [row for row in rows if row.state == "queued"]
        # A watched run is trained by whoever watches it, beside the workers.
        running = [row for row in rows if row.state == "running" and not is_watched(row.spec)]
        self._pool.kill_hung(running)
        trouble = self._pool.ensure(len(waiting), len(running), warm)
        if trouble:
            for row in waiting:
                self.store.catalog.change(row.id, "queued", "failed", ended_s=time.time(), detail=trouble)

    def stop(self, run_id: str) -> None:
        """Stop a run: a queued one at once, a running one at its next step; an ended one stays as it is."""
        self.store.request_stop(run_id)

    def repeat(self, run_id: str, **changes: Any) -> tuple[str, list[str]]:
        """Run a stored run's spec again, with changes, as a new comparison. Raises ``Refusal`` for absurd ones."""
        row = self.store.row(run_id)
        spec = RunSpec.from_json(row.spec)
        return self.submit([spec.changed(**changes) if changes else spec], row.comparison_name)

    def progress(self, run_id: str) -> Progress:
        """How far the run is; raises ``StoreError`` where there is none of this id."""
        row = self.store.row(run_id)
        if row.state in ("queued", "running") and time.monotonic() >= self._looked_s + LOOK_AFTER_S:
            self.ensure_workers()
            row = self.store.row(run_id)
        queued = self.store.catalog.queued() if row.state == "queued" else []
        now = time.time()
        beat_s = row.heartbeat_s if row.state == "running" else None
        return Progress(
            state=row.state,
            steps_done=row.steps_done,
            steps=row.steps,
            seconds_left=_seconds_left(row, now),
            loss=row.loss,
            queued_behind=queued.index(run_id) if run_id in queued else 0,
            silent_s=None if beat_s is None else max(0.0, now - beat_s),
            detail=row.detail,
        )


def _seconds_left(row: RunRow, now: float) -> float | None:
    """From the training time that the recorded steps took; a page that looks between two signs sees it count down."""
    if row.state == "queued":
        return None
    if row.state != "running":
        return 0.0
    if not row.steps_done or row.elapsed_s is None or row.heartbeat_s is None:
        return None
    left_s = row.elapsed_s / row.steps_done * (row.steps - row.steps_done)
    return max(0.0, left_s - (now - row.heartbeat_s))
