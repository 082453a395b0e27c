"""How much memory does a training step take at its peak, and does its time grow linearly with the timesteps?

``python benchmarks/memory.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from experiments.launch import KEEPS_MEMORY

CELLS = ("tanh", "GRU", "LSTM")
LONG, BATCH, INPUTS, HIDDEN = 10_000, 8, 10, (32, 64)
LENGTHS = (1_000, 10_000, 100_000)
PEAK_LIMIT, SLOPE_LIMIT = 1.2, 1.05
IN_MEGABYTES = 1e-6 if sys.platform == "darwin" else 1024e-6
"""``ru_maxrss`` is in bytes there, in kibibytes elsewhere."""


def in_a_process(job: str, *arguments: Any, environment: Mapping[str, str] | None = None) -> Any:
    """What the function ``job`` returns in a process of its own: what one way has allocated is no gift to the next.

    This process must not have torch: a child's peak starts at what its parent had in memory.
    """
    command = [sys.executable, __file__, "--child", json.dumps([job, *arguments])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})})
    return json.loads(done.stdout)


def peak(cell: str, way: str, size: tuple[int, int, int, int]) -> float:
    """Megabytes by which a step raises the peak of this process, on top of what one short step has needed."""
    from _layers import Case

    for T in (4, size[0]):
        case = Case(cell, (T, *size[1:]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        case.fresh(getattr(case, way))()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * IN_MEGABYTES


def seconds(cell: str, way: str, lengths: Sequence[int]) -> list[tuple[float, float]]:
    """Processor time of the fastest of a few steps, and what of it is not the system's (which hands out memory)."""
    from _layers import Case

    fastest = []
    for T in lengths:
        case = Case(cell, (T, BATCH, INPUTS, HIDDEN[0]))
        step, taken = case.fresh(getattr(case, way)), []
        for _ in range(2 + 10_000 // T):
            before = resource.getrusage(resource.RUSAGE_SELF)
            step()
            after = resource.getrusage(resource.RUSAGE_SELF)
            own, of_system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
            taken.append((own + of_system, own))
        fastest.append(min(taken))
    return fastest


def slope(lengths: list[int], taken: Sequence[float]) -> float:
    """The exponent k of time ∝ T^k, by least squares in logarithms."""
    # The system tells its own time from ours by the tick it was met in, and a short step may be met in none.
    seen = [max(s, 1e-6) for s in taken]
    fitted = statistics.linear_regression([math.log(T) for T in lengths], [math.log(s) for s in seen])
    return fitted.slope


def main() -> None:
    """Measure and print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one cell and short sequences: does it run at all")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import torch

        torch.set_num_threads(1)
        job, *arguments = json.loads(options.child)
        print(json.dumps({"peak": peak, "seconds": seconds}[job](*arguments)))
        return
    cells, T = (CELLS[:1], 500) if options.quick else (CELLS, LONG)
    print(f"peak of a step above what came before, B = {BATCH}, I = {INPUTS}, T = {T:,}, megabytes")
    print(f"{'cell':6}{'H':>5}{'torch.nn':>10}{'ours':>8}   ratio")
    for cell in cells:
        for H in HIDDEN[: 1 if options.quick else None]:
            theirs, ours = (in_a_process("peak", cell, way, (T, BATCH, INPUTS, H)) for way in ("torch_nn", "recorded"))
            ratio = ours / theirs if theirs else math.nan
            mark = "✓" if ratio <= PEAK_LIMIT else "✗"
            print(f"{cell:6}{H:5}{theirs:10.1f}{ours:8.1f}{ratio:8.2f} ≤ {PEAK_LIMIT} {mark}", flush=True)
    lengths = [100, 300] if options.quick else list(LENGTHS)
    print(f"\nmilliseconds of a step by T, B = {BATCH}, H = {HIDDEN[0]}")
    print(f"{'cell':6}{'':10}" + "".join(f"{T:>10,}" for T in lengths) + "   slope: whole   without the system")
    for cell in cells:
        ways = ("torch.nn", "torch_nn", {}), ("ours", "recorded", {}), ("in worker", "recorded", KEEPS_MEMORY)
        for name, way, environment in ways:
            whole, without = zip(*in_a_process("seconds", cell, way, lengths, environment=environment), strict=True)
            k = slope(lengths, whole)
            limit = f" ≤ {SLOPE_LIMIT} {'✓' if k <= SLOPE_LIMIT else '✗'}" if name == "in worker" else ""
            print(f"{cell:6}{name:10}" + "".join(f"{1e3 * s:10.1f}" for s in whole), end="")
            print(f"{k:9.2f}{limit:9}{slope(lengths, without):10.2f}", flush=True)


if __name__ == "__main__":
    main()
