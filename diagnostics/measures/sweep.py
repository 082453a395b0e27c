"""What comes of a clipping threshold: success, divergence and steps to a goal, over seeds, for every rule that was
tried."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from diagnostics.measures.evidence import SOLVED_SUCCESS
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.seeds import SEPARATOR, Spread, shared_name, spread
from diagnostics.records import Run

GOAL = SOLVED_SUCCESS
"""The success that counts as having got there, unless another is asked for."""

KINDS = ("none", "norm", "value")
TELLING = 0.5
"""From this difference on, in the share of seeds that reach the goal, a sentence speaks of one, if ``_tells``."""
MEASURED_ON = 512
"""Held-out examples behind a success: of so many, a share p comes out with a variance of p (1 − p) / 512 by chance."""
_ERRORS = 2.0
"""How many standard errors apart the successes of two rules must be."""

_WHOLE = ("finished", "diverged")
_UNDERWAY = ("queued", "running")


class Rule(NamedTuple):
    """A clipping rule. No clipping has an infinite threshold, which is what it is the limit of."""

    kind: str
    threshold: float

    def said(self) -> str:
        """The rule as a sentence has it."""
        if self.kind == "none":
            return "without clipping"
        return f"by {self.kind} at {'±' if self.kind == 'value' else ''}{number(self.threshold, 3)}"


@dataclass(frozen=True)
class Point:
    """What came of one rule in one series. Spreads are over the seeds whose runs came to their end or diverged."""

    rule: Rule
    run_ids: tuple[str, ...]
    ended: int
    """Runs that finished or diverged; the numbers below are theirs."""
    waiting: int
    """Runs that are queued or in training."""
    broken_off: int
    """Runs that were stopped, interrupted or failed: they say nothing about the rule."""
    diverged: int
    success: Spread
    """As last measured on the held-out set, of diverged runs before they broke."""
    greatest: tuple[float, ...]
    """The greatest success that each ended run was measured at, least first: what decides whether it reached."""
    reached: int
    """Runs that were measured at the goal or above."""
    steps_to_goal: Spread
    """Updates before that measurement; infinite for runs that never were there."""

    @property
    def diverged_share(self) -> float:
        """The share of the ended runs that diverged; nan where none has ended."""
        return self.diverged / self.ended if self.ended else math.nan

    @property
    def reached_share(self) -> float:
        """The share of the ended runs that reached the goal; nan where none has ended."""
        return self.reached / self.ended if self.ended else math.nan


@dataclass(frozen=True)
class Series:
    """Runs that differ only in clipping and seed, a point per rule: no clipping first, then by kind and threshold."""

    name: str
    first: Run
    points: tuple[Point, ...]

    def of_kind(self, kind: str) -> tuple[Point, ...]:
        """The points of one kind of rule, by threshold."""
        return tuple(point for point in self.points if point.rule.kind == kind)


def rule_of(run: Run) -> Rule | None:
    """The clipping rule that a run was asked for, or None where its spec has none that can be read."""
    return rule_of_spec(run.spec)


def rule_of_spec(spec: Mapping[str, Any]) -> Rule | None:
    """The clipping rule of a spec as JSON, or None where it has none that can be read."""
    kind, _, text = str(spec.get("clip", "")).partition(":")
    if kind == "none":
        return Rule("none", math.inf)
    try:
        threshold = float(text)
    except ValueError:
        return None
    return Rule(kind, threshold) if kind in KINDS and 0 < threshold < math.inf else None


def sweep(runs: Sequence[Run], goal: float = GOAL) -> tuple[Series, ...]:
    """Sort runs into series and rules and say what came of each; runs whose rule cannot be read are left out.

    ``goal`` is a success, 0 to 1. Raises ``ValueError`` for any other.
    """
    if not 0 < goal <= 1:
        raise ValueError(f"goal must be a success above 0 and at most 1, but got {goal}")
    found: dict[str, dict[Rule, list[Run]]] = {}
    for run in runs:
        if (rule := rule_of(run)) is not None:
            found.setdefault(_rest(run.spec), {}).setdefault(rule, []).append(run)
    told = []
    for rules in found.values():
        members = [run for some in rules.values() for run in some]
        order = sorted(rules, key=lambda rule: (KINDS.index(rule.kind), rule.threshold))
        points = tuple(_point(rule, rules[rule], goal) for rule in order)
        told.append(Series(_name(members), members[0], points))
    return tuple(told)


def _name(members: Sequence[Run]) -> str:
    """What the runs' names share, but for a seed, which they share where only one was tried."""
    shared = shared_name([run.name for run in members]).split(SEPARATOR)
    kept = [part for part in shared if part and part != f"seed {members[0].spec.get('seed')}"]
    return SEPARATOR.join(kept) or str(members[0].spec.get("cell", members[0].id))


