"""The gradient profile of a run by lag: which column it is, and the typical one that a verdict is read from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from diagnostics.records import BAND, Array, Records

_P05, _MEDIAN, _P95 = (BAND.index(name) for name in ("p05", "median", "p95"))


class Band(NamedTuple):
    """A profile over the batch, each of shape ``[..., K + 1]``: index k is k steps back from the loss."""

    p05: Array
    median: Array
    p95: Array


class Typical(NamedTuple):
    """The profile that stands for the end of training."""

    values: Array
    """φ, shape ``[K + 1]``: the median over the used records of the batch median; empty where none could be used."""
    steps: Array
    """The training steps of the used records."""
    at_end: bool
    """Whether the used records are from the last tenth; False where those had no gradient at the loss."""


def profile_column(records: Records) -> str | None:
    """Return the column that holds the profile, or None where nothing has been recorded yet.

    ``answer_grad`` where the loss is taken at several steps (its lags are then those of one loss), else ``state_grad``.
    """
    return next((name for name in ("answer_grad", "state_grad") if name in records and len(records[name])), None)


def bands_by_lag(records: Records, loss_step: int, rows: slice | None = None, *, ahead: bool = False) -> Band:
    """Return the top layer's profiles by lag, each ``[P, K + 1]`` with K = ``loss_step``; ``[0, K + 1]`` if none.

    ``loss_step`` is the timestep of the (last) answer; with ``ahead`` lags are counted from it to the end of the
    sequence, K = T − 1 − ``loss_step``, where a network that reads in two directions has a gradient too. ``rows`` picks
    recorded profiles. Raises ``ValueError`` where the recorded timesteps end before ``loss_step``.
    """
    column = profile_column(records)
    if column is None:
        empty = np.empty((0, loss_step + 1))
        return Band(empty, empty, empty)
    values = records[column][rows or slice(None)]  # [P, L, T, band]
    if not 0 <= loss_step < values.shape[2]:
        raise ValueError(f"loss_step must be a recorded timestep below {values.shape[2]}, but got {loss_step}")
    back = values[:, -1, loss_step:] if ahead else values[:, -1, loss_step::-1]  # [P, K + 1, band]
    return Band(back[..., _P05], back[..., _MEDIAN], back[..., _P95])


def typical_profile(records: Records, loss_step: int, *, ahead: bool = False) -> Typical:
    """Return the median profile over the last tenth of the recorded profiles (at least one of them).

    Only records with a finite, positive φ_0 can be compared with their value at the loss. Where the last tenth has
    none (a task solved so well that the float32 loss gradient is exactly 0), the newest usable ones stand in, as many.
    """
    median = bands_by_lag(records, loss_step, ahead=ahead).median
    usable = np.isfinite(median[:, 0]) & (median[:, 0] > 0)
    tenth = math.ceil(len(median) / 10)
    late = np.flatnonzero(usable[len(median) - tenth :]) + len(median) - tenth
    rows = late if late.size else np.flatnonzero(usable)[-max(tenth, 1) :]
    steps = records["profile_step"][rows] if "profile_step" in records else rows
    values = middle(median[rows]) if rows.size else np.empty(0)
    return Typical(values, steps, bool(late.size))


def middle(values: Array) -> Array:
    """Return the median along the first axis, in which infinities are ordinary values and nan makes nan.

    ``np.median`` would average two infinities of opposite ends, or an infinity and a number, with a warning.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=0)  # nan sorts last
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(low == high, low, low / 2 + high / 2)
    return np.where(np.isnan(ordered[-1]), np.nan, mean)
