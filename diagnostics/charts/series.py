"""Gradients on their way into a figure: ratios to the value at the loss, and what no log axis can show set apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from diagnostics.measures.numbers import number
from diagnostics.measures.profile import Band, bands_by_lag, profile_column
from diagnostics.measures.seeds import Group, common
from diagnostics.records import Array, Run

VALUE, ZERO, INFINITE, NAN = 0, 1, 2, 3
"""What a number is: drawable on a log axis, exactly 0, infinite, or not a number."""
SYMBOLS = {ZERO: "▽", INFINITE: "▲", NAN: "✕"}
UNDERWAY = ("queued", "running")
"""The states of a run that may still record something."""
_BRIEFLY = {ZERO: "exactly 0", INFINITE: "infinite", NAN: "nan"}
_MOST_NOTES = 2
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
    note: str = ""
    """Why this is not the newest profile although the newest was asked for; empty where it is."""

    @property
    def at_loss(self) -> float:
        """φ_0, the median state gradient at the loss."""
        return float(self.median[0])

    @property
    def comparable(self) -> bool:
        """Whether the values can be given as ratios to the one at the loss."""
        return bool(np.isfinite(self.at_loss) and self.at_loss > 0)


class Sheaf(NamedTuple):
    """The profiles of a group's runs nearest to one training step, by lag; a group may be a single run."""

    shots: tuple[tuple[Run, Snapshot], ...]
    """The runs whose profiles these are."""
    ratio: Band
    """Gradient ÷ gradient at the loss, each run by its own: over the batch for a single run, else over the seeds."""
    gradient: Band
    """The gradient itself, l2."""
    left_out: tuple[Run, ...]
    """Runs with a profile that has no finite positive value at the loss, which others are not compared with."""


def sheaf(group: Group, at_step: int | None, over_seeds: bool, *, ahead: bool = False) -> Sheaf | None:
    """Return the profiles of a group, or None where none of its runs has recorded one; ``ahead``: of what comes after
    the loss.

    With ``over_seeds`` a band is the least and the greatest of the runs' batch medians and its middle their median,
    and nan at a lag of one run is nan for all; without, the group has one run and its band is that over the batch.
    """
    found = [(run, shot) for run in group.runs if (shot := snapshot(run, at_step, ahead=ahead)) is not None]
    if not found:
        return None
    comparable = [(run, shot) for run, shot in found if shot.comparable] or found[:1]
    comparable = [(run, shot) for run, shot in comparable if len(shot.median) == len(comparable[0][1].median)]
    if over_seeds:
        ratio = _over([_ratio(shot.median, shot) for _, shot in comparable])
        gradient = _over([shot.median for _, shot in comparable])
    else:
        shot = comparable[0][1]
        ratio = Band(*(_ratio(values, shot) for values in (shot.p05, shot.median, shot.p95)))
        gradient = Band(shot.p05, shot.median, shot.p95)
    kept = {run.id for run, _ in comparable}
    return Sheaf(tuple(comparable), ratio, gradient, tuple(run for run, _ in found if run.id not in kept))


def _ratio(values: Array, shot: Snapshot) -> Array:
    # An exact zero is one whatever it is compared with.
    return np.where(values == 0, 0.0, ratios(values, shot.at_loss))


def _over(medians: Sequence[Array]) -> Band:
    return Band(*common(medians)[:3])


def drawn_from(found: Sequence[tuple[str, Group, Sheaf | None]]) -> str:
    """Say which training steps profiles are from, and, over seeds, of which groups some runs are not among them."""
    shown = [
        (label if not group.several else f"{label}, seed {run.spec.get('seed')}", shot)
        for label, group, one in found
        if one is not None
        for run, shot in one.shots
    ]
    said = [moment(shown)]
    for label, group, one in found:
        missing = len(group.runs) - len(one.shots) - len(one.left_out) if one is not None else len(group.runs)
        if group.several and missing:
            said.append(f"{label}: {missing} of {len(group.runs)} without a profile{_yet(group)}")
        if group.several and one is not None and one.left_out:
            said.append(
                f"{label}: {len(one.left_out)} of {len(group.runs)} left out, with no finite gradient at the loss"
            )
    return " · ".join(said)


def _yet(group: Group) -> str:
    return " yet" if any(run.state in UNDERWAY for run in group.runs) else ""


def training_steps(found: Sequence[Sheaf | None]) -> dict[str, int]:
    """Return the training step of each run's profile, by the run's id."""
    return {run.id: shot.training_step for one in found if one is not None for run, shot in one.shots}


