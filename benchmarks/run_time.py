"""What does a training step cost, how much of it is recording, and how good is the prediction that people are shown?

``python benchmarks/run_time.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.record import profile_row
from experiments.spec import RunSpec, predict
from experiments.train import Trainer

SIZES = ((40, 64, 64), (40, 64, 128), (95, 32, 64), (195, 64, 128), (20, 8, 16))
CELLS = ("tanh", "gru", "lstm")


def milliseconds(work: Callable[[int], object], repeats: int) -> float:
    """Median processor time of a call, after a few to warm up: what else the machine does is left out."""
    spent = []
    for number in range(repeats + 3):
        began = time.process_time()
        work(number)
        spent.append(1e3 * (time.process_time() - began))
    return statistics.median(spent[3:])


def measured(spec: RunSpec, repeats: int) -> tuple[float, float]:
    """Milliseconds of a step with everything recorded, and of the recording within it."""
    trainer = Trainer(spec)
    whole = milliseconds(trainer.step, repeats)
    batch = trainer.task.batch(trainer.facts_rng, spec.batch)
    run = trainer.network(torch.from_numpy(batch.inputs), keep_input_grad=True)
    run.outputs.square().sum().backward()
    gradient = run.x.grad
    return whole, milliseconds(lambda _: profile_row(run.traces, gradient, spec.cell), repeats)


def main() -> None:
    """Print a line per size and cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    repeats = 2 if parser.parse_args().quick else 25
    torch.set_num_threads(1)
    print(f"{'cell':6}{'gap':>5}{'B':>5}{'H':>5}{'step ms':>10}{'recording':>11}{'predicted ms':>14}{'ratio':>8}")
    for gap, batch, hidden in SIZES:
        for cell in CELLS:
            spec = RunSpec.make(cell=cell, gap=gap, batch=batch, hidden=hidden, steps=1000)
            whole, recording = measured(spec, repeats)
            predicted = predict(spec).seconds  # of 1000 steps, in seconds: of one, in milliseconds
            print(
                f"{cell:6}{gap:5}{batch:5}{hidden:5}{whole:10.2f}{recording / whole:11.0%}"
                f"{predicted:14.2f}{predicted / whole:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
