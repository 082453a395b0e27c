"""The rules of a spec that span several of its fields, each broken one as a sentence. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import tasks
from models.cells import CELLS
from models.kinds import MODELS
from tasks import TASKS


class Asked(Protocol):
    """The part of a spec that the rules are about."""

    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def gap(self) -> int: ...  # noqa: D102
    @property
    def length(self) -> int | None: ...  # noqa: D102
    @property
    def wiring(self) -> str | None: ...  # noqa: D102
    @property
    def text(self) -> str | None: ...  # noqa: D102
    @property
    def model(self) -> str | None: ...  # noqa: D102
    @property
    def bidirectional(self) -> bool: ...  # noqa: D102
    @property
    def softmax(self) -> str: ...  # noqa: D102
    @property
    def cell(self) -> str: ...  # noqa: D102
    @property
    def layers(self) -> int: ...  # noqa: D102
    @property
    def init(self) -> str: ...  # noqa: D102
    @property
    def initial(self) -> str: ...  # noqa: D102
    @property
    def gate_bias(self) -> float | str | None: ...  # noqa: D102
    @property
    def truncate(self) -> int | None: ...  # noqa: D102


USUAL_CELL, USUAL_INIT, USUAL_INITIAL = "tanh", "torch", "zero"
"""What a network without recurrence, which has neither, keeps these settings at."""


def broken(spec: Asked) -> list[str]:
    """A sentence for each rule that ``spec`` breaks."""
    try:
        tasks.check(spec.task, spec.gap, spec.length, spec.wiring, spec.text)
    except ValueError as error:
        return [str(error)]
    return [*_of_the_task(spec), *_of_the_model(spec), *_of_truncation(spec)]


def recurrent(spec: Asked) -> bool:
    """Whether the network of ``spec`` has a recurrence; also where its model is not one of the task's."""
    return MODELS[spec.model or TASKS[spec.task].models[0]].recurrent


def _of_the_task(spec: Asked) -> Iterator[str]:
    info = TASKS[spec.task]
    if spec.model is not None and spec.model not in info.models:
        yield f"model must be {_or(info.models)} for the task {spec.task}, but got {spec.model!r}"
    if spec.bidirectional and not info.bidirectional:
        those = [name for name, other in TASKS.items() if other.bidirectional]
        only = f" (only {', '.join(those)} can be read in two directions)" if those else ""
        yield f"bidirectional must be off for the task {spec.task}{only}, but got on"
    if info.bridge and spec.initial != USUAL_INITIAL:
        yield (
            f"initial must be {USUAL_INITIAL} for the task {spec.task}, whose decoder begins with what the encoder "
            f"hands over, but got {spec.initial!r}"
        )
    if spec.softmax not in info.softmaxes:
        yield f"softmax must be {_or(info.softmaxes)} for the task {spec.task}, but got {spec.softmax!r}"


def _of_the_model(spec: Asked) -> Iterator[str]:
    kind = MODELS[spec.model or TASKS[spec.task].models[0]]
    if spec.layers > kind.most_layers:
        yield f"layers must be at most {kind.most_layers} for the model {kind.name}, but got {spec.layers}"
    wiring = spec.wiring or TASKS[spec.task].wirings[0]
    if not kind.recurrent and wiring == "many-to-many":
        yield f"wiring must be many-to-one for the model {kind.name}, which answers once, but got {wiring!r}"
    if kind.recurrent:
        if spec.gate_bias is not None and CELLS[spec.cell].memory_gate is None:
            gated = ", ".join(name for name, cell in CELLS.items() if cell.memory_gate)
            yield (
                f"gate_bias must be left out for the cell {spec.cell} (only {gated} have a gate), "
                f"but got {spec.gate_bias!r}"
            )
        return
    usual = {
        "cell": USUAL_CELL,
        "init": USUAL_INIT,
        "initial": USUAL_INITIAL,
        "gate_bias": None,
        "bidirectional": False,
        "softmax": "full",
    }
    for name, value in usual.items():
        got = getattr(spec, name)
        if got != value:
            yield f"{name} must be left out for the model {kind.name}, which has no recurrence, but got {_said(got)}"


def _of_truncation(spec: Asked) -> Iterator[str]:
    if spec.truncate is None:
        return
    info = TASKS[spec.task]
    why = (
        "the gradient goes through no time there"
        if not recurrent(spec)
        else "a second direction begins at the end of the sequence"
        if spec.bidirectional
        else "a decoder takes over in the middle of the sequence"
        if info.bridge
        else "its sequences end at different timesteps"
        if info.lengths
        else ""
    )
    if why:
        about = f"model {spec.model}" if not recurrent(spec) else f"task {spec.task}"
        about = "network in two directions" if recurrent(spec) and spec.bidirectional else about
        yield f"truncate must be left out for the {about} ({why}), but got {spec.truncate}"


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _said(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else repr(value)
