"""What the person should hear of while training runs: each kind once, as it happens, to a function of theirs too."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from diagnostics.measures import events as clipping_events
from diagnostics.measures.clipping import parse_rule
from diagnostics.measures.evidence import EXPLODING_RATIO
from diagnostics.measures.first_non_finite import Found, Stage, backward_stage, first_non_finite, forward_stage
from diagnostics.measures.profile import bands_by_lag
from diagnostics.measures.reach import REACH_THRESHOLD
from diagnostics.measures.verdict import verdict
from diagnostics.records import Array, Records, Run
from diagnostics.watching.passing import Pass

KINDS = (
    "vanishing",
    "exploding",
    "non_finite",
    "clip_erased",
    "clip_made_nan",
    "clip_not_applied",
    "step_skipped",
    "self_check",
)


@dataclass(frozen=True)
class Event:
    """Something that happened in a watched training step; ``layer`` and ``timestep``, from 0, where it has a place."""

    kind: str
    """One of ``KINDS``."""
    step: int
    layer: int | None
    timestep: int | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


OnEvent = Callable[[Event], object] | Mapping[str, Callable[[Event], object]]


def checked(on_event: OnEvent | None) -> OnEvent | None:
    """``on_event`` as it is; raises ``ValueError`` where it is no function and no dict of them by kind."""
    if on_event is None or (callable(on_event) and not isinstance(on_event, Mapping)):
        return on_event
    if not isinstance(on_event, Mapping):
        raise ValueError(f"on_event must be a function or a dict of functions by kind, but got {on_event!r}")
    for kind, call in on_event.items():
        if kind not in KINDS:
            raise ValueError(f"on_event must have keys out of {', '.join(KINDS)}, but got {kind!r}")
        if not callable(call):
            raise ValueError(f"on_event[{kind!r}] must be a function, but got {call!r}")
    return on_event


class Events:
    """All events so far, at most one of each kind for each recurrent part."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = checked(on_event)
        self._said: dict[tuple[str, str], Event] = {}

    @property
    def all(self) -> tuple[Event, ...]:
        """In the order in which they happened."""
        return tuple(self._said.values())

    def said(self, kind: str, part: str = "") -> bool:
        """Whether this was said already; ``part`` is a recurrent part of the model, or a parameter, or neither."""
        return (kind, part) in self._said

    def say(
        self, kind: str, step: int, sentence: str, part: str = "", layer: int | None = None, timestep: int | None = None
    ) -> None:
        """Note an event, and tell the person's function of it; what that raises is a warning."""
        if self.said(kind, part):
            return
        event = Event(kind, step, layer, timestep, sentence)
        self._said[kind, part] = event
        call = self._on_event.get(kind) if isinstance(self._on_event, Mapping) else self._on_event
        if call is None:
            return
        try:
            call(event)
        except Exception as error:
            warnings.warn(
                f"on_event raised {type(error).__name__} on the event {kind!r}, and training goes on: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def profile(self, run: Run, part: str, step: int) -> None:
        """Look at the one profile that ``run`` holds."""
        if not any(_may_be(run, kind) for kind in ("vanishing", "exploding") if not self.said(kind, part)):
            return
        found = verdict(run)
        # Where nobody said how far back the answer lies, a gradient that fades is told as one that vanishes is.
        kind = "vanishing" if found.kind == "fades" else found.kind
        if kind in ("vanishing", "exploding"):
            self.say(kind, step, f"{part}, training step {step}: {found.sentence}", part, _top(run))

    def clipping(self, columns: Mapping[str, Any], rule: str) -> None:
        """Look at one step's row of the step stream; ``rule`` is that of its clipping, "" where nobody told it."""
        kind, threshold = parse_rule(rule) if rule else ("none", math.inf)
        pre, post = columns["grad_norm_pre"], columns["grad_norm_post"]
        if not (post == 0 or math.isnan(post) or (kind == "norm" and post == pre > threshold)):
            return
        one = Records({name: np.asarray([value]) for name, value in columns.items()})
        spec = {"clip": rule if kind != "none" else "value:1"}  # whatever was done, it was done to the gradient
        for event in clipping_events.events(Run("", "", "running", spec, None, one)):
            if event.fault:
                self.say(f"clip_{event.kind}", int(columns["step"]), event.sentence)

    def non_finite(self, step: int, found: Found | None, part: str, layers: int, otherwise: str) -> str:
        """Say where the first value that is not finite stands, ``otherwise`` where nobody knows; return the words."""
        words = otherwise if found is None else found.sentence(layers) + (f", in {part}" if part else "")
        layer, timestep = (None, None) if found is None else (found.layer, found.timestep)
        self.say("non_finite", step, f"Training step {step}: {words}.", "", layer, timestep)
        return words


def broken_in(passes: Sequence[Pass]) -> tuple[Found, Pass] | None:
    """The first value that is not finite in the states of the passes, else in their gradients.

    The passes come in the order of the backward pass. A timestep is that of the sequence, also in reverse.
    """
    for stages, order in ((_forward, passes[::-1]), (_backward, passes)):
        for one in order:
            found = first_non_finite(stages(one))
            if found is not None:
                if one.direction == "reverse" and found.timestep is not None:
                    found = found._replace(timestep=len(one.layers[0].h) - 1 - found.timestep)
                return found, one
    return None


def broken_tensor(name: str, values: Tensor) -> Found | None:
    """The same of one whole tensor."""
    return first_non_finite([Stage({name: array(values)})])


def _may_be(run: Run, kind: str) -> bool:
    """Whether the verdict on a run of one profile can be ``kind``: a look that takes a twentieth of the verdict's time,
    which at every training step is time of theirs."""
    facts = run.facts
    if facts is None:
        return False
    phi = bands_by_lag(run.records, facts.loss_step, ahead=facts.ahead).median
    if not phi.size:
        return False
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        way = phi[0] / phi[0, 0]
    return bool((way < REACH_THRESHOLD if kind == "vanishing" else way > EXPLODING_RATIO).any())


def _forward(one: Pass) -> Iterator[Stage]:
    for layer, states in enumerate(one.layers):
        gates = {name: array(values) for name, values in states.gates.items()}
        yield forward_stage(layer, gates, None if states.c is None else array(states.c), array(states.h))


def _backward(one: Pass) -> Iterator[Stage]:
    for layer, states in reversed(list(enumerate(one.layers))):
        yield backward_stage(layer, array(states.grad_h), None if states.grad_c is None else array(states.grad_c))


def array(values: Tensor) -> Array:
    """A tensor as NumPy sees it; bfloat16, which NumPy has not, as float32."""
    found: Array = (
        values.detach().cpu().float().numpy() if values.element_size() == 2 else values.detach().cpu().numpy()
    )
    return found


def _top(run: Run) -> int:
    return int(run.spec.get("layers", 1)) - 1
