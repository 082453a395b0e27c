"""What does a training step cost, how much of it is recording, is the prediction any good, where does a run's time go?

``python benchmarks/run_time.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import experiments.train
from diagnostics.recurrence import paths
from diagnostics.store import Store
from experiments.spec import RunSpec, predict
from experiments.training import train_json
from experiments.worker import StoreRecorder, train_one
from tasks.base import Task

SIZES = ((40, 64, 64), (40, 64, 128), (95, 32, 64), (195, 64, 128), (20, 8, 16))
CELLS = ("tanh", "relu", "gru", "lstm")
RECORDING_AT_MOST = 0.10
TRAINING_AT_LEAST = 0.60
"""Of a run at the defaults. The rest is what a run is for besides: fresh batches, records, and 25 measurements on 512
samples each, which are four forward passes for every ten of training."""
WALL_AT_MOST = 1.5
"""The whole command, from a shell to its exit, over the run itself and a bare ``import torch``."""

PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "step": ((experiments.train.Trainer, "step"),),
    "batches": ((Task, "batch"),),
    "profiles": ((experiments.train, "profile_row"), (experiments.train, "answer_row")),
    "handing over": ((experiments.train.Rows, "flush"), (StoreRecorder, "stop_requested")),
    "measuring": ((experiments.train.Trainer, "measure"),),
}


@contextmanager
def watched(clock: Callable[[], float]) -> Iterator[dict[str, list[float]]]:
    """How long every call of each of ``PARTS`` takes within the block."""
    spent: dict[str, list[float]] = defaultdict(list)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            began = clock()
            try:
                return function(*arguments, **keywords)
            finally:
                spent[part].append(clock() - began)

        return call

    plain = [(part, owner, name, getattr(owner, name)) for part, members in PARTS.items() for owner, name in members]
    for part, owner, name, function in plain:
        setattr(owner, name, timed(part, function))
    try:
        yield spent
    finally:
        for _, owner, name, function in plain:
            setattr(owner, name, function)


def mark(good: bool) -> str:
    """Whether a limit is kept."""
    return "✓" if good else "✗"


def steps(repeats: int) -> None:
    """A line per size and cell: medians of processor time, so that what else the machine does is left out."""
    print(
        f"{'cell':6}{'gap':>5}{'B':>5}{'H':>5}{'step ms':>10}{'recording':>11}{'≤ 10 %':>8}"
        f"{'predicted ms':>14}{'ratio':>8}"
    )
    for size, cell in itertools.product(SIZES, CELLS):
        gap, batch, hidden = size
        spec = RunSpec.make(cell=cell, gap=gap, batch=batch, hidden=hidden, steps=1000)
        trainer = experiments.train.Trainer(spec)
        for number in range(3):
            trainer.step(number)
        with watched(time.process_time) as spent:
            for number in range(repeats):
                trainer.step(number)
        step, recording = (1e3 * statistics.median(spent[part]) for part in ("step", "profiles"))
        # Of 1000 steps more in s, which is that of one in ms; both measure on the held-out set 25 times.
        predicted = predict(spec.changed(steps=2000)).seconds - predict(spec).seconds
        share = recording / step
        kept = mark(share <= RECORDING_AT_MOST) if size == SIZES[0] else ""  # the defaults
        print(
            f"{cell:6}{gap:5}{batch:5}{hidden:5}{step:10.2f}{share:11.1%}{kept:>8}"
            f"{predicted:14.2f}{predicted / step:8.2f} {mark(0.5 <= predicted / step <= 2)}",
            flush=True,
        )


def run(spec: RunSpec, folder: Path) -> dict[str, float]:
    """Seconds of a run in a warm worker, and of its parts; ``training`` is forward, backward, clipping and update."""
    store = Store.open(folder)
    store.create([spec.to_json()], [spec.label()], "benchmark")
    writer = store.claim()
    assert writer is not None
    with watched(time.perf_counter) as spent:
        began = time.perf_counter()
        train_one(writer, train_json)
        whole = time.perf_counter() - began
    parts = {part: sum(spent[part]) for part in PARTS}
    training = parts.pop("step") - parts["batches"] - parts["profiles"]
    return {"whole": whole, "training": training, **parts, "rest": whole - training - sum(parts.values())}


def command(*arguments: str) -> float:
    """Seconds from the start of a Python process to its exit."""
    began = time.perf_counter()
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, *arguments], cwd=root, check=True, capture_output=True, env={**os.environ})
    return time.perf_counter() - began


def runs(cells: Sequence[str], folder: Path, changes: Mapping[str, Any], repeats: int) -> None:
    """A line per cell on where a run's time goes, then the command line as a whole."""
    import_torch = min(command("-c", "import torch") for _ in range(max(1, repeats // 2)))
    names = ("training", "batches", "profiles", "handing over", "measuring", "rest")
    print(f"\n{'cell':6}{'run s':>8}" + "".join(f"{name:>14}" for name in names), end="")
    print(f"{'training ≥ 60 %':>17}{'records ≤ 10 %':>16}{'command s':>11}{'÷ (run + torch) ≤ 1.5':>23}")
    flags = [word for name, value in changes.items() for word in (f"--{name}", str(value))]
    for cell in cells:
        spec = RunSpec.make(cell=cell, **changes)
        found = [run(spec, folder / f"{cell}{number}") for number in range(repeats)]
        best = min(found, key=lambda parts: parts["whole"])
        shares = {name: best[name] / best["whole"] for name in names}
        walls = []
        for number in range(repeats):
            store = str(folder / f"{cell}-command{number}")
            walls.append(command("-m", "experiments", "run", "--cell", cell, *flags, "--store", store))
        ratio = min(walls) / (best["whole"] + import_torch)
        print(f"{cell:6}{best['whole']:8.2f}" + "".join(f"{shares[name]:14.1%}" for name in names), end="")
        # Of what is done step by step: profiles, and their way into the store with the signs of life.
        records = shares["profiles"] + shares["handing over"]
        records /= 1 - shares["measuring"] - shares["rest"]
        print(f"{mark(shares['training'] >= TRAINING_AT_LEAST):>17}", end="")
        print(f"{records:14.1%} {mark(records <= RECORDING_AT_MOST)}{min(walls):11.2f}", end="")
        print(f"{ratio:21.2f} {mark(ratio <= WALL_AT_MOST)}", flush=True)
    print(f"import torch alone: {import_torch:.2f} s")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(f"the recurrences are {paths.described()}")
    steps(2 if quick else 40)
    with tempfile.TemporaryDirectory() as folder:
        runs(CELLS[:1] if quick else CELLS, Path(folder), {"steps": 5} if quick else {}, 1 if quick else 3)


if __name__ == "__main__":
    main()
