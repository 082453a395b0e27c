"""What a run is asked to be: one frozen, validated model that serves the page, the command line and the store.

Free of torch. A request that cannot be met raises ``Refusal``, whose text is a sentence per broken rule and names
the parameter, the rule and the value. Nothing is built or allocated before a request has been accepted.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, ValidationInfo, model_validator

import tasks
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from experiments.cost import Cost, predict, unaffordable
from models.cells import CELLS
from tasks import LONGEST, TASKS

__all__ = ["FIELDS", "Cost", "FieldInfo", "Refusal", "RunSpec", "checked", "expand", "predict"]

INITS = ("torch", "orthogonal", "identity", "scaled:F")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
CLIPS = ("none", "norm:THRESHOLD", "value:THRESHOLD")
CLIP_LEAST, CLIP_MOST = THRESHOLD_LEAST, THRESHOLD_MOST
DEVICES = ("auto", "cpu", "cuda", "mps")
DEFAULT_GATE_BIAS = "chrono"
"""A gate remembers only if it starts open: at gap 40 a forget bias of 1 (3.7 steps of memory) learns nothing in time.
Chrono learns gaps from 20 to 60 within 160 steps, and since it also keeps the LSTM's cell from filling up with what
does not matter, the gradient still arrives after it has learned (with forget biases from 3 to 6 it often did not)."""

PROFILES_AT_MOST = 1000
"""How many profiles a run records where ``record_every`` is left to us; a screen shows no more."""


class Refusal(ValueError):  # noqa: N818 - nothing went wrong: the word is what the person is told
    """A request that cannot be met. Its text is one sentence per broken rule, each on a line of its own."""


@dataclass(frozen=True)
class FieldInfo:
    """One parameter of a run as the page and the command line show it; read off ``RunSpec``, so never out of step."""

    name: str
    label: str
    help: str
    unit: str
    kind: Literal["int", "float", "choice", "text"]
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    default: Any

    def said(self, value: object) -> str:
        """A value with its unit, in the singular where it is one."""
        unit = self.unit.removesuffix("s") if value == 1 else self.unit
        return f"{value} {unit}".rstrip()


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "an integer above 10**30"
    return text if len(text) <= 60 else text[:57] + "..."


def _got(value: object) -> str:
    """What was given, as every refusal ends. None and null are words of Python and JSON, not of people."""
    return "but nothing was given" if value is None else f"but got {_shown(value)}"


def _one_of(value: object, choices: Sequence[str]) -> str:
    """The rule that ``value`` breaks by not being among ``choices``, with the nearest choice where one is near."""
    near = difflib.get_close_matches(value.lower(), choices, 1) if isinstance(value, str) else []
    return f"must be one of {', '.join(choices)}, {_got(value)}" + (f" (did you mean {near[0]!r}?)" if near else "")


_LONGEST = max(LONGEST, *(info.overhead(info.max_gap) for info in TASKS.values()))

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "cell": tuple(CELLS),
    "inputs": ("embedding", "onehot"),
    "optimizer": OPTIMIZERS,
    "device": DEVICES,
}


def _choice(value: object, info: ValidationInfo) -> str:
    choices = _CHOICES[str(info.field_name)]
    if not isinstance(value, str) or value not in choices:
        raise ValueError(_one_of(value, choices))
    return value


def _wiring(value: object) -> str | None:
    # Which wirings a task allows is a rule across fields, below; here only that it is a word at all.
    if value is not None and not isinstance(value, str):
        raise ValueError(f"must be a word, {_got(value)}")
    return value


def _number(text: str) -> float | None:
    """The finite number that ``text`` is; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clip(value: object) -> str:
    if value == "none":
        return "none"
    kind, _, threshold = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("norm", "value"):
        raise ValueError(_one_of(value, CLIPS))
    number = _number(threshold)
    if number is None:
        raise ValueError(f"must have a number as its threshold, such as {kind}:1.0, {_got(value)}")
    if not CLIP_LEAST <= number <= CLIP_MOST:
        raise ValueError(f"must have a threshold between 1e-12 and 1e12, {_got(value)}")
    return f"{kind}:{number!r}"


