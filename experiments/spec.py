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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from experiments import grammar
from experiments.cost import Cost, predict, unaffordable
from experiments.rules import broken, recurrent
from models.cells import CELLS
from models.kinds import MODELS
from tasks import LONGEST, TASKS

__all__ = ["FIELDS", "Cost", "FieldInfo", "Refusal", "RunSpec", "checked", "expand", "predict"]

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
    kind: Literal["int", "float", "choice", "text", "switch"]
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    default: Any

    def said(self, value: object) -> str:
        """A value with its unit, in the singular where it is one."""
        unit = self.unit.removesuffix("s") if value == 1 else self.unit
        return f"{value} {unit}".rstrip()


_LONGEST = max(LONGEST, *(info.overhead(info.max_gap) for info in TASKS.values()))


def _field(
    label: str, help_: str, default: Any, *, ge: float | None = None, le: float | None = None, unit: str = ""
) -> Any:
    bounds: dict[str, Any] = {k: v for k, v in (("ge", ge), ("le", le)) if v is not None}
    return Field(default=default, title=label, description=help_, json_schema_extra={"unit": unit}, **bounds)


Choice = Annotated[str, PlainValidator(grammar.choice)]


class RunSpec(BaseModel):
    """One run: a cell, a task, and how it is trained. Build it with ``RunSpec.make``.

    What may be left out (``wiring``, ``text``, ``model``, ``gate_bias``, ``record_every``, ``eval_every``) is resolved
    on construction, so that the stored spec repeats the run even where a default changes later.
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
    wiring: Annotated[str | None, PlainValidator(grammar.word)] = _field(
        "Wiring", "Where the answer is given: once, at the end, or at every step; left out, the task's own.", None
    )
    text: Annotated[str | None, PlainValidator(grammar.text_or_none)] = _field(
        "Text", "What the network learns to go on with, character by character; left out, the task's own.", None
    )
    model: Annotated[str | None, PlainValidator(grammar.choice_or_none)] = _field(
        "Model", "The kind of network; left out, the task's own.", None
    )
    bidirectional: Annotated[bool, PlainValidator(grammar.switch)] = _field(
        "Two directions", "Read the sequence forwards and backwards, and answer from both states.", False
    )
    softmax: Choice = _field(
        "Softmax", "How the last layer turns the state into probabilities of the words while it is trained.", "full"
    )
    cell: Choice = _field("Cell", "The recurrence.", "tanh")
    hidden: int = _field("Hidden size", "Units in the state of each layer.", 64, ge=1, le=1024, unit="units")
    layers: int = _field("Layers", "Recurrent layers, one on top of the other.", 1, ge=1, le=8, unit="layers")
    init: Annotated[str, PlainValidator(grammar.init)] = _field(
        "Initialisation",
        "How the weights begin: torch's default, an orthogonal recurrent matrix, the identity (IRNN), or torch's "
        "default with the recurrent weights multiplied by a factor F.",
        "torch",
    )
    gate_bias: Annotated[float | str | None, PlainValidator(grammar.gate_bias)] = _field(
        "Gate bias",
        "How far open the memory gate begins (the LSTM's forget gate, the GRU's update gate): a number, or chrono, "
        "which spreads the time scales up to the length; left out, chrono.",
        None,
        ge=-20,
        le=20,
    )
    initial: Choice = _field(
        "Initial state", "What the first step begins from: all zeros, or a state that is learned like a weight.", "zero"
    )
    inputs: Choice = _field(
        "Input", "How a word enters: a learned embedding, or one-hot. Numbers enter as they are.", "embedding"
    )
    embedding: int = _field("Embedding size", "Numbers per embedded word.", 32, ge=1, le=1024, unit="numbers")
    optimizer: Choice = _field("Optimiser", "momentum is SGD with 0.9; rmsprop smooths with 0.9.", "adam")
    learning_rate: float = _field("Learning rate", "The size of an update.", 3e-3, ge=1e-9, le=100.0)
    batch: int = _field("Batch", "Fresh sequences per training step.", 64, ge=1, le=1024, unit="sequences")
    steps: int = _field("Steps", "How many updates to make.", 500, ge=1, le=1_000_000, unit="training steps")
    clip: Annotated[str, PlainValidator(grammar.clip)] = _field(
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
        if said := broken(self):
            raise ValueError("\n".join(said))
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
        kind = MODELS[self.model or TASKS[self.task].models[0]]
        parts = [cell.title if kind.recurrent else kind.title]
        if self.bidirectional:
            parts.append("two directions")
        if self.layers > 1:
            parts.append(f"{self.layers} layers")
        if self.init != "torch":
            parts.append(f"init {self.init.replace(':', ' ')}")
        if self.gate_bias is not None and self.gate_bias != _default_gate_bias(self):
            bias = self.gate_bias if isinstance(self.gate_bias, str) else f"{self.gate_bias:+g}"
            parts.append(f"{cell.memory_gate} bias {bias}")
        if self.initial == "learned":
            parts.append("learned initial state")
        if self.softmax != "full":
            parts.append(f"{self.softmax} softmax")
        rule, threshold = self.clip_rule
        parts.append("no clipping" if rule == "none" else f"clip {rule} {threshold:g}")
        if self.truncate is not None:
            parts.append(f"truncated at {self.truncate}")
        return " · ".join([*parts, f"seed {self.seed}"])


def checked(name: str, value: object) -> Any:
    """A value of ``clip``, ``init``, ``gate_bias`` or ``text`` as a spec holds it, or ``Refusal``.

    By the rules of that field alone: whether it goes with the other fields (a gate bias with the cell) only the whole
    spec can say.
    """
    try:
        return grammar.GRAMMARS[name](value)
    except ValueError as error:
        raise Refusal(f"{name} {error}") from None


def _default_gate_bias(spec: RunSpec) -> str | None:
    return DEFAULT_GATE_BIAS if CELLS[spec.cell].memory_gate and recurrent(spec) else None


def _derived(spec: RunSpec) -> dict[str, Any]:
    """What each field that may be left out becomes, from the fields that may not."""
    return {
        "wiring": TASKS[spec.task].wirings[0],
        "text": TASKS[spec.task].own_text,
        "model": TASKS[spec.task].models[0],
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
        got = grammar.got(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                near = difflib.get_close_matches(name, list(FIELDS), 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                said.append(f"a setting must be one of {', '.join(FIELDS)}, {grammar.got(name)}{hint}")
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
    choices = {**grammar.CHOICES, "wiring": wirings, "init": grammar.INITS, "clip": grammar.CLIPS}.get(name, ())
    kind: Literal["int", "float", "choice", "text", "switch"] = "text"
    if name in grammar.CHOICES or name == "wiring":
        kind = "choice"
    elif name == "learning_rate":
        kind = "float"
    elif isinstance(field.default, bool):
        kind = "switch"
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
