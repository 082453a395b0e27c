"""What a worker process imports once and then uses for every run: torch, the training loop, and both warmed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from diagnostics.records import Array, TaskFacts
from experiments.spec import RunSpec
from experiments.train import Outcome, Recorder, train


def train_json(spec: Mapping[str, Any], recorder: Recorder) -> Outcome:
    """Train the spec with the JSON form ``spec``; raises ``Refusal`` where it is none."""
    torch.set_num_threads(1)
    return train(RunSpec.from_json(spec), recorder)


def warm_up() -> None:
    """Train next to nothing, so that the first run does not pay for what torch loads when it is first used."""
    spec = RunSpec.make(gap=8, cell="lstm", hidden=2, batch=2, steps=2, device="cpu")
    train_json(spec.to_json(), _Nowhere())


class _Nowhere:
    """A recorder that forgets."""

    def begin(self, facts: TaskFacts, info: Mapping[str, str]) -> None:
        """Nothing to keep."""

    def add(self, columns: Mapping[str, Array]) -> None:
        """Nothing to keep."""

    def stop_requested(self) -> bool:
        """Nobody asks."""
        return False