def _init(value: object) -> str:
    if isinstance(value, str) and value in INITS[:-1]:
        return value
    kind, _, factor = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind != "scaled":
        raise ValueError(_one_of(value, INITS))
    number = _number(factor)
    if number is None:
        raise ValueError(f"must have a number as its factor, such as scaled:2, {_got(value)}")
    if not 0 < number <= 100:
        raise ValueError(f"must have a factor above 0 and at most 100, {_got(value)}")
    return f"scaled:{number!r}"


def _gate_bias(value: object) -> float | str | None:
    if value is None or value == "chrono":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"must be a finite number or chrono, {_got(value)}")
    if not -20 <= value <= 20:
        raise ValueError(f"must be between -20 and 20, {_got(value)}")
    return float(value)


def _field(
    label: str, help_: str, default: Any, *, ge: float | None = None, le: float | None = None, unit: str = ""
) -> Any:
    bounds: dict[str, Any] = {k: v for k, v in (("ge", ge), ("le", le)) if v is not None}
    return Field(default=default, title=label, description=help_, json_schema_extra={"unit": unit}, **bounds)


Choice = Annotated[str, PlainValidator(_choice)]


class RunSpec(BaseModel):
    """One run: a cell, a task, and how it is trained. Build it with ``RunSpec.make``.

    What may be left out (``wiring``, ``gate_bias``, ``record_every``, ``eval_every``) is resolved on construction,
    so that the stored spec repeats the run even where a default changes later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    task: Choice = _field("Task", "What the network must remember, and for how long.", "france")
    gap: int = _field(
        "Gap", "How many steps lie between what must be remembered and the answer.", 40, ge=1, unit="timesteps"
    )
    length: int | None = _field(
        "Length",
        "The whole sequence; left out, it is as short as the gap allows.",
        None,
        ge=1,
        le=_LONGEST,
        unit="timesteps",
    )
    wiring: Annotated[str | None, PlainValidator(_wiring)] = _field(
        "Wiring", "Where the answer is given: once, at the end, or at every step; left out, the task's own.", None
    )
    cell: Choice = _field("Cell", "The recurrence.", "tanh")
    hidden: int = _field("Hidden size", "Units in the state of each layer.", 64, ge=1, le=1024, unit="units")
    layers: int = _field("Layers", "Recurrent layers, one on top of the other.", 1, ge=1, le=8, unit="layers")
    init: Annotated[str, PlainValidator(_init)] = _field(
        "Initialisation",
        "How the weights begin: torch's default, an orthogonal recurrent matrix, the identity (IRNN), or torch's "
        "default with the recurrent weights multiplied by a factor F.",
        "torch",
    )
    gate_bias: Annotated[float | str | None, PlainValidator(_gate_bias)] = _field(
        "Gate bias",
        "How far open the memory gate begins (the LSTM's forget gate, the GRU's update gate): a number, or chrono, "
        "which spreads the time scales up to the length; left out, chrono.",
        None,
        ge=-20,
        le=20,
    )
    inputs: Choice = _field(
        "Input", "How a word enters: a learned embedding, or one-hot. Numbers enter as they are.", "embedding"
    )
    embedding: int = _field("Embedding size", "Numbers per embedded word.", 32, ge=1, le=1024, unit="numbers")
    optimizer: Choice = _field("Optimiser", "momentum is SGD with 0.9; rmsprop smooths with 0.9.", "adam")
    learning_rate: float = _field("Learning rate", "The size of an update.", 3e-3, ge=1e-9, le=100.0)
    batch: int = _field("Batch", "Fresh sequences per training step.", 64, ge=1, le=1024, unit="sequences")
    steps: int = _field("Steps", "How many updates to make.", 500, ge=1, le=1_000_000, unit="training steps")
    clip: Annotated[str, PlainValidator(_clip)] = _field(
        "Clipping",
        "none, norm:THRESHOLD (the whole gradient is scaled to that length) or value:THRESHOLD (each entry is cut).",
        "norm:1.0",
    )
    truncate: int | None = _field(
        "Truncate at",
        "Chunk length of truncated backpropagation, counted back from the end: the state is carried from chunk to "
        "chunk, but a loss's gradient reaches back only to the beginning of its own chunk; left out, the gradient "
        "goes back through the whole sequence.",
        None,
        ge=1,
        le=_LONGEST,
        unit="timesteps",
    )
    seed: int = _field("Seed", "Decides the weights, the batches and the held-out set.", 0, ge=0, le=2**32 - 1)
    device: Choice = _field(
        "Device", "Where it is computed; auto takes the CPU, which is fastest at these sizes.", "auto"
    )
    record_every: int | None = _field(
        "Record every",
        f"A gradient profile is kept every so many steps; left out, so that at most {PROFILES_AT_MOST} are kept.",
        None,
        ge=1,
        le=1_000_000,
        unit="training steps",
    )
    eval_every: int | None = _field(
        "Measure every",
        "The held-out set is measured every so many steps; left out, 25 times in a run.",
        None,
        ge=1,
        le=1_000_000,
        unit="training steps",
    )

    @model_validator(mode="after")
    def _agree(self) -> RunSpec:
        """The rules across fields, then the resolution of what was left out."""
        broken = [*_task_rules(self), *_cell_rules(self)]
        if broken:
            raise ValueError("\n".join(broken))
        for name, value in _derived(self).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        return self

    @classmethod
    def make(cls, **fields: Any) -> RunSpec:
        """A spec from what was asked, or ``Refusal``: also where this machine has not the memory or the disk for it."""
        spec = cls.from_json(fields)
        # Here, not in the validator: a stored spec stays readable however little memory is free today.
        if said := unaffordable(spec):
            raise Refusal("\n".join(said))
        return spec

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> RunSpec:
        """A spec from its JSON form, or ``Refusal``. What a machine can afford is not asked."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise Refusal("\n".join(_sentences(error))) from None

    def to_json(self) -> dict[str, Any]:
        """The JSON form; ``from_json`` gives back an equal spec."""
        return self.model_dump()

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: equal specs, equal digests."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def changed(self, **fields: Any) -> RunSpec:
        """This spec with some fields changed; what had been left to us follows the change. Raises ``Refusal``."""
        kept = self.to_json()
        for name, value in _derived(self).items():
            if kept[name] == value:
                kept[name] = None
        return type(self).make(**{**kept, **fields})

    @property
    def timesteps(self) -> int:
        """T, the length of a sequence."""
        return self.length if self.length is not None else TASKS[self.task].overhead(self.gap)

    @property
    def clip_rule(self) -> tuple[str, float]:
        """``("none", inf)``, ``("norm", threshold)`` or ``("value", threshold)``."""
        kind, _, threshold = self.clip.partition(":")
        return kind, float(threshold) if threshold else math.inf

    def label(self) -> str:
        """A short name: the cell, what is not as usual about it, the clipping and the seed."""
        cell = CELLS[self.cell]
        parts = [cell.title]
        if self.layers > 1:
            parts.append(f"{self.layers} layers")
        if self.init != "torch":
            parts.append(f"init {self.init.replace(':', ' ')}")
        if self.gate_bias is not None and self.gate_bias != _default_gate_bias(self):
            bias = self.gate_bias if isinstance(self.gate_bias, str) else f"{self.gate_bias:+g}"
            parts.append(f"{cell.memory_gate} bias {bias}")
        kind, threshold = self.clip_rule
        parts.append("no clipping" if kind == "none" else f"clip {kind} {threshold:g}")
        if self.truncate is not None:
            parts.append(f"truncated at {self.truncate}")
        return " · ".join([*parts, f"seed {self.seed}"])


