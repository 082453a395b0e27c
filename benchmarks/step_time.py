"""What does recording the gradient at every timestep cost? Forward and backward of one layer, four ways.

``python benchmarks/step_time.py [--quick] [--repeats N]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from diagnostics.recurrence import gru, lstm, rnn

SIZES = ((200, 32, 10, 64), (100, 64, 10, 128), (400, 16, 10, 32), (1000, 32, 10, 64))  # T, B, I, H
QUICK = ((50, 32, 10, 64), (50, 16, 10, 32))
WAYS = ("torch.nn", "retain_grad", "ours", "products")


class Cell(NamedTuple):
    """A cell in its three torch forms, and what is expected of ours: at most ``limit`` × torch.nn."""

    layer: type[nn.RNN | nn.GRU | nn.LSTM]
    step: type[nn.RNNCell | nn.GRUCell | nn.LSTMCell]
    ours: Callable[..., Any]
    gates: int
    limit: float


CELLS: Mapping[str, Cell] = {
    "tanh": Cell(nn.RNN, nn.RNNCell, rnn, 1, 1.0),
    "GRU": Cell(nn.GRU, nn.GRUCell, gru, 3, 1.0),
    "LSTM": Cell(nn.LSTM, nn.LSTMCell, lstm, 4, 3.0),
}
FASTER_THAN_RETAIN_GRAD = 1.5


def steps(cell: Cell, size: tuple[int, int, int, int]) -> dict[str, Callable[[], None]]:
    """One training step's forward and backward, per way, on the same weights, inputs and arriving gradients."""
    T, B, inputs, H = size
    layer = cell.layer(inputs, H)
    one = cell.step(inputs, H)
    weights = list(layer.parameters())
    x, arriving = torch.randn(T, B, inputs, requires_grad=True), torch.randn(T, B, H)

    def uninstrumented() -> None:
        layer(x)[0].backward(arriving)

    def retain_grad() -> None:
        state, outputs, kept = None, [], []
        for x_t in x.unbind(0):
            state = one(x_t, state)
            for part in state if isinstance(state, tuple) else (state,):
                part.retain_grad()
                kept.append(part)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        torch.stack(outputs).backward(arriving)
        assert all(part.grad is not None for part in kept[:-1])

    def ours() -> None:
        output, *_, trace = cell.ours(x, None, *weights)
        output.backward(arriving)
        assert trace.grad_h.shape == arriving.shape

    def clear(way: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            for leaf in (x, *layer.parameters(), *one.parameters()):
                leaf.grad = None
            way()

        return run

    products = matrix_products(T, B, inputs, H, cell.gates * H)
    return {
        "torch.nn": clear(uninstrumented),
        "retain_grad": clear(retain_grad),
        "ours": clear(ours),
        "products": products,
    }


def matrix_products(T: int, B: int, inputs: int, H: int, K: int) -> Callable[[], None]:
    """The products that any implementation has to do, with nothing between them; K is G·H."""
    x, h, delta = torch.randn(T, B, inputs), torch.randn(T, B, H), torch.randn(T, B, K)
    w_ih, w_hh = torch.randn(K, inputs), torch.randn(K, H)
    a, g = torch.empty(T, B, K), torch.empty(T, B, H)

    def run() -> None:
        torch.mm(x.view(-1, inputs), w_ih.t(), out=a.view(-1, K))
        w_hh_t = w_hh.t().contiguous()
        for a_t, h_t in zip(a.unbind(0), h.unbind(0), strict=True):
            a_t.addmm_(h_t, w_hh_t)
        for g_t, delta_t in zip(g.unbind(0), delta.unbind(0), strict=True):
            g_t.addmm_(delta_t, w_hh)
        x.view(-1, inputs).t() @ delta.view(-1, K)  # a product with few columns is slow, one with few rows is not
        w_ih.t() @ delta.view(-1, K).t()
        delta.view(-1, K).t() @ h.view(-1, H)

    return run


def medians(ways: Mapping[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median milliseconds per way. The ways alternate, so that what else the machine does meets them alike."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(2):
        for way in ways.values():
            way()
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, way in ways.items():
                begin = time.perf_counter()
                way()
                taken[name].append((time.perf_counter() - begin) * 1e3)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sizes and few repeats: does it run at all")
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="runs per way (default 15, quick 3)")
    parser.add_argument("--cell", choices=CELLS, nargs="+", default=list(CELLS), help="which cells (default all)")
    options = parser.parse_args()
    repeats = options.repeats or (3 if options.quick else 15)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"forward + backward of one layer, one thread, float32, torch {torch.__version__}; median ms of {repeats}")
    print(f"{'cell':5} {'T, B, I, H':>17} " + " ".join(f"{way:>11}" for way in WAYS), end="")
    print("   ours/torch.nn (limit)  retain_grad/ours (limit)  ours/products")
    missed = 0
    for name in options.cell:
        for size in QUICK if options.quick else SIZES:
            ms = medians(steps(CELLS[name], size), repeats)
            slower, faster = ms["ours"] / ms["torch.nn"], ms["retain_grad"] / ms["ours"]
            holds = slower <= CELLS[name].limit, faster >= FASTER_THAN_RETAIN_GRAD
            missed += holds.count(False)
            print(f"{name:5} {', '.join(map(str, size)):>17} " + " ".join(f"{ms[way]:11.1f}" for way in WAYS), end="")
            print(f"   {slower:8.2f} (≤ {CELLS[name].limit:.1f}) {'✓' if holds[0] else '✗'}      ", end="")
            print(f"{faster:8.1f} (≥ {FASTER_THAN_RETAIN_GRAD}) {'✓' if holds[1] else '✗'}          ", end="")
            print(f"{ms['ours'] / ms['products']:6.2f}", flush=True)
    print("every limit holds" if not missed else f"{missed} limits are missed (✗)")


if __name__ == "__main__":
    main()
