"""What a person must hear of a run's clipping, read from its records alone.

Whoever recorded them: the norms before and after clipping, as the optimiser got it, are enough. ``c`` is the threshold,
``pre`` and ``post`` the norms of a step's whole gradient in float64.

- erased: post = 0 although pre > 0 is finite. So does torch's clipping by norm where the norm overflows float32: the
  factor is c / inf = 0.
- made nan: post is nan although no entry was; an infinite entry, times a factor of 0, is one.
- not applied: by norm, post ≈ pre although pre > c. So it is where the clipping stands before ``backward()``: it
  shortens the gradient of the step before, or none at all, and the optimiser gets the raw one.
- never engaged, engaged often: post = pre at every step, post < pre on more than half of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from diagnostics.measures.clipping import clipped_share
from diagnostics.measures.numbers import number, percent
from diagnostics.records import Array, Records, Run

Kind = Literal["erased", "made_nan", "not_applied", "never_engaged", "engaged_often"]

OFTEN = 0.5
"""Above this share of the steps clipping engages often."""
_CLEARLY = 1.01
"""Norms above the threshold by this factor would be visibly shorter after clipping."""
_SAME = 0.999
"""A norm after clipping of at least this share of the one before has not been shortened."""


@dataclass(frozen=True)
class Event:
    """One thing that clipping did, or failed to do, in a run."""

    kind: Kind
    fault: bool
    """Whether something is wrong, as against worth knowing."""
    steps: int
    """On how many training steps."""
    first_step: int
    """The first of those training steps; where there is none, the last that was looked at."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON values."""
        return asdict(self)


def events(run: Run) -> tuple[Event, ...]:
    """Return what there is to say of a run's clipping, faults first; nothing where it was not clipped or not begun."""
    rule = _rule(run.spec)
    records = run.records
    if rule is None or not records.rows("step"):
        return ()
    kind, threshold = rule
    found = [
        _erased(records),
        _made_nan(records),
        _not_applied(records, threshold) if kind == "norm" else None,
    ]
    said = [event for event in found if event is not None]
    if not any(event.kind == "not_applied" for event in said) and (usual := _engaged(run, kind, threshold)):
        said.append(usual)
    return tuple(said)


def over_seeds(runs: Sequence[Run]) -> tuple[Event, ...]:
    """Return each kind of event once for runs that differ only in their seed, saying in how many it was.

    Steps are those of all runs; a sentence about one of several is that of the first run it happened in.
    """
    found: dict[Kind, list[tuple[Run, Event]]] = {}
    for run in runs:
        for event in events(run):
            found.setdefault(event.kind, []).append((run, event))
    said = []
    for members in found.values():
        run, first = members[0]
        words = first.sentence
        if len(runs) > 1:
            words = f"In {len(members)} of {len(runs)} seeds (here seed {run.spec.get('seed')}): {words}"
        said.append(replace(first, steps=sum(event.steps for _, event in members), sentence=words))
    return tuple(sorted(said, key=lambda event: not event.fault))


def _rule(spec: Mapping[str, Any]) -> tuple[str, float] | None:
    """The kind and the threshold that a spec asks for; None where it does not clip."""
    kind, _, text = str(spec.get("clip", "none")).partition(":")
    try:
        threshold = float(text)
    except ValueError:
        return None
    return (kind, threshold) if kind in ("norm", "value") else None


def _steps(records: Records, where: Array) -> tuple[int, int, str]:
    """How many steps, the first of them, and both in words."""
    found = records["step"][np.flatnonzero(where)]
    count, first = len(found), int(found[0])
    words = f"at training step {first}" if count == 1 else f"on {count} training steps, first at step {first}"
    return count, first, words


def _erased(records: Records) -> Event | None:
    pre, post = records["grad_norm_pre"], records["grad_norm_post"]
    where = (post == 0) & (pre > 0) & np.isfinite(pre)
    if not where.any():
        return None
    count, first, words = _steps(records, where)
    norm = float(pre[np.flatnonzero(where)[0]])
    why = ", which float32 cannot square" if norm > math.sqrt(float(np.finfo(np.float32).max)) else ""
    return Event(
        "erased",
        True,
        count,
        first,
        f"Clipping erased the update {words}: the gradient had a norm of {number(norm)}{why}, and 0 after clipping.",
    )


def _made_nan(records: Records) -> Event | None:
    where = np.isnan(records["grad_norm_post"]) & (records["nan_count"] == 0) & ~np.isnan(records["grad_norm_pre"])
    if not where.any():
        return None
    count, first, words = _steps(records, where)
    infinite = int(records["inf_count"][np.flatnonzero(where)[0]])
    entries = f"{infinite} infinite {'entry' if infinite == 1 else 'entries'}" if infinite else "an infinite norm"
    return Event(
        "made_nan",
        True,
        count,
        first,
        f"Clipping made the gradient nan {words}: it held {entries} and no nan before, and infinity times 0 is nan.",
    )


def _not_applied(records: Records, threshold: float) -> Event | None:
    pre, post = records["grad_norm_pre"], records["grad_norm_post"]
    above = np.isfinite(pre) & (pre > _CLEARLY * threshold)
    where = above & (post >= _SAME * pre)
    if not where.any():
        return None
    count, first, words = _steps(records, where)
    return Event(
        "not_applied",
        True,
        count,
        first,
        f"Clipping did not reach the optimiser {words}, of {int(above.sum())} with a norm above {number(threshold)}: "
        "it got the raw gradient. So it is where clipping is applied before backward().",
    )


def _engaged(run: Run, kind: str, threshold: float) -> Event | None:
    records = run.records
    share = clipped_share(records["clip_factor"])
    steps = int(records["step"][-1])
    how = f"{'by norm at' if kind == 'norm' else 'by value at ±'}{' ' * (kind == 'norm')}{number(threshold, 3)}"
    finite = records["grad_norm_pre"][np.isfinite(records["grad_norm_pre"])]
    if share == 0 and finite.size:
        so_far = " so far" if run.state in ("queued", "running") else ""
        largest = f"; the largest norm was {number(float(finite.max()))}" if kind == "norm" else ""
        return Event(
            "never_engaged",
            False,
            0,
            steps,
            f"Clipping {how} never engaged{so_far}{largest}: the run is the same without it.",
        )
    if share > OFTEN:
        where = records["clip_factor"] < 1.0
        count, first, _ = _steps(records, where)
        return Event(
            "engaged_often",
            False,
            count,
            first,
            f"Clipping {how} engaged on {percent(share)} of the steps: most updates used a shortened gradient.",
        )
    return None
