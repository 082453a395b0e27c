"""Whether what was recorded is right, and what the watching cost.

The self-check: a recurrent weight's gradient is the sum of its shares by timestep, Σ_k G_k = Σ_k δ_kᵀ h_{k−1} (Pascanu,
Mikolov and Bengio, 2013). Made from what was recorded, it must be what the backward passes added to the weight's
``.grad``. It is not where the weight is used elsewhere as well.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.measures.numbers import number, percent
from diagnostics.watching.passing import Pass

CHECKED = 10
"""Every so many recorded training steps the sums are checked, the first included."""
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Relative errors above these are an event, by the coarsest dtype that was computed in."""
TOLERANCE_HALF = 5e-2
LARGEST = 2**26
"""Before it is known which weights are recurrent, every matrix up to so many entries is listened to."""
MOST_STEPS = 512
"""So many of the newest steps are looked at for what watching costs."""


class SelfCheck:
    """Compares ΣG_k with what backward passes add to the weights' gradients; ``errors`` holds the largest by weight."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.errors: dict[str, float] = {}
        self._weights: set[str] = set()
        self._added: dict[str, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def due(self, recorded: int) -> bool:
        """Whether the recorded step of this number, from 0, is checked."""
        return recorded % CHECKED == 0

    def arm(self) -> None:
        """Listen to what the coming backward passes add. Which weights are recurrent is known after the first time."""
        self.close()
        for name, parameter in self._model.named_parameters():
            known = name in self._weights if self._weights else parameter.ndim == 2 and parameter.numel() <= LARGEST
            if known and parameter.requires_grad and not parameter.is_complex():
                self._handles.append(parameter.register_hook(self._listener(name)))

    def _listener(self, name: str) -> Callable[[Tensor], None]:
        def listen(gradient: Tensor) -> None:
            if gradient.layout == torch.strided:
                before = self._added.get(name)
                # A copy: autograd may make this very tensor the parameter's .grad, which clipping then changes.
                self._added[name] = gradient.detach().clone() if before is None else before.double() + gradient.detach()

        return listen

    def take(self, passes: Sequence[Pass]) -> list[tuple[str, float, float]]:
        """(weight, relative error, tolerance) of each weight whose shares were summed; stops listening."""
        sums: dict[str, Tensor] = {}
        tolerance: dict[str, float] = {}
        for layer in (layer for one in passes for layer in one.layers):
            if layer.weight and layer.weight_sum is not None:
                known = sums.get(layer.weight)
                sums[layer.weight] = layer.weight_sum if known is None else known + layer.weight_sum
                tolerance[layer.weight] = TOLERANCE.get(layer.rounding or layer.h.dtype, TOLERANCE_HALF)
        found = []
        for weight, total in sums.items():
            if (added := self._added.get(weight)) is not None:
                error = _relative(total, added)
                if not math.isnan(error):
                    found.append((weight, error, tolerance[weight]))
                    self.errors[weight] = max(self.errors.get(weight, 0.0), error)
        self._weights |= sums.keys()
        self.close()
        return found

    def close(self) -> None:
        """Stop listening."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._added = [], {}


def _relative(total: Tensor, added: Tensor) -> float:
    """‖total − added‖ / ‖added‖ in float64; nan where nothing can be said because ``added`` is not finite, as an
    overflowing step leaves it, and infinite where ``total`` alone is not."""
    exact = added.detach().cpu().double()
    if not bool(exact.isfinite().all()):
        return math.nan
    if not bool(total.isfinite().all()):
        return math.inf
    scale = float(exact.abs().max()) if exact.numel() else 0.0
    difference = (total.cpu().double() - exact) / (scale or 1.0)
    size = float(torch.linalg.vector_norm(exact / (scale or 1.0)))
    return float(torch.linalg.vector_norm(difference)) / (size or 1.0)


class Overhead(NamedTuple):
    """What watching cost so far."""

    recorded_ratio: float
    """Median time of a recorded training step ÷ that of an unrecorded one; nan where one kind is missing."""
    bookkeeping_s: float
    """Seconds spent in measuring, storing and events, in all."""
    share: float
    """Of the time from the first training step to the last, what watching took; nan before the second step."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dict(self._asdict())


class Stopwatch:
    """Times training steps from the end of one ``w.step`` to the end of the next, and what of it is our own."""

    def __init__(self) -> None:
        self._steps: dict[bool, deque[float]] = {True: deque(maxlen=MOST_STEPS), False: deque(maxlen=MOST_STEPS)}
        self._counts = {True: 0, False: 0}
        self._own_s = self._own_of_step_s = self._own_timed_s = 0.0
        self._last_s: float | None = None
        self._total_s = 0.0

    @contextmanager
    def own(self) -> Iterator[None]:
        """What is done in here is bookkeeping, and not training."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - began_s)

    def add(self, own_s: float) -> None:
        """Bookkeeping took so long."""
        self._own_s += own_s
        self._own_of_step_s += own_s

    def step(self, recorded: bool) -> None:
        """A training step is over. The first has nothing to be timed from, and is where everything is warmed up."""
        now_s = time.perf_counter()
        if self._last_s is not None:
            self._total_s += now_s - self._last_s
            self._own_timed_s += self._own_of_step_s
            self._steps[recorded].append(now_s - self._last_s - self._own_of_step_s)
            self._counts[recorded] += 1
        self._last_s, self._own_of_step_s = now_s, 0.0

    def overhead(self) -> Overhead:
        """What it cost so far."""
        medians = {kind: float(np.median(list(times))) if times else math.nan for kind, times in self._steps.items()}
        ratio = medians[True] / medians[False] if medians[False] else math.nan
        excess = medians[True] - medians[False]
        own = self._own_timed_s + (self._counts[True] * max(0.0, excess) if math.isfinite(excess) else 0.0)
        share = min(1.0, own / self._total_s) if self._total_s else math.nan
        if math.isnan(share):
            said = "What watching costs is known after the second training step."
        elif math.isnan(ratio):
            said = (
                f"Watching took more than {percent(share)} of the time, which is its bookkeeping: what recording added "
                "to forward and backward passes cannot be told, for want of steps of both kinds."
            )
        else:
            longer = f"takes {number(ratio, 3)} times as long" if ratio > 1.0 else "takes no longer than another"
            said = f"Watching took {percent(share)} of the time; bookkeeping apart, a recorded step {longer}."
        return Overhead(ratio, self._own_s, share, said)
