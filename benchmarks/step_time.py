"""What does recording the gradient at every timestep cost? Forward and backward of recurrent layers, several ways.

``python benchmarks/step_time.py [--quick] [--repeats N]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence

import torch
from _layers import Case, Size, Way, medians

from diagnostics.recurrence import paths

SIZES: Sequence[Size] = ((200, 32, 10, 64), (100, 64, 10, 128), (400, 16, 10, 32), (1000, 32, 10, 64))
QUICK: Sequence[Size] = ((50, 16, 10, 32),)
OF_TORCH_NN = {"tanh": 0.4, "ReLU": 0.4, "GRU": 0.4, "LSTM": 1.0}
OF_PRODUCTS, OF_RETAIN_GRAD = 1.3, 0.25
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "2 layers": {"layers": 2},
    "both directions": {"bidirectional": True},
    "lengths": {"lengths": True},
    "2 layers, both, lengths": {"layers": 2, "bidirectional": True, "lengths": True},
}


class Limits:
    """Prints ratios beside their limits, and remembers how many are missed."""

    def __init__(self) -> None:
        self.missed = self.below_floor = 0

    def cell(self, ratio: float, limit: float, floor: float = 0.0) -> str:
        """``ratio`` ≤ ``limit``? Where even ``floor``, the products' ratio, is above the limit, that is said."""
        mark = "✓" if ratio <= limit else "▽" if floor > limit else "✗"
        self.missed += mark == "✗"
        self.below_floor += mark == "▽"
        return f"{ratio:8.2f} ≤ {limit:.2f} {mark}"

    def summary(self) -> str:
        """One sentence."""
        missed = f"{self.missed} limits are missed (✗)" if self.missed else "no limit is missed"
        floor = f", but {self.below_floor} that are shorter than the products alone (▽)" if self.below_floor else ""
        return missed + floor


def compare(cells: Sequence[str], sizes: Sequence[Size], repeats: int, limits: Limits) -> None:
    """One layer: a row per cell and size, with all the limits."""
    names = ("torch.nn", "retain_grad", "products", "bare", "ours")
    print(f"{'cell':5}{'T, B, I, H':>18}" + "".join(f"{name:>12}" for name in names), end="")
    print("".join(f"{f'÷ {name}':>17}" for name in names[:3]) + f"{'bare ÷ products':>17}   GFlop/s: products, ours")
    for cell in cells:
        for size in sizes:
            case = Case(cell, size)
            ways: dict[str, Way] = {
                "torch.nn": case.fresh(case.torch_nn),
                "retain_grad": case.fresh(case.retain_grad()),
                "products": case.products(),
                "bare": case.fresh(case.ours),
                "ours": case.fresh(case.recorded),
            }
            ms = medians(ways, repeats)
            print(f"{cell:5}{', '.join(map(str, size)):>18}" + "".join(f"{ms[name]:12.2f}" for name in names), end="")
            floor = ms["products"]
            for other, limit in zip(names, (OF_TORCH_NN[cell], OF_RETAIN_GRAD, OF_PRODUCTS), strict=False):
                print(limits.cell(ms["ours"] / ms[other], limit, floor / ms[other]), end="")
            print(f"{ms['bare'] / floor:17.2f}", end="")
            print("".join(f"{case.flops() / ms[name] / 1e6:13.0f}" for name in ("products", "ours")), flush=True)


def compare_variants(size: Size, repeats: int, limits: Limits) -> None:
    """Everything else that the same loops serve, against torch.nn alone."""
    rows: list[tuple[str, str, Mapping[str, object], float]] = [
        (cell, f"{cell}, against torch's tanh", {}, OF_TORCH_NN["tanh"]) for cell in ("sigmoid", "identity")
    ]
    for cell in ("tanh", "GRU", "LSTM"):
        rows += [(cell, f"{cell}, {name}", options, OF_TORCH_NN[cell]) for name, options in VARIANTS.items()]
    print(f"\n{', '.join(map(str, size))}{'':26}{'torch.nn':>12}{'bare':>12}{'ours':>12}{'÷ torch.nn':>17}")
    for cell, title, options, limit in rows:
        case = Case(cell, size, **options)  # type: ignore[arg-type]
        ways = {"torch.nn": case.torch_nn, "bare": case.ours, "ours": case.recorded}
        ms = medians({name: case.fresh(way) for name, way in ways.items()}, repeats)
        print(f"{title:43}" + "".join(f"{ms[name]:12.2f}" for name in ways), end="")
        print(limits.cell(ms["ours"] / ms["torch.nn"], limit), flush=True)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small size and few repeats: does it run at all")
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="runs per way (default 15, quick 2)")
    parser.add_argument("--cell", choices=OF_TORCH_NN, nargs="+", default=list(OF_TORCH_NN), help="default all")
    parser.add_argument("--path", choices=("plain", "fused"), help="the loops of ours (default: what serves here)")
    options = parser.parse_args()
    repeats = options.repeats or (2 if options.quick else 15)
    sizes, limits = QUICK if options.quick else SIZES, Limits()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with paths.use(options.path) if options.path else contextlib.nullcontext():
        served = "plain" if options.path == "plain" else paths.described()
        print(f"forward + backward, float32, torch {torch.__version__}, ours {served}, median ms of {repeats}")
        compare(options.cell, sizes, repeats, limits)
        compare_variants(sizes[0], repeats, limits)
    print(limits.summary())


if __name__ == "__main__":
    main()
