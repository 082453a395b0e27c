"""What a verdict rests on: every number that its kind, its sentence and its advice are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diagnostics.measures.clipping import clipped_share
from diagnostics.measures.decay import decay, half_life
from diagnostics.measures.profile import profile_column, typical_profile
from diagnostics.measures.reach import REACH_THRESHOLD, reach
from diagnostics.records import Array, Records, Run

Kind = Literal["vanishing", "exploding", "reaches", "diverged", "fades"]

EXPLODING_RATIO = 100.0
"""The profile explodes where it rises above this many times its value at the loss, within the distance."""
SOLVED_SUCCESS = 0.95
"""From this success on a task counts as solved."""
LEARNED_SHARE = 0.1
"""Success counts as close to chance below this share of the way from chance to 1."""


@dataclass(frozen=True)
class Evidence:
    """The numbers behind a verdict. All gradients are pre-clip; ratios are to the value at the loss."""

    kind: Kind | None
    """None where there is nothing to judge yet, or no gradient at the loss in any record."""
    of: int
    """Steps from the loss back to the first timestep; where the informative step is ahead, to the last."""
    distance: int
    """Steps from the loss to the farthest informative step, back or ahead."""
    word: str
    """What the informative step of the recorded example reads."""
    reach: int | None
    never_below: bool
    """Whether the profile is nowhere below 1 % of its value at the loss; the reach is then ``of``."""
    decay: float
    half_life_steps: float
    informative_grad: float
    """φ at the informative step ÷ φ at the loss."""
    peak: float
    """The largest φ within the distance ÷ φ at the loss."""
    peak_lag: int
    beyond: float
    """The largest φ from the reach on ÷ φ at the loss, for what fell below 1 % may rise again; nan without a reach."""
    zeros: int
    """Steps back at which the typical profile is exactly 0."""
    non_finite: int
    profiles: int
    """Recorded profiles in all."""
    used_steps: tuple[int, int] | None
    """First and last training step of the profiles that the numbers are from."""
    at_end: bool
    success: float
    chance: float
    typical_norm: float
    """Median of the finite norms of the whole parameter gradient, l2, pre-clip; nan where there are none."""
    clipped: float
    """Share of training steps on which clipping changed the gradient; nan where there are none."""
    diverged_step: int | None
    steps_done: int
    state: str
    layers: int
    """Recurrent layers of the network; the profile is the top one's."""
    last_answer: bool
    """Whether the profile is of the last answer's loss alone, of a loss that is taken at several steps."""
    ahead: bool
    """Whether the informative step comes after the answer: every step is then counted forwards from the loss."""
    one_way: bool
    """Whether the network reads in one direction alone, and so has not read what comes after its answer."""
    model: str
    """The kind of network where it has no recurrence, else ""."""
    truncate: int
    """Steps back at which backpropagation was cut: the gradient is exactly 0 from there on; 0 where it was not."""

    watched: bool
    """Whether somebody else trained, and we watched: there is no task, no word and no success to speak of then."""
    answers: int
    """At how many timesteps the loss of a watched run uses the state; 0 where nobody knows."""
    unasked: bool
    """Whether we watched, and nobody said which step matters: ``distance`` is then all there is, to the first step
    that was walked, and a gradient that does not come so far may well come far enough."""
    probe: bool
    """Whether a checkpoint was probed with a sequence of ours, so that nobody can say which step matters."""

    @property
    def cut_off(self) -> bool:
        """Whether the gradient ends before the informative step because it was cut, and not because it faded."""
        return self.kind in ("vanishing", "fades") and 0 < self.truncate == self.reach

    @property
    def blind(self) -> bool:
        """Whether the network answers before it has read what decides."""
        return self.ahead and self.one_way and not self.model

    @property
    def solved(self) -> bool:
        """Whether the last measured success is that of a solved task."""
        return self.success >= SOLVED_SUCCESS

    @property
    def edge(self) -> bool:
        """Whether the profile first falls below 1 % exactly at the informative step: the reach is the distance."""
        return self.kind == "reaches" and self.reach == self.distance > 0 and not self.never_below

    @property
    def together(self) -> bool:
        """Whether there is no verdict because the profile is of several answers, none of which can be told apart."""
        return self.kind is None and self.reach is not None

    @property
    def near_chance(self) -> bool:
        """Whether the last measured success is hardly better than knowing nothing."""
        return self.success < self.chance + LEARNED_SHARE * (1.0 - self.chance)


