"""The verdict over seeds: how many of the runs that differ only in their seed say what, and how far their numbers lie
apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostics.measures.evidence import SOLVED_SUCCESS, Kind
from diagnostics.measures.numbers import number, percent, rate, steps
from diagnostics.measures.seeds import Group, Spread, spread
from diagnostics.measures.verdict import Verdict, verdict

SPANS = "Numbers are medians over the seeds, with the least and the greatest in brackets where they differ."
"""What is to be said once wherever the sentences below stand."""

ORDER: tuple[Kind, ...] = ("diverged", "exploding", "vanishing", "fades", "reaches")
"""All kinds of verdict, the worst first."""


@dataclass(frozen=True)
class SeedVerdict:
    """What the runs of a group say together. Spreads are over the seeds that have the number."""

    verdicts: tuple[Verdict, ...]
    """One per run, in the group's order."""
    seeds: tuple[object, ...]
    kinds: tuple[tuple[Kind, int], ...]
    """How many runs have which verdict, the commonest first; runs without one are not among them."""
    unjudged: int
    """Runs that have no verdict, or none yet."""
    reach: Spread
    of: int
    """Steps from the loss back to the first timestep."""
    decay: Spread
    half_life_steps: Spread
    informative_grad: Spread
    success: Spread
    chance: float
    solved: int
    """Runs whose last measured success is that of a solved task."""
    headline: str
    sentence: str

    @property
    def kind(self) -> Kind | None:
        """The verdict of more than half of the judged runs; None where there is no such verdict."""
        judged = sum(count for _, count in self.kinds)
        return self.kinds[0][0] if self.kinds and 2 * self.kinds[0][1] > judged else None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to try, from the first run of the commonest verdict."""
        kind = self.kinds[0][0] if self.kinds else None
        return next((found.advice for found in self.verdicts if found.kind == kind), ())

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values; a spread is least, median, greatest and count, null where no seed has it.

        Numbers may be infinite; ``diagnostics.strict_json`` writes those as words.
        """
        spreads = ("reach", "decay", "half_life_steps", "informative_grad", "success")
        return {
            "runs": len(self.verdicts),
            "seeds": list(self.seeds),
            "kinds": dict(self.kinds),
            "unjudged": self.unjudged,
            "of": self.of,
            **{name: _json(getattr(self, name)) for name in spreads},
            "chance": self.chance,
            "solved": self.solved,
            "sentence": self.sentence,
        }


def verdict_over_seeds(group: Group) -> SeedVerdict:
    """Judge every run of the group by itself and count. Raises nothing: a run without records has no verdict."""
    found = tuple(verdict(run) for run in group.runs)
    seeds = tuple(run.spec.get("seed") for run in group.runs)
    counted = Counter(said.kind for said in found if said.kind is not None)
    kinds = tuple(sorted(counted.items(), key=lambda item: (-item[1], ORDER.index(item[0]))))
    unjudged = len(found) - sum(counted.values())
    over = {name: spread(_numbers(found, name)) for name in ("decay", "half_life_steps", "informative_grad", "success")}
    reach = spread(float(said.reach) for said in found if said.reach is not None)
    of = max(said.of for said in found)
    chance = next((said.chance for said in found if math.isfinite(said.chance)), math.nan)
    solved = sum(said.success >= SOLVED_SUCCESS for said in found)
    return SeedVerdict(
        verdicts=found,
        seeds=seeds,
        kinds=kinds,
        unjudged=unjudged,
        reach=reach,
        of=of,
        chance=chance,
        solved=solved,
        headline=_headline(kinds, len(found), unjudged),
        sentence=_sentence(group, found, kinds, unjudged, reach, of, over, chance, solved),
        **over,
    )


def span(over: Spread, say: Callable[[float], str]) -> str:
    """Say a spread: ``9 (8 to 12)``; one word where the seeds agree to the digits that are said."""
    if not over.seeds:
        return "–"
    low, median, high = say(over.low), say(over.median), say(over.high)
    return median if low == median == high else f"{median} ({low} to {high})"


def _numbers(found: tuple[Verdict, ...], name: str) -> list[float]:
    return [getattr(said, name) for said in found]


def _headline(kinds: tuple[tuple[Kind, int], ...], runs: int, unjudged: int) -> str:
    if not kinds:
        return "No verdict yet" if unjudged else "No verdict"
    said = [f"{kind} in {count}" for kind, count in kinds]
    said[0] += f" of {runs}"
    return ", ".join([said[0].capitalize(), *said[1:]])


def _sentence(
    group: Group,
    found: tuple[Verdict, ...],
    kinds: tuple[tuple[Kind, int], ...],
    unjudged: int,
    reach: Spread,
    of: int,
    over: dict[str, Spread],
    chance: float,
    solved: int,
) -> str:
    runs = len(found)
    said = []
    if kinds:
        parts = [f"{kind} in {count}{_which(group, found, kind, count, runs)}" for kind, count in kinds]
        parts[0] = parts[0].replace(f" in {kinds[0][1]}", f" in {kinds[0][1]} of {runs} seeds", 1)
        said.append(f"{', '.join(parts).capitalize()}.")
    if unjudged:
        ended = all(run.state not in ("queued", "running") for run in group.runs)
        said.append(f"{unjudged} of {runs} {'have' if unjudged > 1 else 'has'} no verdict{'' if ended else ' yet'}.")
    if reach.seeds:
        fades = f", × {span(over['decay'], rate)} per step" if over["decay"].seeds else ""
        said.append(
            f"Reach {span(reach, lambda value: number(value, 4))} of {steps(of)}{_of_those(reach, runs)}{fades}."
        )
    if over["success"].seeds:
        known = f"Success {span(over['success'], percent)}{_of_those(over['success'], runs)}"
        against = f" against {percent(chance)} by chance" if math.isfinite(chance) else ""
        how_many = "none" if not solved else "all" if solved == runs else f"{solved} of {runs}"
        said.append(f"{known}{against}; solved in {how_many}.")
    return " ".join(said) or "No verdict yet."


def _which(group: Group, found: tuple[Verdict, ...], kind: Kind, count: int, runs: int) -> str:
    """Name the seeds of a verdict that only a few have, so that they can be looked at."""
    if count == runs or count > 2:
        return ""
    named = [str(run.spec.get("seed")) for run, said in zip(group.runs, found, strict=True) if said.kind == kind]
    return f" (seed{'s' if len(named) > 1 else ''} {' and '.join(named)})"


def _of_those(over: Spread, runs: int) -> str:
    return "" if over.seeds == runs else f" over the {over.seeds} that have {'one' if over.seeds == 1 else 'them'}"


def _json(over: Spread) -> dict[str, float | int] | None:
    return dict(over._asdict()) if over.seeds else None
