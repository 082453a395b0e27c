"""Train one run and record every step of it.

The same spec on the same build, processor and one thread gives the same numbers to the last bit.
"""

from __future__ import annotations

import math
import platform
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.entry_sizes import NOT_MEASURED, entry_sizes
from diagnostics.measures.first_non_finite import Found
from diagnostics.measures.parameters import update_ratio
from diagnostics.measures.whole_gradient import Clipped
from diagnostics.records import COLUMNS, Array, TaskFacts
from diagnostics.recurrence import paths
from experiments.backward import Backward, mean_loss
from experiments.cost import HELD_OUT, MEASURED_AT_ONCE
from experiments.device import choose
from experiments.gradient import Flat
from experiments.keep import Keeper, steps_to_keep
from experiments.making import build, prepare, task_of
from experiments.optimizers import optimizer
from experiments.record import answer_row, profile_row
from experiments.spec import RunSpec
from experiments.trouble import NORMS_BEFORE, after_update, first_broken, told
from models.cells import CELLS
from models.pictures import Stopped
from tasks.base import UNASKED, Batch, Task

SIZED = 128
"""The most profiles of a run that come with the sizes of the gradient's entries: every one would cost 5 % of a step."""

FLUSH_S = 0.25
"""Rows are handed over this often: a page that looks once a second is never a second behind."""


class Recorder(Protocol):
    """Where a run's records go, and where it hears that it should stop."""

    def begin(self, facts: TaskFacts, info: Mapping[str, str]) -> None:
        """Take what is known before the first step; called once."""

    def add(self, columns: Mapping[str, Array]) -> None:
        """Take rows to append: complete streams, each column with the same number of rows as its stream."""

    def keep(self, step: int, weights: Mapping[str, Array], update_ratio: Mapping[str, float]) -> None:
        """Take the weights, float32 by name, as they are after ``step`` updates, and ‖Δθ‖ / ‖θ‖ of the last of these
        by parameter, if there is one; each step at most once, rising."""

    def stop_requested(self) -> bool:
        """Whether the run should end after this step; called at every step, of what is done before the first too."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``steps_done`` counts the recorded training steps, also the one that diverged; ``loss`` and
    ``success`` are the last measured on the held-out set, nan where it ended before any was."""

    state: Literal["finished", "diverged", "stopped"]
    steps_done: int
    detail: str
    loss: float
    success: float


def train(spec: RunSpec, recorder: Recorder, say: Callable[[str], None] = lambda what: None) -> Outcome:
    """Train ``spec`` from its seed and hand every record to ``recorder``; ``say`` takes a few words on what is done
    before the first step where that takes long, and "" once it is over.

    Divergence is an outcome, not an error. Raises ``Refusal`` where the spec asks for a device that is not there, and
    whatever the recorder raises (a full disk).
    """
    try:
        trainer = Trainer(spec, say, recorder.stop_requested)
    except Stopped:
        return Outcome("stopped", 0, f"stopped at step 0 of {spec.steps}", math.nan, math.nan)
    recorder.begin(trainer.task.facts(trainer.facts_rng), trainer.info())
    kept = Keeper(steps_to_keep(spec.steps, trainer.weight_bytes), trainer.kept, recorder.keep)
    kept.after(0)
    rows = Rows(recorder)
    rows.add(trainer.measure(0))
    state: Literal["finished", "diverged", "stopped"] = "finished"
    done, detail = 0, ""
    for step in range(spec.steps):
        columns, detail = trainer.step(step)
        rows.add(columns)
        done = step + 1
        if detail:
            state = "diverged"
            break
        kept.after(done)
        stop = recorder.stop_requested()
        if done % trainer.eval_every == 0 or done == spec.steps or stop:
            rows.add(trainer.measure(done))
        rows.flush_if_due()
        if stop and done < spec.steps:
            state, detail = "stopped", f"stopped at step {done} of {spec.steps}"
            break
    rows.flush()
    kept.after(done - (state == "diverged"), at_end=True)
    return Outcome(state, done, detail, trainer.last_loss, trainer.last_success)


