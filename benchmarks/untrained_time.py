"""What a move of a slider under Inspect, Before training, costs the page: the profiles, and the figure of them.

Processor time on one thread at H = 64, T = 100, every cell beginning with chrono's bias where it has gates. What the
browser does comes on top.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from diagnostics.charts import untrained as chart
from diagnostics.measures.untrained import Way, untrained
from models.cells import CELLS

PANELS: dict[str, tuple[str, ...]] = {cell: (cell,) for cell in CELLS} | {
    "as it opens": ("tanh", "relu", "gru", "lstm"),
    "all cells": tuple(CELLS),
}


def main() -> None:
    """Print a line per panel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    rounds = 1 if parser.parse_args().quick else 15
    print(f"{'milliseconds':16}{'profiles':>10}{'figure':>10}{'both':>10}")
    for name, cells in PANELS.items():
        profiles, figure = once(cells, rounds)
        print(f"{name:16}{profiles:10.1f}{figure:10.1f}{profiles + figure:10.1f}")


def once(cells: Sequence[str], rounds: int) -> tuple[float, float]:
    """Medians of the time of the profiles and of the figure."""
    times = []
    for turn in range(rounds + 1):
        began_s = time.process_time()
        named = [(cell, untrained(Way(cell, f"scaled:{1 + turn / 10}", "chrono"), 64, 100)) for cell in cells]
        between_s = time.process_time()
        chart.draw(chart.prepare(named, 64)).to_json()
        times.append((between_s - began_s, time.process_time() - between_s))
    profiles, figures = zip(*times[1:], strict=True)  # the first pays for what is loaded once
    return 1e3 * statistics.median(profiles), 1e3 * statistics.median(figures)


if __name__ == "__main__":
    main()
