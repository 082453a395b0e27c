"""What an inspection costs, section by section, beside what was predicted.

Processor seconds on one thread, for a probe of four samples of an untrained run: H = 64, T = 100; with ``--large`` also
H = 256, T = 1,000, which takes some twenty minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from diagnostics.inspection import SECTIONS
from experiments.inspection.asked import Asked
from experiments.inspection.compute import inspect
from experiments.inspection.cost import predict
from experiments.spec import RunSpec
from experiments.train import Trainer

COLUMNS = (("tanh", "adding"), ("gru", "adding"), ("lstm", "adding"), ("gru", "copy"))
"""Cells, each with a task: adding answers once, copy at every step."""


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.add_argument("--large", action="store_true", help="also H = 256, T = 1,000")
    parser.add_argument("--cell", nargs="+", choices=("tanh", "gru", "lstm"), help="only these")
    asked = parser.parse_args()
    sizes = ((8, 30),) if asked.quick else ((64, 100), (256, 1000))[: 1 + asked.large]
    columns = [(cell, task) for cell, task in COLUMNS if not asked.cell or cell in asked.cell]
    for hidden, length in sizes:
        print(f"H = {hidden}, T = {length}, seconds")
        specs = [_spec(cell, task, hidden, length) for cell, task in columns]
        found = [seconds(spec) for spec in specs]
        expected = [predict(spec, Asked()) for spec in specs]
        print(f"{'':16}" + "".join(f"{f'{cell}, {task}':>14}" for cell, task in columns))
        for section in SECTIONS:
            print(f"{section:16}" + "".join(f"{times[section]:14.3f}" for times in found))
        print(f"{'all':16}" + "".join(f"{sum(times.values()):14.3f}" for times in found))
        print(f"{'predicted':16}" + "".join(f"{cost.seconds:14.3f}" for cost in expected), flush=True)


def seconds(spec: RunSpec) -> dict[str, float]:
    """The time of each section; the first has the making of the network and the forward pass."""
    times: dict[str, float] = {}
    current, since_s = "", time.process_time()

    def progress(share: float, section: str) -> None:
        nonlocal current, since_s
        now_s = time.process_time()
        times[current] = times.get(current, 0.0) + now_s - since_s
        current, since_s = section, now_s

    inspect("r-0000000", spec, 0, Trainer(spec).weights(), Asked(), progress)
    return {section: times.get(section, 0.0) for section in SECTIONS}


def _spec(cell: str, task: str, hidden: int, length: int) -> RunSpec:
    gap = length - 20 if task == "copy" else length
    return RunSpec.make(task=task, gap=gap, cell=cell, hidden=hidden, device="cpu")


if __name__ == "__main__":
    main()