def _rest(spec: Mapping[str, Any]) -> str:
    """What the runs of one series share."""
    return json.dumps({k: v for k, v in spec.items() if k not in ("clip", "seed")}, sort_keys=True, default=str)


def is_sweep(runs: Sequence[Run]) -> bool:
    """Whether there is a threshold to compare: some series has at least three rules."""
    return specs_of_sweep([run.spec for run in runs])


def specs_of_sweep(specs: Sequence[Mapping[str, Any]]) -> bool:
    """As ``is_sweep``, of runs that nobody has read yet."""
    rules: dict[str, set[Rule]] = {}
    for spec in specs:
        if (rule := rule_of_spec(spec)) is not None:
            rules.setdefault(_rest(spec), set()).add(rule)
    return any(len(known) >= 3 for known in rules.values())


def steps_to(run: Run, goal: float) -> float:
    """Return the updates after which success was first measured at ``goal`` or above; infinite where it never was."""
    if not run.records.rows("eval"):
        return math.inf
    there = np.flatnonzero(run.records["eval_success"] >= goal)
    return float(run.records["eval_step"][there[0]]) if there.size else math.inf


def findings(told: Iterable[Series], goal: float = GOAL) -> tuple[str, ...]:
    """Say per series whether clipping is needed, harms, or makes no difference that the seeds let one see.

    A difference is one where the shares of seeds that reach the goal differ by ``TELLING`` at least and by more than
    one seed, and the seeds' greatest successes by more than two standard errors of their means, in which the chance
    that is in a measurement on held-out examples is counted.
    """
    return tuple(f"{series.name}: {_finding(series, goal)}" for series in told)


def _point(rule: Rule, runs: Sequence[Run], goal: float) -> Point:
    whole = [run for run in runs if run.state in _WHOLE]
    success = [float(run.records["eval_success"][-1]) for run in whole if run.records.rows("eval")]
    greatest = [float(np.fmax.reduce(run.records["eval_success"])) for run in whole if run.records.rows("eval")]
    to_goal = [steps_to(run, goal) for run in whole]
    return Point(
        rule=rule,
        run_ids=tuple(run.id for run in runs),
        ended=len(whole),
        waiting=sum(run.state in _UNDERWAY for run in runs),
        broken_off=sum(run.state not in (*_WHOLE, *_UNDERWAY) for run in runs),
        diverged=sum(run.state == "diverged" for run in whole),
        success=spread(success),
        greatest=tuple(sorted(value for value in greatest if not math.isnan(value))),
        reached=sum(math.isfinite(count) for count in to_goal),
        steps_to_goal=spread(to_goal),
    )


def _finding(series: Series, goal: float) -> str:
    ended = [point for point in series.points if point.ended]
    off = next((point for point in ended if point.rule.kind == "none"), None)
    clipped = [point for point in ended if point.rule.kind != "none"]
    if not clipped or (off is None and len(clipped) < 2):
        return "too few runs have ended to compare rules."
    if off is None:
        best, worst = max(clipped, key=_rank), min(clipped, key=_rank)
        return f"best {_told(best, goal)}; worst {_told(worst, goal)}."
    helped = [point for point in clipped if _tells(point, off)]
    harmed = [point for point in clipped if _tells(off, point)]
    said = []
    if helped:
        said.append(f"clipping is needed: {_told(off, goal)}; {_told(max(helped, key=_rank), goal)}.")
    if harmed:
        rules = _ranges(series, harmed)
        said.append(f"clipping harms {rules}: {_told(off, goal)}; {_told(min(harmed, key=_rank), goal)}.")
    if not said:
        said.append(_undecided(off, clipped, goal))
    return " ".join([said[0], *(line[:1].upper() + line[1:] for line in said[1:])])


