"""Peak memory of a training step against the length of the sequence, with the whole gradient and with a truncated one.

Counted, not guessed: every allocation of torch on the CPU while the step runs, in the order in which they are made. Not
in it is what the Python objects take, and what was there before: the parameters and their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch._C._autograd import _disable_profiler_legacy, _enable_profiler_legacy
from torch._C._profiler import ProfilerConfig, ProfilerState, _ExperimentalConfig

from diagnostics.records import Array
from diagnostics.recurrence import paths
from experiments.backward import Backward, mean_loss
from experiments.cost import HELD_OUT
from experiments.inspection.cost import measured_batch
from experiments.making import build
from experiments.spec import RunSpec
from models.model import Model
from tasks.base import Task


class Memory(NamedTuple):
    """Peaks in bytes, [R], over sequences of ``steps`` [R] timesteps, with batches of ``batch`` sequences; truncated at
    ``chunk`` timesteps."""

    steps: Array
    full: Array
    truncated: Array
    batch: int
    chunk: int


def measured_memory(spec: RunSpec, task: Task, progress: Callable[[float], None] | None = None) -> Memory:
    """Measure steps of the network of ``spec`` in float32, on sequences of an eighth to all of the task's timesteps.

    Where the sequence is long, the batch is smaller than the run's, with which memory goes in proportion. Nothing is
    recorded of the steps: a run that records its profiles keeps every timestep's states and gates besides, cut
    into chunks or not. The chunk is the run's own, or an eighth of the sequence where it has none.
    """
    T = task.length
    lengths = sorted({max(1, T // part) for part in (8, 4, 2, 1)})
    batch = min(HELD_OUT, measured_batch(spec.batch, T, spec.hidden))
    chunk = min(spec.truncate or lengths[0], T)
    network = build(spec, task, 0)
    peaks = np.empty((2, len(lengths)), dtype=np.int64)
    with paths.use("plain"):
        for i, length in enumerate(lengths):
            for row, truncate in enumerate((None, chunk)):
                peaks[row, i] = _step(network, task, spec, length, batch, truncate)
                if progress is not None:
                    progress(sum(lengths[: i + row]) / sum(lengths))
    return Memory(np.array(lengths, dtype=np.int64), peaks[0], peaks[1], batch, chunk)


def _step(network: Model, task: Task, spec: RunSpec, length: int, batch: int, truncate: int | None) -> int:
    samples = task.held_out(spec.seed, HELD_OUT)
    inputs = torch.from_numpy(np.ascontiguousarray(samples.inputs[-length:, :batch]))
    wanted = samples.targets[-length:, :batch] if network.every_step else samples.targets[:batch]
    targets = torch.from_numpy(np.ascontiguousarray(wanted))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return peak_bytes(
        lambda: Backward(network, inputs, targets, lambda o, t: mean_loss(task.loss, o, t), truncate, record=False)
    )


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that tensors allocated in ``run`` on the CPU took at a time, in bytes."""
    # The profiler of torch.profiler writes lines to the standard error output at every start.
    _enable_profiler_legacy(ProfilerConfig(ProfilerState.CPU, False, True, False, False, False, _ExperimentalConfig()))
    try:
        kept = run()
    finally:
        events = _disable_profiler_legacy()
    del kept
    allocations = [e.cpu_memory_usage() for thread in events for e in thread if str(e.kind()) == "memory_alloc"]
    return max(accumulate(allocations), default=0)
