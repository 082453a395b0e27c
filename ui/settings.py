"""What the controls ask for: every combination of models, cells, gaps, clipping rules, gate biases … on one task.

A ``Settings`` holds what a person chose, wrong or right; ``specs`` makes runs of it or raises ``Refusal`` with the
sentence that says what is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.rules import USUAL_CELL, USUAL_INIT, USUAL_INITIAL, recurrent
from experiments.spec import FIELDS, Refusal, RunSpec
from models.cells import CELLS
from models.kinds import MODELS
from tasks import TASKS

AXES = ("gap", "model", "bidirectional", "softmax", "cell", "clip", "gate_bias", "seed")
"""The fields of which several values may be compared."""

RUNS_AT_MOST = 24
OPTIONAL = ("length", "wiring", "text", "model", "gate_bias", "record_every", "eval_every")
"""What may be left out, and is then derived from the rest."""

WITHOUT_RECURRENCE: Mapping[str, Any] = {
    "bidirectional": False,
    "softmax": "full",
    "cell": USUAL_CELL,
    "gate_bias": None,
    "init": USUAL_INIT,
    "initial": USUAL_INITIAL,
    "truncate": None,
}
"""What a model without recurrence does not have, and is not asked for beside one that has."""

FIRST_CELLS = ("tanh", "relu", "gru", "lstm")

Value = Any
"""A field's value as JSON: a number, a word or None."""


def _first(name: str) -> tuple[Value, ...]:
    return FIRST_CELLS if name == "cell" else (FIELDS[name].default,)


@dataclass(frozen=True)
class Settings:
    """``axes`` has one or more values per field of ``AXES``; ``others`` the remaining fields that are not as usual."""

    axes: Mapping[str, tuple[Value, ...]] = field(default_factory=lambda: {name: _first(name) for name in AXES})
    others: Mapping[str, Value] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """The chosen value of a field that is no axis."""
        return self.others.get(name, FIELDS[name].default)

    def with_axis(self, name: str, values: Sequence[Value]) -> Settings:
        """These settings with other values on one axis."""
        return replace(self, axes={**self.axes, name: tuple(values)})

    def with_others(self, **values: Value) -> Settings:
        """These settings with other fields changed; what is as usual is not kept."""
        merged = {**self.others, **values}
        return replace(self, others={n: v for n, v in merged.items() if v != FIELDS[n].default})

    def _recurs(self, model: Value) -> bool:
        """Whether a model has a recurrence; one that there is not is left for the spec to refuse."""
        task = TASKS.get(self.value("task"))
        kind = MODELS.get(task.models[0] if model is None and task else model)
        return kind is None or kind.recurrent

    def specs(self) -> list[RunSpec]:
        """The runs, each combination once, in the order of the axes. Raises ``Refusal``."""
        for name in AXES:
            if not self.axes[name]:
                raise Refusal(f"{name} must have at least one value, but got none")
        asked = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*self.axes.values())]
        gated = any(cell in CELLS and CELLS[cell].memory_gate for cell in self.axes["cell"])
        distinct: dict[str, RunSpec] = {}
        for fields in asked:
            fields = {**self.others, **fields}
            if not self._recurs(fields["model"]):
                fields.update(WITHOUT_RECURRENCE)
            cell = CELLS.get(fields["cell"])
            if gated and cell is not None and cell.memory_gate is None:
                fields["gate_bias"] = None  # meant for those beside it that have a gate
            spec = RunSpec.make(**fields)
            distinct.setdefault(spec.digest(), spec)
        if len(distinct) > RUNS_AT_MOST:
            raise Refusal(f"a comparison must have at most {RUNS_AT_MOST} runs, but got {len(distinct)}")
        return list(distinct.values())


def settings_of(specs: Sequence[RunSpec]) -> Settings:
    """The settings that ask for ``specs``: where those are no full grid, for the smallest grid that holds them."""
    seen: dict[str, list[Value]] = {}
    any_recurs = any(recurrent(spec) for spec in specs)
    for spec in specs:
        for name, value in _asked(spec).items():
            if name in WITHOUT_RECURRENCE and any_recurs and not recurrent(spec):
                continue
            values = seen.setdefault(name, [])
            if value not in values:
                values.append(value)
    axes = {name: tuple(seen[name]) for name in AXES}
    axes["cell"] = tuple(cell for cell in CELLS if cell in axes["cell"])  # the order of the controls
    if len(axes["model"]) > 1:
        usual = TASKS[specs[0].task].models[0]
        axes["model"] = tuple(usual if model is None else model for model in axes["model"])
    return Settings(axes).with_others(**{n: v[0] for n, v in seen.items() if n not in AXES})


def asked_for(specs: Sequence[Mapping[str, Any]]) -> Settings | None:
    """The settings of stored specs; None where there are none, or one that this version would not run."""
    try:
        return settings_of([RunSpec.from_json(spec) for spec in specs]) if specs else None
    except Refusal:
        return None


def _asked(spec: RunSpec) -> dict[str, Value]:
    """The fields of a spec with what was derived taken out again."""
    fields = spec.to_json()
    for name in OPTIONAL:
        without = {**fields, name: None}
        with suppress(Refusal):  # the task's own text may be too short for this gap
            if RunSpec.from_json(without) == spec:
                fields = without
    return fields
