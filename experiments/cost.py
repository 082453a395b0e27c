"""What a run will cost, before anything is allocated: time, memory and disk, from its sizes alone.

Free of torch. The seconds are a linear model fitted to measured steps (``benchmarks/run_time.py`` prints prediction
beside measurement); they are an estimate for one thread of a desktop processor and may be off by a factor of two, where
the recurrences run on the plain loops and the states are small by more.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import psutil

import tasks
from diagnostics.measures.entry_sizes import BINS
from experiments.keep import steps_to_keep
from models.cells import CELLS
from models.count import count, fixed, table
from models.count import head as of_head
from models.kinds import MODELS
from models.plan import Plan
from tasks import TASKS

SECONDS_AT_MOST = 7 * 24 * 3600.0
DISK_AT_MOST = 4 * 2**30
"""A run file is read whole by the page and the exports: past this it would be recorded but never looked at."""
MEMORY_SHARE = 0.8
DISK_LEFT = 256 * 2**20

HELD_OUT = 512
"""Samples that the measure of success is taken on: a share is known to about two percentage points."""

MEASURED_AT_ONCE = 128
"""How many of them are, where a batch is no larger."""

# Measured, one thread, compiled loops: seconds per timestep and layer whatever the sizes, per multiply-add of the
# matrix products (forward, backward and weights), per state (its gates, and what is recorded of it), per number
# that is answered, per parameter that is updated, and for the rest.
_PER_TIMESTEP = 1.5e-6
_PER_MULTIPLY_ADD = 2e-11
_PER_STATE = {"rnn": 6e-9, "gru": 1.4e-8, "lstm": 1.9e-8}
_PER_ANSWER = 6e-9
_PER_PARAMETER = 8e-9
_PER_STEP = 1.1e-3
# The same where there is no recurrence: per feature that is recorded; per pixel of a picture; and once per run, for
# learning to see.
_PER_FEATURE = 2e-8
_PER_PIXEL = 6e-8
_LEARNING_TO_SEE = 8.0

_OF_FORWARD = 0.3
"""Share of a step's time that is its forward pass, which is what measuring on the held-out set consists of."""


class Sizes(Protocol):
    """The part of a spec that decides its cost."""

    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def gap(self) -> int: ...  # noqa: D102
    @property
    def length(self) -> int | None: ...  # noqa: D102
    @property
    def wiring(self) -> str | None: ...  # noqa: D102
    @property
    def text(self) -> str | None: ...  # noqa: D102
    @property
    def model(self) -> str | None: ...  # noqa: D102
    @property
    def bidirectional(self) -> bool: ...  # noqa: D102
    @property
    def softmax(self) -> str: ...  # noqa: D102
    @property
    def initial(self) -> str: ...  # noqa: D102
    @property
    def timesteps(self) -> int: ...  # noqa: D102
    @property
    def cell(self) -> str: ...  # noqa: D102
    @property
    def hidden(self) -> int: ...  # noqa: D102
    @property
    def layers(self) -> int: ...  # noqa: D102
    @property
    def inputs(self) -> str: ...  # noqa: D102
    @property
    def embedding(self) -> int: ...  # noqa: D102
    @property
    def batch(self) -> int: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102
    @property
    def record_every(self) -> int | None: ...  # noqa: D102
    @property
    def eval_every(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True)
