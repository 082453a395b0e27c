"""Gradients on their way into a figure: ratios to the value at the loss, and what no log axis can show set apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diagnostics.measures.numbers import number
from diagnostics.measures.profile import bands_by_lag, profile_column
from diagnostics.records import Array, Run

VALUE, ZERO, INFINITE, NAN = 0, 1, 2, 3
"""What a number is: drawable on a log axis, exactly 0, infinite, or not a number."""
SYMBOLS = {ZERO: "▽", INFINITE: "▲", NAN: "✕"}
MEANINGS = {ZERO: "exactly 0", INFINITE: "infinite", NAN: "not a number"}


def kinds(values: Array) -> Array:
    """Return VALUE, ZERO, INFINITE or NAN per value, as int8 of the same shape."""
    found = np.full(np.shape(values), VALUE, dtype=np.int8)
    found[values == 0] = ZERO
    found[np.isinf(values)] = INFINITE
    found[np.isnan(values)] = NAN
    return found


class Snapshot(NamedTuple):
    """The recorded profile of one training step, by lag: index k is k steps back from the loss; each ``[K + 1]``."""

    training_step: int
    p05: Array
    median: Array
    p95: Array

    @property
    def at_loss(self) -> float:
        """φ_0, the median state gradient at the loss."""
        return float(self.median[0])

    @property
    def comparable(self) -> bool:
        """Whether the values can be given as ratios to the one at the loss."""
        return bool(np.isfinite(self.at_loss) and self.at_loss > 0)


def subject(runs: Sequence[Run]) -> str:
    """Name the gradient that figures of these runs show: whose, where a run has several layers or several losses."""
    columns = [(run.records, name) for run in runs if (name := profile_column(run.records))]
    notes = []
    if any(records[name].shape[1] > 1 for records, name in columns):
        notes.append("top layer")
    if any(name == "answer_grad" for _, name in columns):
        notes.append("loss of the last answer alone")
    return "State gradient" + (f" ({', '.join(notes)})" if notes else "")


def snapshot(run: Run, at_step: int | None) -> Snapshot | None:
    """Return the profile recorded nearest to training step ``at_step`` (the newest where None), or None.

    Of two equally near the earlier one is taken; None where no profile has been recorded.
    """
    if run.facts is None or "profile_step" not in run.records or not len(run.records["profile_step"]):
        return None
    recorded = run.records["profile_step"]
    row = len(recorded) - 1 if at_step is None else int(np.argmin(np.abs(recorded - at_step)))
    band = bands_by_lag(run.records, run.facts.loss_step, slice(row, row + 1))
    if not len(band.median):
        return None
    return Snapshot(int(recorded[row]), band.p05[0], band.median[0], band.p95[0])


def ratios(values: Array, at_loss: Array | float) -> Array:
    """Return values ÷ the value at the loss in float64; nan where that is 0 or not finite.

    A quotient of two finite numbers that leaves float64's range keeps to its end: it is neither 0 nor infinite.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        divided = np.asarray(values, dtype=np.float64) / at_loss
    range_of = np.finfo(np.float64)
    divided = np.where(kinds(values) == VALUE, np.clip(divided, range_of.smallest_subnormal, range_of.max), divided)
    comparable = np.isfinite(at_loss) & (np.asarray(at_loss) > 0)
    return np.where(comparable, divided, np.nan)


def log10(values: Array) -> Array:
    """Return log10 of the drawable values and nan elsewhere."""
    return np.log10(values, out=np.full(np.shape(values), np.nan), where=kinds(values) == VALUE)


def received(ratio: float) -> str:
    """Say what share of the gradient at the loss arrives: ``0.013 of the gradient at the loss``, ``exactly 0``."""
    if ratio == 0:
        return "exactly 0"
    if math.isnan(ratio):
        return "a gradient that is not a number"
    if math.isinf(ratio):
        return "an infinite gradient"
    return f"{number(ratio)} {'of' if ratio <= 1 else 'times'} the gradient at the loss"
