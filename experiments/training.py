"""What a worker process imports once and then uses for every run: torch, the training loop, and both warmed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from diagnostics.records import Array, TaskFacts
from diagnostics.recurrence import paths
from experiments.device import choose
from experiments.rules import recurrent
from experiments.spec import RunSpec
from experiments.train import Outcome, Recorder, train
from models.cells import CELLS

COMPILING = "compiling the loops for this processor, which is done once and takes some seconds"


class TellingRecorder(Recorder, Protocol):
    """A recorder that also hears what happens before the first step."""

    def say(self, what: str) -> None:
        """Take a few words; "" once that is over."""


def train_json(spec: Mapping[str, Any], recorder: TellingRecorder) -> Outcome:
    """Train the spec with the JSON form ``spec``; raises ``Refusal`` where it is none."""
    torch.set_num_threads(1)
    asked = RunSpec.from_json(spec)
    if recurrent(asked) and choose(asked.device, asked.batch * asked.hidden).type == "cpu":
        _prepare(CELLS[asked.cell].kind, recorder)
    return train(asked, recorder, recorder.say)


def _prepare(kind: str, recorder: TellingRecorder) -> None:
    """Have the loops of this kind of cell in place before time is taken, and say so where that takes long."""
    compiled = 0

    def say() -> None:
        nonlocal compiled
        compiled += 1
        recorder.say(COMPILING)  # before each function: it is also the sign of life

    paths.warm([kind], say)
    if compiled:
        recorder.say("")


def warm_up() -> None:
    """Train next to nothing, so that the first run does not pay for what torch loads when it is first used.

    On the plain path: what is not compiled yet must not keep a run waiting that is of another cell.
    """
    torch.set_num_threads(1)
    with paths.use("plain"):
        train(RunSpec.make(gap=8, cell="lstm", hidden=2, batch=2, steps=2, device="cpu"), _Nowhere())


def idle() -> bool:
    """Compile a little more of the loops, or load it, for the runs to come; False where all are in place."""
    return paths.warm_a_little()


class _Nowhere:
    """A recorder that forgets."""

    def begin(self, facts: TaskFacts, info: Mapping[str, str]) -> None:
        """Nothing to keep."""

    def add(self, columns: Mapping[str, Array]) -> None:
        """Nothing to keep."""

    def keep(self, step: int, weights: Mapping[str, Array], update_ratio: Mapping[str, float]) -> None:
        """Nothing to keep."""

    def stop_requested(self) -> bool:
        """Nobody asks."""
        return False