class Rows:
    """Rows on their way to a recorder, handed over in small groups: the first at once, then every ``FLUSH_S``."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: dict[str, list[Array | float]] = {}
        self._due_s = -math.inf

    def add(self, columns: Mapping[str, Array | float]) -> None:
        """Put one row of each stream that ``columns`` has in line."""
        for name, value in columns.items():
            self._waiting.setdefault(name, []).append(value)

    def flush_if_due(self) -> None:
        """Hand over what waits, if the last time is long enough ago."""
        if time.monotonic() >= self._due_s:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        if self._waiting:
            self._recorder.add(
                {name: np.asarray(values, dtype=COLUMNS[name].dtype) for name, values in self._waiting.items()}
            )
        self._waiting = {}
        self._due_s = time.monotonic() + FLUSH_S


class Trainer:
    """The network, the task and the optimiser of one run, one step at a time."""

    def __init__(
        self,
        spec: RunSpec,
        say: Callable[[str], None] = lambda what: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.spec = spec
        self.device = choose(spec.device, spec.batch * spec.hidden)
        self.task: Task = task_of(spec)
        # One stream of random numbers each, so that the batches of a seed are the same whatever the cell.
        weights, batches, facts = np.random.SeedSequence(spec.seed).spawn(3)
        self._batches = np.random.default_rng(batches)
        self.facts_rng = np.random.default_rng(facts)
        seed = int(weights.generate_state(1, np.uint64)[0] >> 1)
        self.network = build(spec, self.task, seed)
        self._prepared = prepare(self.network, self.task, seed, say, stop)
        self.network.to(self.device)
        self.flat = Flat(self.network)
        self._update_parameters = optimizer(
            spec.optimizer, spec.learning_rate, self.flat.parameters, self.flat.gradient
        )
        self._before = self.flat.parameters.detach().clone()
        self._moved = False
        self._held_out = self.task.held_out(spec.seed, HELD_OUT)
        self._many = self.task.wiring == "many-to-many"
        self._loss_step = self.task.answer_steps[-1]
        assert spec.record_every is not None  # resolved by the spec
        assert spec.eval_every is not None
        self._record_every = spec.record_every
        self._sized_every = spec.record_every * max(1, -(-spec.steps // (spec.record_every * SIZED)))
        self.eval_every = spec.eval_every
        self.last_loss = self.last_success = math.nan
        self._norms: deque[float] = deque(maxlen=NORMS_BEFORE)
        self._began_s = time.monotonic()

    def info(self) -> dict[str, str]:
        """What the numbers depend on besides the spec."""
        return {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            "device": str(self.device),
            "recurrences": paths.described([CELLS[self.spec.cell].kind]) if self.device.type == "cpu" else "plain",
            "threads": str(torch.get_num_threads()),
            "parameters": str(self.flat.parameters.numel()),
            **self._prepared,
        }

    def step(self, step: int) -> tuple[dict[str, Array | float], str]:
        """One update: its row of records, and a sentence if training diverged in it, else "".

        Where the loss is not finite no update is made, and one that leaves parameters not finite is taken back; the
        step's profile is recorded then, whether it was due or not.
        """
        due = step % self._record_every == 0
        batch = self.task.batch(self._batches, self.spec.batch)
        back = self._back(batch, record=due)
        value = float(back.loss)
        sized = step % self._sized_every == 0
        sizes = entry_sizes(self.flat.gradient.cpu().numpy()) if sized else NOT_MEASURED
        broken: Found | None = None
        if not (math.isfinite(value) and math.isfinite(float(self.flat.gradient.sum()))):  # a sum may only overflow
            back = back if due else self._back(batch, record=True)  # the same again, to be looked at
            broken = first_broken(
                back, {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
            )
        clipped = self.flat.clip(*self.spec.clip_rule)
        row: dict[str, Array | float] = {}
        if due or not math.isfinite(value) or not math.isfinite(clipped.norm_pre):
            alike = self.task.alike(batch)
            over = None if self._many else alike
            row.update(
                profile_step=step,
                grad_sizes=sizes,
                **profile_row(back.traces, back.input_grad, self.spec.cell, over),
            )
            if self._many:
                back.of_last_answer()
                asked = int((batch.targets[self._loss_step] != UNASKED).sum())
                row.update(answer_row(back.traces, asked, alike))
        trouble = self._update(step, value, clipped, broken)
        self._norms.append(clipped.norm_pre)
        row.update(
            step=step,
            loss=value,
            grad_norm_pre=clipped.norm_pre,
            grad_norm_post=clipped.norm_post,
            clip_factor=clipped.factor,
            nan_count=clipped.nan_count,
            inf_count=clipped.inf_count,
            zero_count=clipped.zero_count,
            wall_s=time.monotonic() - self._began_s,
        )
        return row, trouble

    def _back(self, batch: Batch, *, record: bool) -> Backward:
        self.flat.gradient.zero_()
        return Backward(
            self.network,
            self._tensor(batch.inputs),
            self._tensor(batch.targets),
            self._loss,
            self.spec.truncate,
            record=record,
            answer_step=self._loss_step if self._many else None,
            **self._beside(batch),
        )

    def _beside(self, batch: Batch) -> dict[str, Any]:
        """What goes into the network beside the inputs; lengths stay on the CPU."""
        return {
            "lengths": None if batch.lengths is None else torch.from_numpy(batch.lengths),
            "pictures": None if batch.pictures is None else self._tensor(batch.pictures),
        }

    def weights(self) -> dict[str, Array]:
        """A copy of the weights as they are, by the names of the network's state."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.network.state_dict().items()}

    def kept(self) -> tuple[dict[str, Array], dict[str, float]]:
        """``weights``, and the update ratio ‖Δθ‖ / ‖θ‖ of the last update by parameter, empty where there is none."""
        if not self._moved:
            return self.weights(), {}
        after = [p.detach() for p in self.flat.members]
        before = self._before.split([p.numel() for p in after])
        pairs = zip(self.flat.names, before, after, strict=True)
        return self.weights(), {name: update_ratio(b.cpu().numpy(), a.flatten().cpu().numpy()) for name, b, a in pairs}

    def _update(self, step: int, loss: float, clipped: Clipped, broken: Found | None) -> str:
        if not math.isfinite(loss):
            return f"diverged at step {step}: the loss is {loss:g}{told(broken, self.spec.layers, self._norms)}"
        parameters = self.flat.parameters.detach()
        self._before.copy_(parameters)
        self._update_parameters()
        name = self.flat.first_non_finite()
        self._moved = name is None
        if name is None:
            return ""
        broken = broken or after_update(name, self.network.get_parameter(name))
        parameters.copy_(self._before)
        held = [f"{n} {what}" for n, what in ((clipped.nan_count, "nan"), (clipped.inf_count, "inf")) if n]
        more = told(broken, self.spec.layers, self._norms)
        cause = f"the gradient held {' and '.join(held)}" if held else "the update overflowed"
        return f"diverged at step {step}: {cause}, which left {name} not finite{more}"

    @torch.no_grad()
    def measure(self, updates: int) -> dict[str, Array | float]:
        """Loss and success on the held-out set, as a row of the eval stream."""
        size = max(self.spec.batch, MEASURED_AT_ONCE)
        whole = self._held_out
        outputs = []
        for start in range(0, whole.size, size):
            part = whole.part(slice(start, start + size))
            outputs.append(self.network.answers(self.network(self._tensor(part.inputs), **self._beside(part)).outputs))
        joined = torch.cat(outputs, dim=-2)
        self.last_loss = float(self._mean_loss(joined, self._tensor(whole.targets)))
        self.last_success = self.task.success(joined.cpu().numpy(), whole)
        return {"eval_step": updates, "eval_loss": self.last_loss, "eval_success": self.last_success}

    @property
    def weight_bytes(self) -> int:
        """What the weights of one step take, those that training leaves alone among them."""
        return sum(value.numel() * value.element_size() for value in self.network.state_dict().values())

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of what is trained over all answers."""
        return self.network.loss(self._mean_loss, outputs, targets)

    def _mean_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over all answers: cross-entropy in nats, or the squared error."""
        return mean_loss(self.task.loss, outputs, targets)