_GRAMMARS: Mapping[str, Callable[[object], Any]] = {"clip": _clip, "init": _init, "gate_bias": _gate_bias}


def checked(name: str, value: object) -> Any:
    """A value of ``clip``, ``init`` or ``gate_bias`` as a spec holds it, or ``Refusal``.

    By the rules of that field alone: whether it goes with the other fields (a gate bias with the cell) only the whole
    spec can say.
    """
    try:
        return _GRAMMARS[name](value)
    except ValueError as error:
        raise Refusal(f"{name} {error}") from None


def _task_rules(spec: RunSpec) -> list[str]:
    try:
        tasks.check(spec.task, spec.gap, spec.length, spec.wiring)
    except ValueError as error:
        return [str(error)]
    return []


def _cell_rules(spec: RunSpec) -> list[str]:
    if spec.gate_bias is not None and CELLS[spec.cell].memory_gate is None:
        gated = ", ".join(name for name, cell in CELLS.items() if cell.memory_gate)
        return [
            f"gate_bias must be left out for the cell {spec.cell} (only {gated} have a gate), "
            f"but got {spec.gate_bias!r}"
        ]
    return []


def _default_gate_bias(spec: RunSpec) -> str | None:
    return DEFAULT_GATE_BIAS if CELLS[spec.cell].memory_gate else None