def reduction(over_seeds: bool) -> str:
    """Say in a caption what line and band are."""
    if over_seeds:
        return "median over the batch, then over the seeds; band from the lowest to the highest seed"
    return "median and 5–95 % band over the batch"


def subject(runs: Sequence[Run]) -> str:
    """Name the gradient that figures of these runs show: whose, where a run has several layers or several losses."""
    columns = [(run.records, name) for run in runs if (name := profile_column(run.records))]
    notes = []
    if any(records[name].shape[1] > 1 for records, name in columns):
        notes.append("top layer")
    if any(name == "answer_grad" for _, name in columns):
        notes.append("loss of the last answer alone")
    return "State gradient" + (f" ({', '.join(notes)})" if notes else "")


def snapshot(run: Run, at_step: int | None, *, ahead: bool = False) -> Snapshot | None:
    """Return the profile recorded nearest to training step ``at_step``, the newest where None; None where none is.

    Of two equally near the earlier one is taken. The newest of a run that has ended is its last with a finite positive
    gradient at the loss, where it has one: a broken run's later profiles hold nothing but nan. ``ahead`` counts lags
    forwards from the loss instead of back.
    """
    if run.facts is None or "profile_step" not in run.records or not len(run.records["profile_step"]):
        return None
    recorded = run.records["profile_step"]
    if at_step is not None:
        row, note = int(np.argmin(np.abs(recorded - at_step))), ""
    else:
        row, note = _newest(run, run.facts.loss_step)
    band = bands_by_lag(run.records, run.facts.loss_step, slice(row, row + 1), ahead=ahead)
    if not len(band.median):
        return None
    return Snapshot(int(recorded[row]), band.p05[0], band.median[0], band.p95[0], note)


def _newest(run: Run, loss_step: int) -> tuple[int, str]:
    """Return the row of the newest profile that is worth looking at, and why it is not the last one."""
    recorded = run.records["profile_step"]
    last = len(recorded) - 1
    at_loss = bands_by_lag(run.records, loss_step).median[:, 0]
    usable = np.flatnonzero(np.isfinite(at_loss) & (at_loss > 0))
    if run.state in UNDERWAY or not usable.size or usable[-1] == last:
        return last, ""
    row = int(usable[-1])
    then = int(kinds(at_loss[row + 1 : row + 2])[0])
    which = "the last with a gradient at the loss above 0" if then == ZERO else "the last with a finite gradient"
    return row, f"{which}; {_BRIEFLY[then]} from step {recorded[row + 1]}"


def moment(shown: Sequence[tuple[str, Snapshot]]) -> str:
    """Say which training steps the profiles of runs, each with its label, are from, and why where not the newest."""
    when = sorted({shot.training_step for _, shot in shown})
    if not when:
        return "no profile recorded"
    noted = [(label, shot) for label, shot in shown if shot.note]
    at = f"training step {when[0]}" if len(when) == 1 else f"training steps {when[0]} to {when[-1]}"
    if len(shown) == len(noted) == 1:
        return f"{at}, {noted[0][1].note}"
    if len(noted) > _MOST_NOTES:
        return f"{at}, of {len(noted)} runs the last with a gradient at the loss that is finite and above 0"
    return "; ".join([at, *(f"{label} at step {shot.training_step}, {shot.note}" for label, shot in noted)])


def watched(run: Run) -> bool:
    """Whether the run is a person's own training that was watched, without a task of ours."""
    return bool(run.spec.get("watched"))


def all_watched(runs: Sequence[Run]) -> bool:
    """Whether every one of the runs is, so that there are neither words nor a held-out set to speak of."""
    return bool(runs) and all(map(watched, runs))


def cuts(run: Run) -> tuple[int, ...]:
    """The timesteps whose incoming state was cut off from the gradient, where a watched run tells of any."""
    about = run.spec.get("watched")
    told = about.get("cuts") if isinstance(about, Mapping) else None
    return tuple(t for t in told if type(t) is int and t > 0) if isinstance(told, Sequence) else ()


def absent(runs: Sequence[Run], what: str, waiting: str = "") -> str:
    """Say why there is nothing to draw: the first ``what`` is still to come, or the runs ended before it."""
    if not runs or any(run.state in UNDERWAY for run in runs):
        return waiting or f"Waiting for the first {what}…"
    if len(runs) > 1:
        return f"These runs ended before their first {what}."
    return f"This run {ending(runs[0])} before its first {what}."


def ending(run: Run) -> str:
    """Return how a run ended, as a verb."""
    return {"stopped": "was stopped", "interrupted": "was interrupted", "failed": "failed"}.get(run.state, "ended")


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