def gather(run: Run) -> Evidence | None:
    """Return the evidence of a run, or None where the run has not said yet what its task is."""
    facts = run.facts
    if facts is None:
        return None
    records = run.records
    column = profile_column(records)
    typical = typical_profile(records, facts.loss_step, ahead=facts.ahead)
    of = len(facts.tokens) - 1 - facts.loss_step if facts.ahead else facts.loss_step
    phi, distance = typical.values, min(abs(facts.distance), of)
    diverged = _diverged_step(run)
    fit = decay(phi)
    ratio, peak, peak_lag = _ratios(phi, distance)
    found = reach(phi) if phi.size else None
    success = records["eval_success"] if "eval_success" in records else np.empty(0)
    about = run.spec.get("watched")
    watched = isinstance(about, Mapping)
    unasked = watched and not facts.informative_steps
    answers = about.get("answers", 1) if isinstance(about, Mapping) else 1
    kind = _kind(run.state == "diverged" or diverged is not None, found, distance, peak, unasked)
    if kind == "reaches" and answers > 1 and column != "answer_grad":
        kind = None  # each of them feeds the timesteps before it: that the sum does not fade says nothing of one
    return Evidence(
        kind=kind,
        of=of,
        distance=distance,
        word=facts.tokens[facts.loss_step + (distance if facts.ahead else -distance)] if facts.tokens else "",
        reach=found,
        never_below=bool(phi.size) and not (phi < REACH_THRESHOLD * phi[0]).any(),
        decay=fit.factor,
        half_life_steps=half_life(fit.factor),
        informative_grad=ratio,
        peak=peak,
        peak_lag=peak_lag,
        beyond=_largest(phi[found:] / phi[0]) if found is not None else math.nan,
        zeros=fit.zeros,
        non_finite=fit.non_finite,
        profiles=records.rows("profile"),
        used_steps=(int(typical.steps[0]), int(typical.steps[-1])) if phi.size else None,
        at_end=typical.at_end,
        success=float(success[-1]) if len(success) else math.nan,
        chance=facts.chance_success,
        typical_norm=_typical_norm(records),
        clipped=clipped_share(records["clip_factor"]) if "clip_factor" in records else math.nan,
        diverged_step=diverged,
        steps_done=records.rows("step"),
        state=run.state,
        layers=records[column].shape[1] if column else 1,
        last_answer=column == "answer_grad",
        ahead=facts.ahead,
        one_way=not run.spec.get("bidirectional"),
        model=run.without_recurrence,
        truncate=_cut(run, facts.loss_step),
        watched=watched,
        answers=answers,
        unasked=unasked,
        probe=isinstance(about, Mapping) and bool(about.get("probe")),
    )


def _cut(run: Run, loss_step: int) -> int:
    chunk = run.spec.get("truncate")
    watched = run.spec.get("watched")
    if isinstance(watched, Mapping) and (cuts := [cut for cut in watched.get("cuts", ()) if 0 < cut <= loss_step]):
        chunk = loss_step + 1 - max(cuts)
    return chunk if isinstance(chunk, int) and 0 < chunk <= loss_step else 0


def _kind(diverged: bool, found: int | None, distance: int, peak: float, unasked: bool) -> Kind | None:
    """Judge in the order that the words define: diverged, exploding, reaches, vanishing or fades."""
    if diverged:
        return "diverged"
    if found is None:
        return None
    if peak > EXPLODING_RATIO:
        return "exploding"
    if found >= distance:
        return "reaches"
    return "fades" if unasked else "vanishing"


def _ratios(phi: Array, distance: int) -> tuple[float, float, int]:
    """Return φ at the informative step and the largest φ on the way there, both ÷ φ_0, and the lag of the largest."""
    if not phi.size:
        return math.nan, math.nan, 0
    with np.errstate(over="ignore"):
        way = phi[: distance + 1] / phi[0]
    comparable = np.where(np.isnan(way), -np.inf, way)
    peak_lag = int(np.argmax(comparable))
    return float(way[-1]), float(comparable[peak_lag]), peak_lag


def _largest(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else math.nan


def loss_known(run: Run) -> bool:
    """Whether the training loss was recorded: whoever watches a loop may never be told it, and every row is nan then.

    What watched says so in its spec; else a run whose every loss is nan has one only if it diverged.
    """
    watched = run.spec.get("watched")
    if isinstance(watched, Mapping) and "loss" in watched:
        return bool(watched["loss"])
    losses = run.records.get("loss", np.empty(0))
    return run.state == "diverged" or not bool(np.isnan(losses).all())


def _diverged_step(run: Run) -> int | None:
    """Return the first training step whose loss was not a finite number, or None; also where no loss is known."""
    records = run.records
    if "loss" not in records or "step" not in records or not loss_known(run):
        return None
    broken = np.flatnonzero(~np.isfinite(records["loss"]))
    return int(records["step"][broken[0]]) if broken.size else None


def _typical_norm(records: Records) -> float:
    norms = records["grad_norm_pre"] if "grad_norm_pre" in records else np.empty(0)
    usable = norms[np.isfinite(norms) & (norms > 0)]
    return float(np.median(usable)) if usable.size else math.nan
