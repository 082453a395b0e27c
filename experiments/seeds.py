"""Repeating a comparison over seeds. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Sequence

from experiments.spec import Refusal, RunSpec

SEEDS_AT_MOST = 50
RUNS_AT_MOST = 200


def more_seeds(specs: Sequence[RunSpec], seeds: int) -> list[RunSpec]:
    """What is missing for every one of ``specs`` to have been run with ``seeds`` different seeds.

    New seeds are the smallest whole numbers that are free. Specs that differ only in their seed count together. Raises
    ``Refusal`` where that would be too many.
    """
    if not 1 <= seeds <= SEEDS_AT_MOST:
        raise Refusal(f"seeds must be from 1 to {SEEDS_AT_MOST}, but got {seeds}")
    known: dict[str, list[RunSpec]] = {}
    for spec in specs:
        known.setdefault(json.dumps({**spec.to_json(), "seed": None}, sort_keys=True), []).append(spec)
    wanted = []
    for some in known.values():
        taken = {spec.seed for spec in some}
        free = (seed for seed in range(len(taken) + seeds) if seed not in taken)
        wanted += [RunSpec.make(**{**some[0].to_json(), "seed": next(free)}) for _ in range(seeds - len(taken))]
    if len(wanted) > RUNS_AT_MOST:
        raise Refusal(f"seeds must ask for at most {RUNS_AT_MOST} more runs, but {seeds} ask for {len(wanted)}")
    return sorted(wanted, key=lambda spec: spec.seed)