def _derived(spec: RunSpec) -> dict[str, Any]:
    """What each field that may be left out becomes, from the fields that may not."""
    return {
        "wiring": TASKS[spec.task].wirings[0],
        "gate_bias": _default_gate_bias(spec),
        "record_every": -(-spec.steps // PROFILES_AT_MOST),
        "eval_every": max(1, spec.steps // 25),
    }


def _sentences(error: ValidationError) -> list[str]:
    """Pydantic's findings, each as one sentence with the parameter, the rule and the value."""
    said = []
    for finding in error.errors(include_url=False):
        name = str(finding["loc"][0]) if finding["loc"] else ""
        context = finding.get("ctx", {})
        got = _got(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                near = difflib.get_close_matches(name, list(FIELDS), 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                said.append(f"a setting must be one of {', '.join(FIELDS)}, {_got(name)}{hint}")
            case "greater_than_equal":
                said.append(f"{name} must be at least {context['ge']}, {got}")
            case "less_than_equal":
                said.append(f"{name} must be at most {context['le']}, {got}")
            case "finite_number":
                said.append(f"{name} must be a finite number, {got}")
            case "value_error":
                said.append(f"{name} {context['error']}".strip())
            case _:
                kind = "a whole number" if FIELDS[name].kind == "int" else "a number"
                said.append(f"{name} must be {kind}, {got}")
    return said


def expand(
    *,
    cells: Sequence[str] = ("tanh",),
    seeds: Sequence[int] = (0,),
    clips: Sequence[str] = ("norm:1.0",),
    **common: Any,
) -> list[RunSpec]:
    """Every combination of cells, clipping rules and seeds, in that order. Raises ``Refusal``.

    A gate bias among several cells is meant for those that have a gate; it is refused only where none has.
    """
    for name, values in (("cell", cells), ("seed", seeds), ("clip", clips)):
        if not values:
            raise Refusal(f"{name} must have at least one value, but got none")
    any_gate = any(cell in CELLS and CELLS[cell].memory_gate for cell in cells)
    specs = []
    for cell, clip, seed in itertools.product(cells, clips, seeds):
        fields = {**common, "cell": cell, "clip": clip, "seed": seed}
        if any_gate and cell in CELLS and CELLS[cell].memory_gate is None:
            fields.pop("gate_bias", None)
        specs.append(RunSpec.make(**fields))
    return specs


def _info(name: str) -> FieldInfo:
    field = RunSpec.model_fields[name]
    bounds = {
        attribute: getattr(rule, attribute)
        for rule in field.metadata
        for attribute in ("ge", "le")
        if hasattr(rule, attribute)
    }
    extra = field.json_schema_extra
    wirings = tuple(dict.fromkeys(w for task in TASKS.values() for w in task.wirings))
    choices = {**_CHOICES, "wiring": wirings, "init": INITS, "clip": CLIPS}.get(name, ())
    kind: Literal["int", "float", "choice", "text"] = "choice" if name in _CHOICES or name == "wiring" else "text"
    if name == "learning_rate":
        kind = "float"
    elif "int" in str(field.annotation):
        kind = "int"
    return FieldInfo(
        name=name,
        label=str(field.title),
        help=str(field.description),
        unit=str(extra["unit"]) if isinstance(extra, dict) else "",
        kind=kind,
        minimum=bounds.get("ge"),
        maximum=bounds.get("le"),
        choices=choices,
        default=field.default,
    )


FIELDS: Mapping[str, FieldInfo] = {name: _info(name) for name in RunSpec.model_fields}
"""Every parameter of a run, in the order in which a person meets them."""
