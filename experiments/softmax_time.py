"""The process that times the softmaxes: ``python -m experiments.softmax_time --folder F``. See ``timing``.

One step is the head alone: its loss for a batch of answers, and the gradients of its weights and of the features.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from experiments.grammar import SOFTMAXES
from experiments.timing import ANSWERS, HIDDEN, WORDS, tell
from models import softmax

ROUNDS = 7
MOST_S = 2.0
"""A point is measured no longer than this, once it has been measured three times."""


def measure(
    words: Sequence[int] = WORDS, answers: int = ANSWERS, hidden: int = HIDDEN
) -> Iterator[tuple[str, int, float]]:
    """(kind, V, seconds of a step, the median) for each kind of head at each V, one after the other."""
    generator = torch.Generator().manual_seed(0)
    for V in words:
        features = torch.randn(answers, hidden, generator=generator, requires_grad=True)
        # Commonest first, as in text: the logarithm of a word's number is spread evenly.
        targets = (torch.rand(answers, generator=generator) * torch.tensor(float(V)).log()).exp().long().clamp(0, V - 1)
        for kind in SOFTMAXES:
            head = softmax.head(kind, hidden, V)
            head.fill(generator)
            yield kind, V, statistics.median(_times(head, features, targets))


def _times(head: softmax.Head, features: torch.Tensor, targets: torch.Tensor) -> list[float]:
    found: list[float] = []
    for turn in range(ROUNDS + 1):
        begun = time.perf_counter()
        head.loss(features, targets).backward()
        if turn:  # the first makes room for the gradients
            found.append(time.perf_counter() - begun)
        head.zero_grad(set_to_none=False)
        features.grad = None
        if len(found) >= 3 and sum(found) > MOST_S:
            break
    return found


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 where it measured all."""
    parser = argparse.ArgumentParser(prog="experiments.softmax_time", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--spawned", type=float, default=time.time())
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    machine = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    points: list[tuple[str, int, float]] = []
    for point in measure():
        points.append(point)
        tell(asked.folder, os.getpid(), asked.spawned, points, machine, done=False)
    tell(asked.folder, os.getpid(), asked.spawned, points, machine, done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
