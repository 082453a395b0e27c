"""What does watching a training loop cost? Whole training steps of an ``nn.LSTM``, alone and watched, several ways.

``python benchmarks/watch_time.py [--quick] [--repeats N]``; benchmarks/README.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from _layers import Size, Way, medians
from step_time import QUICK, SIZES, Limits
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from diagnostics import watch
from diagnostics.recurrence import paths

STEPS = 10
"""Of a block: what is timed is one in which ``every=10`` records once."""
LIMITS = {"every=10": 1.1, "every=1": 1.5}
ANSWERS = ("the last step", "every step")


class Training:
    """An ``nn.LSTM`` in training: mean squared error at its last timestep, or at every one."""

    def __init__(self, size: Size, answers: str, layer: nn.LSTM, x: Tensor, y: Tensor) -> None:
        self.layer, self.x, self.y, self.last = copy.deepcopy(layer), x, y, answers == ANSWERS[0]
        self.optimizer = torch.optim.SGD(self.layer.parameters(), lr=1e-3)

    def backward(self) -> Tensor:
        """Up to the gradient."""
        self.optimizer.zero_grad()
        output, _ = self.layer(self.x)
        loss = mse_loss(output[-1], self.y[-1]) if self.last else mse_loss(output, self.y)
        loss.backward()
        return loss

    def alone(self) -> None:
        """A step that nobody watches."""
        self.backward()
        self.optimizer.step()


def block(step: Callable[[], object]) -> Way:
    """Ten steps in a row."""

    def run() -> None:
        for _ in range(STEPS):
            step()

    return run


def ways(stack: ExitStack, size: Size, answers: str) -> Iterator[tuple[str, Way]]:
    """Blocks of steps, each on a model of its own; what they need is given back as ``stack`` closes."""
    T, B, inputs, H = size
    layer, x, y = nn.LSTM(inputs, H), torch.randn(T, B, inputs), torch.randn(T, B, H)
    yield "alone", block(Training(size, answers, layer, x, y).alone)
    for every in (10, 1):
        one = Training(size, answers, layer, x, y)
        watched = stack.enter_context(watch(one.layer, every=every, store=False))
        yield f"every={every}", block(lambda one=one, watched=watched: watched.step(one.optimizer, loss=one.backward()))
    if find_spec("wandb") is not None:
        run = stack.enter_context(wandb_run())
        for frequency in (10, 1):
            one = Training(size, answers, layer, x, y)
            run.watch(one.layer, log="all", log_freq=frequency)

            def logged(one: Training = one) -> None:
                loss = one.backward()
                one.optimizer.step()
                run.log({"loss": loss.item()})

            yield f"wandb {frequency}", block(logged)


@contextmanager
def wandb_run() -> Iterator[Any]:
    """A run of Weights & Biases that asks no network and leaves nothing behind."""
    import wandb

    os.environ |= {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}
    with tempfile.TemporaryDirectory() as folder:
        run = wandb.init(mode="offline", dir=folder)
        try:
            yield run
        finally:
            run.finish()


def cockpit(size: Size, every: int) -> Way:
    """Cockpit with what it calls economy, on the same layer with an answer at the last timestep.

    Its backend reads an LSTM batch first, as one of a sequence of modules.
    """
    from backpack import extend
    from backpack.custom_module.reduce_tuple import ReduceTuple
    from backpack.custom_module.slicing import Slicing
    from cockpit import Cockpit
    from cockpit.utils import schedules
    from cockpit.utils.configuration import configuration

    T, B, inputs, H = size
    parts = nn.LSTM(inputs, H, batch_first=True), ReduceTuple(0), Slicing((slice(None), -1))
    model, loss_of = extend(nn.Sequential(*parts)), extend(nn.MSELoss())
    x, y = torch.randn(B, T, inputs), torch.randn(B, H)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    instruments = Cockpit(model.parameters(), configuration("economy", track_schedule=schedules.linear(every)))
    steps = iter(range(10**9))

    def step() -> None:
        k = next(steps)
        optimizer.zero_grad()
        output = model(x)
        loss = loss_of(output, y)
        each = mse_loss(output, y, reduction="none").mean(1)
        info = {"batch_size": B, "individual_losses": each, "loss": loss, "optimizer": optimizer}
        with instruments(k, info=info):
            loss.backward(create_graph=instruments.create_graph(k))
        optimizer.step()

    return block(step)


def compare(size: Size, answers: str, repeats: int, limits: Limits) -> float:
    """One row; returns the milliseconds of a step that nobody watches."""
    with ExitStack() as stack:
        ms = medians(dict(ways(stack, size, answers)), repeats)
    alone = ms["alone"]
    print(f"{', '.join(map(str, size)):>18}  {answers:14}{alone / STEPS:10.2f}", end="")
    for name, limit in LIMITS.items():
        print(limits.cell(ms[name] / alone, limit), end="  ")
    print("".join(f"{ms[name] / alone:10.2f}" for name in ms if name.startswith("wandb")), flush=True)
    return alone


def compare_cockpit(size: Size, repeats: int) -> None:
    """One line, or why there is none."""
    if missing := [name for name in ("cockpit", "backpack") if find_spec(name) is None]:
        print(f"Cockpit is left out: {' and '.join(missing)} not installed (pip install cockpit-for-pytorch)")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is of 2021, and what it stands on has moved on
            found = {f"{every}": cockpit(size, every) for every in (10, 1)}
            T, B, inputs, H = size
            layer, x, y = nn.LSTM(inputs, H), torch.randn(T, B, inputs), torch.randn(T, B, H)
            found["alone"] = block(Training(size, ANSWERS[0], layer, x, y).alone)
            ms: Mapping[str, float] = medians(found, min(repeats, 3))
    except ImportError as error:
        print(f"Cockpit is left out: {' '.join(str(error).split())}")
        return
    ratios = ", ".join(f"every={every} {ms[every] / ms['alone']:.1f}" for every in ("10", "1"))
    print(f"Cockpit (economy), {', '.join(map(str, size))}, {ANSWERS[0]}: {ratios}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small size and few repeats: does it run at all")
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="blocks per way (default 7, quick 2)")
    options = parser.parse_args()
    repeats, limits = options.repeats or (2 if options.quick else 7), Limits()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"training steps of nn.LSTM, float32, torch {torch.__version__}, ours {paths.described(['lstm'])}")
    print(f"medians of {repeats} blocks of {STEPS} steps; everything but ms is ÷ alone")
    told = "".join(f"{name:>10}" for name in ("wandb 10", "wandb 1")) if find_spec("wandb") else "  (no wandb here)"
    print(f"{'T, B, I, H':>18}  {'answer at':14}{'alone, ms':>10}{'every=10':>17}{'every=1':>19}  {told}")
    sizes = QUICK if options.quick else SIZES
    for size in sizes:
        for answers in ANSWERS:
            compare(size, answers, repeats, limits)
    compare_cockpit(sizes[0], repeats)
    print(limits.summary())


if __name__ == "__main__":
    main()
