"""A threshold sweep: clipping rules × cells × seeds as one comparison in the queue, to be stopped and taken up again.

Free of torch. What belongs to a sweep is what lies in its comparison, so any process can watch, stop and resume it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostics.store import RunRow, Store
from experiments.naming import SEPARATOR, comparison_name, run_names
from experiments.pool import default_slots
from experiments.queue import Queue
from experiments.spec import Refusal, RunSpec, expand

KINDS = ("off", "norm", "value")
RUNS_AT_MOST = 1000
TITLE = "Threshold sweep"

WHOLE = ("finished", "diverged")
"""The states of a run that has said what came of its rule; after any other end it is trained again."""


@dataclass(frozen=True)
class Sweep:
    """What to try: every threshold with each kind of clipping in ``kinds``, on every cell, with every seed.

    ``common`` are the other fields of the specs. ``off`` is no clipping at all, trained once per cell and seed.
    """

    thresholds: tuple[float, ...]
    cells: tuple[str, ...] = ("tanh",)
    seeds: tuple[int, ...] = (0, 1, 2)
    kinds: tuple[str, ...] = KINDS
    common: Mapping[str, Any] = field(default_factory=dict)

    def clips(self) -> list[str]:
        """The clipping rules, each once, in the order of kinds and thresholds. Raises ``Refusal``."""
        if not self.kinds:
            raise Refusal(f"kinds must have at least one of {', '.join(KINDS)}, but got none")
        if wrong := next((kind for kind in self.kinds if kind not in KINDS), None):
            raise Refusal(f"kinds must be among {', '.join(KINDS)}, but got {wrong[:60]!r}")
        if not self.thresholds and set(self.kinds) != {"off"}:
            raise Refusal("thresholds must have at least one value, but got none")
        clips = ["none"] * ("off" in self.kinds)
        clips += [f"{kind}:{float(t)!r}" for kind in KINDS[1:] if kind in self.kinds for t in self.thresholds]
        return list(dict.fromkeys(clips))

    def specs(self) -> list[RunSpec]:
        """The runs, a whole grid per seed, so that the first seed shows every rule. Raises ``Refusal``."""
        clips = self.clips()
        count = len(clips) * len(self.cells) * len(self.seeds)
        if count > RUNS_AT_MOST:
            raise Refusal(f"a sweep must have at most {RUNS_AT_MOST} runs, but got {count}")
        if not self.seeds:
            raise Refusal("seed must have at least one value, but got none")
        asked = [s for seed in self.seeds for s in expand(cells=self.cells, clips=clips, seeds=(seed,), **self.common)]
        return list({spec.digest(): spec for spec in asked}.values())


@dataclass(frozen=True)
class State:
    """How far a sweep is. ``rows`` are its runs in the order in which they were asked for."""

    comparison: str
    rows: tuple[RunRow, ...]
    missing: tuple[RunSpec, ...]
    """What was stopped, interrupted or failed, and would be trained again."""

    @property
    def active(self) -> tuple[RunRow, ...]:
        """The runs that wait or are trained."""
        return tuple(row for row in self.rows if row.state in ("queued", "running"))

    @property
    def done(self) -> int:
        """Runs that came to their end or diverged."""
        return sum(row.state in WHOLE for row in self.rows)

    @property
    def share(self) -> float:
        """The share of the training steps that are made, 0 to 1; those that divergence spared count as made."""
        steps = sum(row.steps for row in self.rows)
        made = sum(row.steps if row.state in WHOLE else min(row.steps_done, row.steps) for row in self.rows)
        return made / steps if steps else 0.0

    @property
    def seconds_left(self) -> float | None:
        """From the pace of the runs so far, spread over the workers; None before there is a pace, 0 at the end."""
        if not self.active:
            return 0.0
        paced = [row for row in self.rows if row.elapsed_s and row.steps_done]
        made = sum(row.steps_done for row in paced)
        if not made:
            return None
        pace_s = sum(row.elapsed_s or 0.0 for row in paced) / made
        left = sum(row.steps - row.steps_done for row in self.active)
        return pace_s * left / min(default_slots(), len(self.active))


def submit(queue: Queue, sweep: Sweep, name: str = "") -> tuple[str, list[str]]:
    """Queue the whole sweep as one comparison; returns its id and those of its runs. Raises ``Refusal``."""
    specs = sweep.specs()
    return queue.submit(specs, name or title(specs))


def title(specs: Sequence[RunSpec]) -> str:
    """What the comparison of a sweep is called: what its runs share, and the step size, on which clipping hangs."""
    rates = ", ".join(dict.fromkeys(f"{spec.learning_rate:g}" for spec in specs))
    return SEPARATOR.join([TITLE, comparison_name(specs), f"learning rate {rates}"])


def state(store: Store, comparison: str) -> State:
    """Look at a sweep; one without runs where there is no such comparison."""
    rows = tuple(store.runs(comparison=comparison)[::-1])
    specs = {row.id: spec for row in rows if (spec := _spec(row)) is not None}
    said = {spec.digest() for row in rows if (spec := specs.get(row.id)) and (row.state in WHOLE or _lives(row))}
    missing = {spec.digest(): spec for spec in specs.values() if spec.digest() not in said}
    return State(comparison, rows, tuple(missing.values()))


def stop(queue: Queue, comparison: str) -> None:
    """Stop all runs of a sweep: those that wait first, so that no worker takes up another one."""
    active = state(queue.store, comparison).active
    for row in sorted(active, key=lambda row: row.state != "queued"):
        queue.stop(row.id)


def resume(queue: Queue, comparison: str, wanted: Sequence[RunSpec] = ()) -> list[str]:
    """Queue what a sweep still lacks and return the ids: what broke off, and what of ``wanted`` it never had.

    The runs that broke off are deleted, which can be undone; the new ones take their names. Raises ``StoreError``
    where there is no such comparison.
    """
    store = queue.store
    found = state(store, comparison)
    digests = {spec.digest() for row in found.rows if (spec := _spec(row)) is not None}
    new = {spec.digest(): spec for spec in wanted if spec.digest() not in digests}
    specs = [*found.missing, *new.values()]
    if not specs:
        queue.ensure_workers()
        return []
    lacking = {spec.digest() for spec in found.missing}
    broken_off = [row for row in found.rows if not _lives(row) and (s := _spec(row)) and s.digest() in lacking]
    names = {spec.digest(): row.name for row in broken_off if (spec := _spec(row)) is not None}
    made = dict(zip([spec.digest() for spec in specs], run_names(specs), strict=True))
    asked = [spec.to_json() for spec in specs]
    _, ids = store.create(asked, [names.get(d, made[d]) for d in made], comparison=comparison)
    store.delete([row.id for row in broken_off])
    queue.ensure_workers()
    return ids


def _lives(row: RunRow) -> bool:
    return row.state in ("queued", "running")


def _spec(row: RunRow) -> RunSpec | None:
    """The spec of a run; None where it is of another version."""
    try:
        return RunSpec.from_json(row.spec)
    except Refusal:
        return None


@dataclass(frozen=True)
class Preset:
    """A sweep to start with. ``question`` says in one sentence what to look for."""

    title: str
    question: str
    sweep: Sweep


_ORDER: Mapping[str, Any] = {
    "task": "temporal_order",
    "gap": 20,
    "hidden": 32,
    "inputs": "onehot",
    "batch": 32,
    "init": "orthogonal",
    "optimizer": "sgd",
    "steps": 400,
    "record_every": 8,
}
"""The order of two symbols over twenty steps, learned by plain SGD, which takes a gradient as long as it is."""

_THRESHOLDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

PRESETS: Mapping[str, Preset] = {
    "needed": Preset(
        "Clipping is needed",
        "With a large step size the network without clipping is thrown off again and again and does not learn; clipped "
        "by norm or by value it does.",
        Sweep(_THRESHOLDS, common={**_ORDER, "learning_rate": 0.2}),
    ),
    "harms": Preset(
        "Clipping harms",
        "The same network and task with a step size ten times smaller: without clipping it learns, and low thresholds "
        "take the length out of the gradients that it learns from.",
        Sweep(_THRESHOLDS, common={**_ORDER, "learning_rate": 0.02}),
    ),
}
"""Key → preset. The two differ in the step size alone; what each shows was measured with three seeds and more."""
