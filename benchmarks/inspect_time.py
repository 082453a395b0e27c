"""What an inspection costs, section by section: ``python benchmarks/inspect_time.py [--large]``.

Seconds on one thread for a probe of four samples, of an untrained run. H = 64, T = 100; with ``--large`` also H = 256,
T = 1,000, which takes minutes. The last line of each table is the whole.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from diagnostics.inspection import SECTIONS  # noqa: E402
from experiments.inspection.asked import Asked  # noqa: E402
from experiments.inspection.compute import inspect  # noqa: E402
from experiments.spec import RunSpec  # noqa: E402
from experiments.train import Trainer  # noqa: E402

SIZES = ((64, 100), (256, 1000))
CELLS = ("tanh", "gru", "lstm")


def seconds(spec: RunSpec) -> dict[str, float]:
    """The time of each section, and of the whole as ``total``."""
    times: dict[str, float] = {}
    now = {"section": "", "since": time.perf_counter()}

    def progress(share: float, section: str) -> None:
        moment = time.perf_counter()
        times[str(now["section"])] = times.get(str(now["section"]), 0.0) + moment - float(now["since"])
        now.update(section=section, since=moment)

    weights = Trainer(spec).weights()
    began = time.perf_counter()
    inspect("r-0000000", spec, 0, weights, Asked(), progress)
    times["total"] = time.perf_counter() - began
    return times


def main() -> None:
    """Print a table for each size."""
    for hidden, length in SIZES if "--large" in sys.argv[1:] else SIZES[:1]:
        found = {
            cell: seconds(RunSpec.make(task="adding", gap=length, cell=cell, hidden=hidden, device="cpu"))
            for cell in CELLS
        }
        many = RunSpec.make(task="copy", gap=length - 20, cell="gru", hidden=hidden, device="cpu")
        found["gru, copy"] = seconds(many)
        print(f"H = {hidden}, T = {length}, seconds")
        print(f"{'':16}" + "".join(f"{name:>12}" for name in found))
        for section in (*SECTIONS, "total"):
            row = "".join(f"{times[section]:12.3f}" if section in times else f"{'–':>12}" for times in found.values())
            print(f"{section:16}{row}")
        print()


if __name__ == "__main__":
    main()
