"""Runs that differ only in their seed, taken together: groups of them, and what their numbers and curves span.

A spread is least, median and greatest over the seeds, not percentiles: of three or five seeds those would be made up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from diagnostics.records import Array, Records, Run

SEPARATOR = " · "
"""What stands between the parts of a run's name."""
_UNDERWAY = ("queued", "running")


@dataclass(frozen=True)
class Group:
    """One or more runs whose specs agree in all but the seed, in the order in which they were given."""

    runs: tuple[Run, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one seed."""
        return len(self.runs) > 1

    @property
    def name(self) -> str:
        """What the runs' names have in common, and of how many seeds: ``tanh · clip norm 1 · 5 seeds``."""
        first = self.runs[0]
        if not self.several:
            return first.name
        return together_name([run.name for run in self.runs], first.name or first.id)

    @property
    def face(self) -> Run:
        """The group as one run without records, for what is decided by name and spec: labels, colours, the task."""
        first = next((run for run in self.runs if run.facts is not None), self.runs[0])
        underway = next((run.state for run in self.runs if run.state in _UNDERWAY), first.state)
        spec = {name: value for name, value in first.spec.items() if name != "seed" or not self.several}
        return replace(first, name=self.name, state=underway, spec=spec, records=Records.empty())


def shared_name(names: Sequence[str]) -> str:
    """What names have in common, part by part: ``tanh`` of ``tanh · seed 0`` and ``tanh · seed 1``; "" for nothing."""
    said = [name.split(SEPARATOR) for name in names]
    return SEPARATOR.join(part for part in said[0] if all(part in parts for parts in said))


def together_name(names: Sequence[str], otherwise: str) -> str:
    """What runs that differ only in their seed are called together: what their names share, and of how many seeds."""
    return SEPARATOR.join([shared_name(names) or otherwise, f"{len(names)} seeds"])


def groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Put runs that differ only in their seed together, in the order of their first members; see ``alike``."""
    return tuple(Group(tuple(runs[place] for place in places)) for places in alike([run.spec for run in runs]))


def alike(specs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Put the places of specs that differ only in their ``seed`` together, in the order of their first members.

    A seed counts once in a group: a run that repeats another to the last setting begins a further group, since it is
    no further evidence.
    """
    found: list[list[int]] = []
    places: dict[tuple[str, int], int] = {}
    repeats: dict[tuple[str, str], int] = {}
    for place, fields in enumerate(specs):
        spec = json.dumps({k: v for k, v in fields.items() if k != "seed"}, sort_keys=True, default=str)
        seed = json.dumps(fields.get("seed"), default=str)
        turn = repeats[spec, seed] = repeats.get((spec, seed), -1) + 1
        if (spec, turn) not in places:
            places[spec, turn] = len(found)
            found.append([])
        found[places[spec, turn]].append(place)
    return found


def singles(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Each run as a group of its own."""
    return tuple(Group((run,)) for run in runs)


def any_seeds(runs: Sequence[Run]) -> bool:
    """Whether any of the runs differ only in their seed."""
    return any(group.several for group in groups(runs))


class Spread(NamedTuple):
    """What a number spans over the seeds."""

    low: float
    median: float
    high: float
    seeds: int
    """How many seeds have this number; where none has, the others are nan."""


def spread(values: Iterable[float]) -> Spread:
    """Return least, median and greatest of the values that are not nan; infinities are ordered like numbers."""
    low, median, high, count = envelope([np.array([value], dtype=np.float64) for value in (*values, math.nan)])
    return Spread(float(low[0]), float(median[0]), float(high[0]), int(count[0]))


class Envelope(NamedTuple):
    """Curves laid together; every array has one entry per place, ``[N]``."""

    low: Array
    median: Array
    high: Array
    seeds: Array
    """How many of the curves have a value there; where none has, the others are nan."""


def envelope(curves: Sequence[Array]) -> Envelope:
    """Return least, median and greatest over curves ``[N_s]`` at each place up to the longest N.

    A curve counts where it has a value: not past its end, and not where it is nan. Infinities are ordered like numbers.
    """
    length = max((len(curve) for curve in curves), default=0)
    padded = np.full((max(len(curves), 1), length), np.nan)
    for row, curve in zip(padded, curves, strict=False):
        row[: len(curve)] = curve
    ordered = np.sort(padded, axis=0)  # nan sorts last
    count = np.count_nonzero(~np.isnan(ordered), axis=0)

    def at(place: Array) -> Array:
        taken: Array = np.take_along_axis(ordered, np.maximum(place, 0)[None], axis=0)[0]
        return taken

    lower, upper = at((count - 1) // 2), at(count // 2)
    with np.errstate(over="ignore", invalid="ignore"):
        median = np.where(lower == upper, lower, lower / 2 + upper / 2)
    return Envelope(at(np.zeros_like(count)), median, at(count - 1), count)


def common(curves: Sequence[Array]) -> Envelope:
    """Return the ``envelope`` where every curve has a value, and nan elsewhere: what one seed lacks, all lack."""
    over = envelope(curves)
    whole = over.seeds == len(curves)
    low, median, high = (np.where(whole, values, np.nan) for values in (over.low, over.median, over.high))
    return Envelope(low, median, high, over.seeds)


def common_of_logs(curves: Sequence[Array]) -> Envelope:
    """As ``common``, of curves that are log10 of what is laid together, which no float64 need hold; -inf is exactly 0.

    It differs where the seeds are even in number: the median is the mean of the middle two, not of their logarithms.
    """
    over = common(curves)
    return over._replace(median=np.where(np.isnan(over.median), np.nan, _median_of_logs(curves)))


def _median_of_logs(curves: Sequence[Array]) -> Array:
    ordered = np.sort(np.stack(curves), axis=0)
    low, high = ordered[(len(curves) - 1) // 2], ordered[len(curves) // 2]
    apart = np.subtract(low, high, where=low != high, out=np.zeros_like(low))
    return np.asarray(high + np.log10((1 + 10.0**apart) / 2))


def on_one_grid(steps: Sequence[Array], values: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Lay curves that were measured at their own training steps on one grid; returns it, ``[N]``, and them on it.

    The grid has the steps at which every curve that came so far was measured: a seed that was stopped, and measured
    then, must not stand for all. Past its end a curve is nan.
    """
    filled = [np.asarray(step) for step in steps if len(step)]
    grid = np.unique(np.concatenate(filled)) if filled else np.empty(0)
    if filled:
        whole = [np.isin(grid, step) | (grid > step[-1]) for step in filled]
        grid = grid[np.all(whole, axis=0)]
    laid = []
    for step, value in zip(steps, values, strict=True):
        row = np.full(len(grid), np.nan)
        at = np.isin(grid, step)
        row[at] = np.asarray(value, dtype=np.float64)[np.isin(step, grid)]
        laid.append(row)
    return grid, laid