class Cost:
    """A prediction: wall time on one thread, peak memory of the worker, size of the run file, trained numbers."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    parameters: int

    def describe(self) -> str:
        """The prediction as one sentence."""
        return (
            f"about {duration(self.seconds)} on one thread (an estimate), {amount(self.memory_bytes)} of memory, "
            f"at most {amount(self.disk_bytes)} on disk, {self.parameters:,} parameters"
        )


def duration(seconds: float) -> str:
    """A duration as a person says it: ``8 s``, ``3 min``, ``5 h``, ``2 days``."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def amount(size: float) -> str:
    """A number of bytes as a person says it: ``12 kB``, ``3.4 GB``."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def predict(spec: Sizes) -> Cost:
    """The predicted cost of a run whose sizes are within the limits of ``RunSpec``."""
    task = _task(spec.task, spec.gap, spec.length, spec.wiring, spec.text)
    kind = spec.model or TASKS[spec.task].models[0]
    plan = planned(spec, task)
    counted = count(kind, plan)
    steps_in, batch = spec.timesteps, spec.batch
    head = of_head(plan, counted.features)
    parameters = table(plan) + counted.body + head

    answers = (steps_in - task.bridge) if task.wiring == "many-to-many" else 1
    multiply_adds = 3 * batch * (counted.work + answers * task.outputs * counted.features)
    states = batch * counted.states
    recurs = MODELS[kind].recurrent
    per_state = _PER_STATE[CELLS[spec.cell].kind] if recurs else _PER_FEATURE
    by_batch = _PER_MULTIPLY_ADD * multiply_adds + per_state * states
    by_batch += _PER_ANSWER * answers * batch * task.outputs + _PER_PIXEL * batch * plan.pictures**2
    walked = steps_in * spec.layers * (1 + spec.bidirectional) if recurs else 0
    both_ways = by_batch + _PER_TIMESTEP * walked + _PER_PARAMETER * parameters
    # Where every step has an answer, each profile takes a second way back, for the last answer alone.
    ways = 1 + (answers > 1) * (1 - _OF_FORWARD) / (spec.record_every or 1)
    measurements = spec.steps // (spec.eval_every or 1) + 1
    measuring = _OF_FORWARD * (HELD_OUT / batch * by_batch + HELD_OUT / max(batch, MEASURED_AT_ONCE) * _PER_STEP)
    seconds = (
        spec.steps * (_PER_STEP + ways * both_ways)
        + measurements * measuring
        + (_LEARNING_TO_SEE if plan.pictures else 0)
    )
    # States, gates, their gradients and the float64 copies that the norms are taken from; weights, gradients and
    # the optimiser's two moments, one float64 copy of the gradient, and the weights before an update.
    gates = CELLS[spec.cell].gates
    memory = states * (4 * (2 * gates + 6) + 24) + 4 * steps_in * batch * (3 * plan.width + 2 * task.outputs)
    memory += 4 * HELD_OUT * steps_in * task.outputs * 3 if answers > 1 else 0  # answers to the held-out set
    memory += parameters * 28 + 200 * 2**20
    profiles = -(-spec.steps // (spec.record_every or 1))
    per_profile = 8 * (steps_in * (spec.layers * (3 + 3 * (answers > 1) + 4) + 3) + 3 * BINS)
    kept = 4 * (parameters + fixed(plan))
    weights = kept * len(steps_to_keep(spec.steps, kept))
    disk = profiles * per_profile + spec.steps * 80 + weights
    return Cost(seconds, int(memory), disk, parameters)


def planned(spec: Sizes, task: tasks.Task) -> Plan:
    """What the network of ``spec`` is built for."""
    return Plan(
        cell=spec.cell,
        input_size=task.input_size,
        hidden=spec.hidden,
        layers=spec.layers,
        outputs=task.outputs,
        vocabulary=len(task.vocabulary),
        embedding=spec.embedding if task.vocabulary and spec.inputs == "embedding" else None,
        every_step=task.wiring == "many-to-many",
        timesteps=task.length,
        bidirectional=spec.bidirectional,
        bridge=task.bridge,
        pictures=task.pictures,
        looks=task.looks,
        softmax=spec.softmax,
        learned_initial=spec.initial == "learned",
    )


@lru_cache(maxsize=64)
def _task(name: str, gap: int, length: int | None, wiring: str | None, text: str | None) -> tasks.Task:
    """Only its sizes are read: a page asks for the same prediction again and again."""
    return tasks.build(name, gap, length, wiring, text)


def unaffordable(spec: Sizes) -> list[str]:
    """A sentence for each of time, memory and disk that this run would need and this machine has not."""
    cost = predict(spec)
    said = []
    if cost.seconds > SECONDS_AT_MOST:
        said.append(
            f"steps must be few enough for a week ({duration(SECONDS_AT_MOST)}), but got {spec.steps}, "
            f"predicted to take {duration(cost.seconds)}"
        )
    available = psutil.virtual_memory().available
    if cost.memory_bytes > MEMORY_SHARE * available:
        said.append(
            f"memory must be at most {MEMORY_SHARE:.0%} of the {amount(available)} that are free, but this run is "
            f"predicted to need {amount(cost.memory_bytes)} (batch {spec.batch}, hidden {spec.hidden}, "
            f"{spec.timesteps} timesteps)"
        )
    free = shutil.disk_usage(_existing(Path(os.environ.get("GRADREACH_STORE") or "."))).free - DISK_LEFT
    if cost.disk_bytes > min(free, DISK_AT_MOST):
        said.append(
            f"record_every must keep the records below {amount(max(0, min(free, DISK_AT_MOST)))}, but got "
            f"{spec.record_every}, predicted to write {amount(cost.disk_bytes)}"
        )
    return said


def _existing(path: Path) -> Path:
    """The path itself or its nearest parent that exists: the store is made on first use."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())
