"""Runs that differ only in their seed, as the command line tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostics.measures.numbers import number, rate
from diagnostics.measures.seed_verdict import SPANS, SeedVerdict, span, verdict_over_seeds
from diagnostics.measures.seeds import Group, groups
from diagnostics.records import Run
from experiments.cli.words import share, table


def judged(runs: Sequence[Run]) -> list[tuple[Group, SeedVerdict]]:
    """The groups of several seeds among the runs, each with its verdict."""
    return [(group, verdict_over_seeds(group)) for group in groups(runs) if group.several]


def as_json(found: Sequence[tuple[Group, SeedVerdict]]) -> list[dict[str, Any]]:
    """The groups as JSON values: their runs, and how far their numbers lie apart."""
    return [
        {"name": group.name, "ids": [run.id for run in group.runs], **said.to_json(), "headline": said.headline}
        for group, said in found
    ]


def as_table(found: Sequence[tuple[Group, SeedVerdict]]) -> str:
    """A line per group: medians over the seeds, with the least and the greatest in brackets."""
    header = ("over seeds", "verdict", "reach", "of", "per step", "success", "solved")
    rows = [
        (
            *(group.name, said.headline.lower(), span(said.reach, lambda value: number(value, 4)), said.of),
            *(span(said.decay, rate), span(said.success, share), f"{said.solved} of {len(said.verdicts)}"),
        )
        for group, said in found
    ]
    return f"{table(header, rows)}\n{SPANS}"
