"""What runs are called where they are seen together: by what tells these runs apart, now that they are together.

A name that is stored was made among the runs of that moment; later others may stand beside it. A name that somebody
gave wins: it is known by having a part that no made name of that run could have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from experiments.naming import SEPARATOR, comparison_name, parts, run_names
from experiments.spec import Refusal, RunSpec
from tasks import TASKS

if TYPE_CHECKING:
    from diagnostics.records import Run
    from diagnostics.store import RunRow


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...


def labels(runs: Sequence[_Named]) -> list[str]:
    """A name per run, in order. A run whose spec this version does not understand keeps its own."""
    specs = [understood(run.spec) for run in runs]
    made = iter(run_names(known) if (known := [spec for spec in specs if spec is not None]) else [])
    found = []
    for run, spec in zip(runs, specs, strict=True):
        name = run.name if spec is None else next(made)
        found.append(run.name if spec is None or _given(run.name, parts(spec)) else name)
    return found


def together(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs, each with its name among them."""
    return tuple(replace(run, name=name) for run, name in zip(runs, labels(runs), strict=True))


def title(rows: Sequence[RunRow]) -> str:
    """What the comparison of these runs is called."""
    stored = rows[0].comparison_name
    specs = [spec for row in rows if (spec := understood(row.spec)) is not None]
    if not specs or (stored and _given(_GAPS.sub("", stored), [p for s in specs for p in (_task(s), *parts(s))])):
        return stored or rows[0].comparison
    return comparison_name(specs)


_GAPS = re.compile(r" · gap \d+(, \d+| to \d+)*(?= · |$)")


def _task(spec: RunSpec) -> str:
    return TASKS[spec.task].title


def _given(name: str, made: Sequence[str]) -> bool:
    return bool(name) and not set(name.split(SEPARATOR)) <= set(made)


def understood(fields: Mapping[str, Any]) -> RunSpec | None:
    """A stored spec, or None where it is one that this version would not run."""
    try:
        return RunSpec.from_json(fields)
    except Refusal:
        return None
