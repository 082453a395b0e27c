"""What is the best use of several cores: threads within a step, or processes with one thread each?

``python benchmarks/threads.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CELLS = ("tanh", "GRU", "LSTM")
SIZES = ((200, 32, 10, 64), (100, 64, 10, 128), (400, 16, 10, 32), (1000, 32, 10, 64))  # T, B, I, H
RUNS = {
    "tanh": {"cell": "tanh"},
    "GRU": {"cell": "gru"},
    "LSTM": {"cell": "lstm"},
    "LSTM, H = 128": {"cell": "lstm", "hidden": 128, "gap": 95},
}
QUICK = ((50, 16, 10, 32),)
SLOWER_AT_MOST, POOL_AT_LEAST = 1.05, 1.0


class Child:
    """A process with a number of threads of its own: torch that changes its number starts all its threads anew."""

    def __init__(self, threads: int, *job: str) -> None:
        command = [sys.executable, __file__, "--child", str(threads), *job]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, word: object) -> None:
        """Send a line of JSON."""
        assert self._process.stdin is not None
        print(json.dumps(word), file=self._process.stdin, flush=True)

    def hear(self) -> float:
        """The child's next number. Raises ``ValueError`` where the child has died."""
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())

    def ask(self, word: object) -> float:
        """Send a line and wait for the number that answers it."""
        self.say(word)
        return self.hear()

    def end(self) -> None:
        """Let it finish."""
        self._process.communicate()


def serve_steps() -> None:
    """A child that takes a step of ours at every line, and answers with its seconds; a line [cell, size] sets it up."""
    from _layers import Case

    for line in sys.stdin:
        asked = json.loads(line)
        if asked != "step":
            case = Case(asked[0], tuple(asked[1]))
            way = case.fresh(case.recorded)
            way()
        began = time.perf_counter()
        way()
        print(time.perf_counter() - began, flush=True)


def serve_run(net: str) -> None:
    """A child that trains for the seconds that a line says, and answers with its steps a second."""
    sys.path.insert(0, str(ROOT))
    from experiments.spec import RunSpec
    from experiments.train import Trainer

    trainer = Trainer(RunSpec.make(steps=1000, device="cpu", **RUNS[net]))
    trainer.step(0)
    print(0, flush=True)
    for line in sys.stdin:
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + json.loads(line):
            trainer.step(1 + done % 900)
            done += 1
        print(done / (time.perf_counter() - began), flush=True)


def compare_steps(cells: Sequence[str], sizes: Sequence[tuple[int, ...]], repeats: int) -> None:
    """One step of ours with one thread and with all, in turn."""
    print(f"median ms of {repeats} steps of ours, everything recorded")
    print(f"{'cell':6}{'T, B, I, H':>18}{'1 thread':>12}{f'{CORES} threads':>12}   ratio")
    few, many = (Child(threads, "steps") for threads in (1, CORES))
    for cell in cells:
        for size in sizes:
            for child in (few, many):
                child.ask([cell, size])
            pairs = [(few.ask("step"), many.ask("step")) for _ in range(repeats)]
            one, all_of_them = (1e3 * statistics.median(taken) for taken in zip(*pairs, strict=True))
            ratio = all_of_them / one
            print(f"{cell:6}{', '.join(map(str, size)):>18}{one:12.2f}{all_of_them:12.2f}{ratio:8.2f}", end="")
            print(f" ≤ {SLOWER_AT_MOST} {'✓' if ratio <= SLOWER_AT_MOST else '✗'}", flush=True)
    for child in (few, many):
        child.end()


def rate(net: str, processes: int, threads: int, seconds: float) -> float:
    """Training steps a second of all ``processes`` together; nobody begins before everybody has warmed up."""
    children = [Child(threads, "run", net) for _ in range(processes)]
    for child in children:
        child.hear()
    for child in children:
        child.say(seconds)
    total = sum(child.hear() for child in children)
    for child in children:
        child.end()
    return total


def compare_runs(nets: Sequence[str], seconds: float) -> None:
    """The pool's way, a process per core with one thread each, beside one process."""
    ways = {"1 process": (1, 1), f"1 × {CORES} threads": (1, CORES), f"{CORES} processes": (CORES, 1)}
    print("\ntraining steps a second, all processes together, everything recorded")
    print(f"{'net':16}" + "".join(f"{way:>15}" for way in ways) + "   processes ÷ threads")
    for net in nets:
        alone, threaded, together = (rate(net, *way, seconds) for way in ways.values())
        ratio = together / threaded
        print(f"{net:16}{alone:15.1f}{threaded:15.1f}{together:15.1f}{ratio:12.2f}", end="")
        print(f" ≥ {POOL_AT_LEAST} {'✓' if ratio >= POOL_AT_LEAST else '✗'}", flush=True)


def main() -> None:
    """Measure and print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one net for a moment: does it run at all")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import torch

        threads, job, *net = options.child
        torch.set_num_threads(int(threads))
        serve_steps() if job == "steps" else serve_run(*net)
        return
    quick = options.quick
    compare_steps(CELLS[:1] if quick else CELLS, QUICK if quick else SIZES, 3 if quick else 15)
    compare_runs(list(RUNS)[: 1 if quick else None], 0.2 if quick else 4.0)


if __name__ == "__main__":
    main()