def _undecided(off: Point, clipped: Sequence[Point], goal: float) -> str:
    """What can be said where no rule tells by how many seeds reach the goal."""
    best, worst = max(clipped, key=_rank), min(clipped, key=_rank)
    slower = all(point.steps_to_goal.low > off.steps_to_goal.high for point in clipped)
    if slower and best.reached_share >= off.reached_share and min(off.ended, best.ended) > 1:
        return f"every threshold is slower than none: {_told(off, goal)}; at best {_told(best, goal)}."
    if off.reached_share - worst.reached_share >= TELLING:
        return f"no telling with so few seeds: {_told(off, goal)}; at worst {_told(worst, goal)}."
    if slower or best.reached_share - off.reached_share >= TELLING:
        return f"no telling with so few seeds: {_told(off, goal)}; at best {_told(best, goal)}."
    return f"no difference that these seeds let one see: {_told(off, goal)}; at best {_told(best, goal)}."


def _tells(better: Point, worse: Point) -> bool:
    """Whether ``better`` reaches the goal so much more often that neither one seed nor chance can account for it."""
    more = better.reached_share - worse.reached_share
    seeds = more * min(better.ended, worse.ended)
    if more < TELLING or seeds < 1.5:  # one seed is 1 but for rounding, and may be 1.33 where not as many ended
        return False
    if not (better.greatest and worse.greatest):  # diverged before anything was measured
        return True
    gap = np.mean(better.greatest) - np.mean(worse.greatest)
    return bool(gap > _ERRORS * math.sqrt(_variance(better.greatest) + _variance(worse.greatest)))


def _variance(success: Sequence[float]) -> float:
    """Of the mean: the seeds' own scatter, and at least that of measuring."""
    mean = min(max(float(np.mean(success)), 0.0), 1.0)
    scatter = float(np.var(success, ddof=1)) if len(success) > 1 else 0.0
    return max(scatter, mean * (1 - mean) / MEASURED_ON) / len(success)


def _rank(point: Point) -> tuple[float, float, float]:
    success = point.success.median if point.success.seeds else -math.inf
    return point.reached_share, -point.steps_to_goal.median, success


def _told(point: Point, goal: float) -> str:
    """``by norm at 1 all 3 seeds reach 95 %, after 96 steps (48 to 96)``."""
    many = {0: "none", point.ended: "all"}.get(point.reached, str(point.reached))
    of = f" {point.ended}" if many == "all" else f" of {point.ended}"
    seeds = "the one seed" if point.ended == 1 and many == "all" else f"{many}{of} seeds"
    verb = "reach" if point.reached > 1 else "reaches"
    told = f"{point.rule.said()} {seeds} {verb} {percent(goal)}"
    if point.reached:
        told += f", {_after(point)}"
    if point.diverged:
        told += f", and {point.diverged} diverged"
    if point.reached < point.ended and point.success.seeds:
        told += f" (success {span(point.success, lambda value: _beside(goal, value))})"
    return told


def _beside(goal: float, value: float) -> str:
    """A success in percent, with a decimal where it would else read as the goal that it is not."""
    return f"{100 * value:.1f} %" if value != goal and percent(value) == percent(goal) else percent(value)


def _after(point: Point) -> str:
    """After how many steps the goal was reached: a spread where every seed did, else by the first."""
    if point.reached == point.ended:
        return f"after {span(point.steps_to_goal, _count)} steps"
    return f"{'the first ' if point.reached > 1 else ''}after {_count(point.steps_to_goal.low)} steps"


def _count(value: float) -> str:
    return number(value, max(2, len(str(int(value)))))


def _ranges(series: Series, harmed: Sequence[Point]) -> str:
    """Name the thresholds at which clipping harms: those of a kind at once where they are its lowest."""
    said = []
    for kind in KINDS[1:]:
        all_of = [point for point in series.of_kind(kind) if point.ended]
        some = [point for point in harmed if point.rule.kind == kind]
        if not some:
            continue
        if len(some) == len(all_of) > 1:
            said.append(f"by {kind} at every threshold")
        elif len(some) > 1 and some == all_of[: len(some)]:
            said.append(f"{some[-1].rule.said()} and below")
        else:
            said.append(", ".join(point.rule.said() for point in some))
    return " and ".join(said)
