"""``clip``: what clipping thresholds would have done to the gradients that runs had; nothing is trained again."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST, is_threshold
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.what_if import (
    OLD,
    ByNorm,
    ByValue,
    Cut,
    Suggested,
    by_norm,
    by_value,
    cut_at,
    sizes_of,
    suggest,
)
from diagnostics.records import Run
from experiments.cli.words import find_all, open_store, plain, print_json, table
from experiments.spec import Refusal
from experiments.watched import is_watched

_ROWS = 12
"""Of the table by value, where no threshold is asked for."""


def clip_command(asked: argparse.Namespace) -> int:
    """Print, for each run, the answer at the thresholds that were asked for or are suggested."""
    thresholds = _thresholds(asked.threshold or ())
    store = open_store(asked)
    runs = [store.read(row.id) for row in find_all(store, asked.runs)]
    if asked.json:
        print_json({"runs": [_as_json(run, thresholds) for run in runs]})
    else:
        print("\n\n".join(_told(run, thresholds) for run in runs))
    return 0


def _thresholds(given: Sequence[float]) -> tuple[float, ...]:
    for value in given:
        if not is_threshold(value):
            raise Refusal(
                f"threshold must be a number from {THRESHOLD_LEAST:g} to {THRESHOLD_MOST:g}, but got {value:g}"
            )
    return tuple(dict.fromkeys(given))


def _by_norm(run: Run, thresholds: Sequence[float]) -> tuple[Suggested, ByNorm]:
    """What the run's norms say of a threshold, and the answer at those of ``thresholds``, else at the suggested."""
    norms = run.records["grad_norm_pre"]
    found = suggest(norms)
    return found, by_norm(norms, np.array(thresholds or [one.threshold for one in found.suggestions]))


def _by_value(run: Run) -> ByValue | str:
    """The answer at every edge, or why there is none."""
    sizes = sizes_of(run.records)
    if sizes is None:
        return f"it was {OLD}" if run.records.rows("profile") else "nothing is recorded yet"
    answer = by_value(sizes)
    return answer if len(answer.rows) else "no recorded gradient is finite and above 0"


def _cuts(answer: ByValue, thresholds: Sequence[float]) -> list[Cut]:
    """At the edges nearest to the thresholds; where none is given, at every edge."""
    found = [cut_at(answer, value) for value in thresholds or answer.thresholds.tolist()]
    return list({cut.threshold: cut for cut in found}.values())


def _as_json(run: Run, thresholds: Sequence[float]) -> dict[str, Any]:
    suggested, norm = _by_norm(run, thresholds)
    value = _by_value(run)
    return {
        "run": run.id,
        "name": run.name,
        "clip": run.spec.get("clip"),
        "sentence": suggested.sentence,
        "suggestions": [asdict(one) for one in suggested.suggestions],
        "norm": {
            "steps": norm.steps,
            "without_finite_norm": norm.broken,
            "thresholds": [
                {"threshold": at, "share": share, "median_factor": middle, "least_factor": least}
                for at, share, middle, least in zip(
                    norm.thresholds, norm.share, norm.median_factor, norm.least_factor, strict=True
                )
            ],
        },
        "value": {"missing": value}
        if isinstance(value, str)
        else {"profiles": len(value.rows), "thresholds": [asdict(cut) for cut in _cuts(value, thresholds)]},
    }


def _told(run: Run, thresholds: Sequence[float]) -> str:
    suggested, norm = _by_norm(run, thresholds)
    broken = f", and {norm.broken} without" if norm.broken else ""
    lines = [
        f"{run.id}  {plain(run.name)}",
        f"asked of {_counted(norm.steps, 'training step')} with a finite norm{broken}, before any clipping; "
        f"{_trained(run)}",
        suggested.sentence,
        *(f"  → {number(one.threshold)}  {one.reason}" for one in suggested.suggestions),
    ]
    if norm.steps and norm.thresholds.size:
        lines += ["", _norm_table(norm)]
    value = _by_value(run)
    if isinstance(value, str):
        return "\n".join([*lines, "", f"by value: not known, because {value}"])
    cuts = _cuts(value, thresholds)
    medians = f"medians over {_counted(len(value.rows), 'recorded step')}"
    if not thresholds:
        every, cuts = len(cuts), _telling(cuts)
        medians += f"; {len(cuts)} of the {every} recorded edges, the others with --threshold or --json"
    return "\n".join([*lines, "", _value_table(cuts), medians])


def _telling(cuts: Sequence[Cut]) -> list[Cut]:
    """Of the answers at every edge, a screen of them: where something is cut and something is left, and of a stretch
    over which nothing but the length changes its two ends."""
    some = [cut for cut in cuts if 0 < cut.share < 0.999] or list(cuts)
    said = [[percent(cut.share), *(number(c, 3) for c in (cut.cosine, cut.cosine_p05, cut.cosine_p95))] for cut in some]
    ends = [i for i in range(len(some)) if not 0 < i < len(some) - 1 or not said[i - 1] == said[i] == said[i + 1]]
    shown = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _ROWS)).round().astype(int))
    return [some[ends[i]] for i in shown]


def _norm_table(answer: ByNorm) -> str:
    header = ("by norm", "steps clipped", "norm after ÷ before, median of the clipped", "of the one clipped hardest")
    numbers = zip(answer.thresholds, answer.share, answer.median_factor, answer.least_factor, strict=True)
    return table(header, [(f"{at:g}", percent(float(s)), _factor(m), _factor(least)) for at, s, m, least in numbers])


def _value_table(cuts: Sequence[Cut]) -> str:
    header = ("by value", "entries cut", "cosine, raw and cut", "5–95 %", "norm after ÷ before")
    rows = [
        (
            *(f"±{cut.threshold:g}", percent(cut.share), number(cut.cosine, 3)),
            *(f"{number(cut.cosine_p05, 3)} to {number(cut.cosine_p95, 3)}", number(cut.factor)),
        )
        for cut in cuts
    ]
    return table(header, rows)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _trained(run: Run) -> str:
    clip = run.spec.get("clip")
    if not clip and is_watched(run.spec):
        return "what it was trained with is not known"
    return "nothing was clipped in training" if clip in (None, "none") else f"it was trained with {plain(clip)}"


def _factor(value: float) -> str:
    return number(value) if math.isfinite(value) else "–"
