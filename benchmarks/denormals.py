"""Does a vanishing gradient slow a step down? Numbers below 1.2e-38 (denormals) can cost a processor many times more.

``python benchmarks/denormals.py [--quick]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import torch
from _layers import Case, medians

SIZE, QUICK = (501, 32, 10, 64), (101, 8, 10, 16)  # a gap of 500
LIMIT = 1.2
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny


class Situation(NamedTuple):
    """Two nets of the same work: ``at_last`` is the gradient that arrives at the last timestep, at every one if None.

    ``keep`` makes the recurrent weights this factor times an orthogonal matrix; None leaves torch's initial ones.
    """

    title: str
    cell: str
    keep: float | None
    at_last: float


SITUATIONS: Sequence[Situation] = (
    Situation("vanishes: torch's start", "sigmoid", None, 1.0),
    Situation("vanishes: torch's start", "tanh", None, 1.0),
    Situation("vanishes: torch's start", "GRU", None, 1.0),
    Situation("vanishes: torch's start", "LSTM", None, 1.0),
    Situation("vanishes by 0.8 a step", "identity", 0.8, 1.0),
    Situation("denormal at every step", "identity", 1.0, 1e-40),
    Situation("denormal at every step", "tanh", 1.0, 1e-40),
)


def case_of(situation: Situation, size: tuple[int, int, int, int], *, ill: bool) -> Case:
    """The net of a situation, or its healthy twin: same weights and inputs, a gradient of 1 at every timestep."""
    torch.manual_seed(0)
    case = Case(situation.cell, size)
    weight = case.layer.weight_hh_l0
    if situation.keep is not None:
        torch.nn.init.orthogonal_(weight, situation.keep)
        with torch.no_grad():  # tanh stays in its linear middle, so that nothing but the weights shrinks the gradient
            case.x.mul_(1e-3)
            for bias in (case.layer.bias_ih_l0, case.layer.bias_hh_l0):
                bias.zero_()
    if ill:
        case.arriving[:-1] = 0.0
        case.arriving[-1] *= situation.at_last
    return case


def shares(values: torch.Tensor) -> str:
    """How much of ``values`` is denormal, and how much is zero."""
    size = values.abs()
    denormal = ((size > 0) & (size < SMALLEST_NORMAL)).float().mean()
    return f"{float(denormal):9.0%}{float((size == 0).float().mean()):7.0%}"


def forward_case(cell: str, size: tuple[int, int, int, int], *, ill: bool) -> Case:
    """A net that reads one input and carries its first state on: denormal, or of ordinary size."""
    case = case_of(Situation("", cell, 1.0, 1.0), size, ill=False)
    with torch.no_grad():
        case.x.zero_()
        case.x[0] = 1e-40 if ill else 1.0
    return case


def row(title: str, cell: str, well: Case, ill: Case, repeats: int, *, of_states: bool = False) -> bool:
    """Measure and print a pair; returns whether the limit holds."""
    trace = ill.ours()[0]
    ways = {"well": well.recorded, "ill": ill.recorded, "torch well": well.torch_nn, "torch ill": ill.torch_nn}
    cases = {"well": well, "ill": ill, "torch well": well, "torch ill": ill}
    ms = medians({name: cases[name].fresh(way) for name, way in ways.items()}, repeats)
    ratio = ms["ill"] / ms["well"]
    print(f"{title:26}{cell:9}{shares(trace.h if of_states else trace.grad_h)}", end="")
    print(f"{ms['well']:10.2f}{ms['ill']:9.2f}{ratio:8.2f} ≤ {LIMIT} {'✓' if ratio <= LIMIT else '✗'}", end="")
    print(f"{ms['torch ill'] / ms['torch well']:12.2f}", flush=True)
    return ratio <= LIMIT


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small size and few repeats: does it run at all")
    quick = parser.parse_args().quick
    size, repeats = (QUICK, 2) if quick else (SIZE, 21)
    torch.set_num_threads(1)
    print(f"a step of ours, T, B, I, H = {', '.join(map(str, size))}, median ms of {repeats}")
    print(f"{'gradient':26}{'cell':9}{'denormal':>9}{'zero':>7}{'healthy':>10}{'ill':>9}   ratio{'torch.nn':>18}")
    held = []
    for situation in SITUATIONS:
        well, ill = (case_of(situation, size, ill=ill) for ill in (False, True))
        held.append(row(situation.title, situation.cell, well, ill, repeats))
    for cell in ("identity", "tanh"):
        well, ill = (forward_case(cell, size, ill=ill) for ill in (False, True))
        held.append(row("states denormal", cell, well, ill, repeats, of_states=True))
    print("no cliff" if all(held) else f"{held.count(False)} limits are missed (✗)")


if __name__ == "__main__":
    main()
