"""What is the best use of the cores: several processes that train with one thread each, or one with several threads?

``python benchmarks/throughput.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPECS = {
    "tanh": {"cell": "tanh"},
    "GRU": {"cell": "gru"},
    "LSTM": {"cell": "lstm"},
    "LSTM, H = 128": {"cell": "lstm", "hidden": 128, "gap": 95},
}
LIMIT = 1.0
"""What the worker pool does must not be beaten by threads."""


def rate(spec: str, processes: int, threads: int, seconds: float) -> float:
    """Training steps a second of all ``processes`` together, each of them recording as a run does."""
    arguments = [sys.executable, __file__, "--one", spec, str(threads), str(seconds)]
    started = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(processes)]
    for process in started:  # nobody begins before everybody has loaded and warmed up
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in started)


def train(spec: str, threads: int, seconds: float) -> None:
    """One process: say that it is ready, wait, train, and say how many steps a second that was."""
    sys.path.insert(0, str(ROOT))
    import torch

    from experiments.spec import RunSpec
    from experiments.train import Trainer

    torch.set_num_threads(threads)
    trainer = Trainer(RunSpec.make(steps=1000, **SPECS[spec]))
    for step in range(5):
        trainer.step(step)
    print("ready", flush=True)
    sys.stdin.readline()
    done, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        trainer.step(done % 1000)
        done += 1
    print(done / (time.perf_counter() - began))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one net for half a second: does it run at all")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        spec, threads, seconds = options.one
        train(spec, int(threads), float(seconds))
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ways = {"1 process": (1, 1), f"1 × {cores} threads": (1, cores), f"{cores} processes": (cores, 1)}
    print("training steps a second, all processes together, everything recorded")
    print(f"{'net':16}" + "".join(f"{way:>16}" for way in ways) + "   processes ÷ threads")
    for spec in ("tanh",) if options.quick else SPECS:
        alone, threaded, together = (rate(spec, *way, 0.3 if options.quick else 4.0) for way in ways.values())
        ratio = together / threaded
        print(f"{spec:16}{alone:16.0f}{threaded:16.0f}{together:16.0f}", end="")
        print(f"{ratio:12.2f} ≥ {LIMIT} {'✓' if ratio >= LIMIT else '✗'}", flush=True)


if __name__ == "__main__":
    main()
