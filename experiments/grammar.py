"""The values of a run's settings: what each may be, by its own rule alone, and the words that refuse it. Free of torch.

Whoever is asked returns the value as a spec holds it, or raises ``ValueError`` with the rule and the value, to be read
after the setting's name.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationInfo

from diagnostics.measures.clipping import is_threshold
from models.cells import CELLS
from models.kinds import MODELS
from tasks import TASKS, characters

INITS = ("torch", "orthogonal", "identity", "scaled:F")
INITIALS = ("zero", "learned")
OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
CLIPS = ("none", "norm:THRESHOLD", "value:THRESHOLD")
SOFTMAXES = ("full", "adaptive", "hierarchical", "nce")
DEVICES = ("auto", "cpu", "cuda", "mps")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "an integer above 10**30"
    return text if len(text) <= 60 else text[:57] + "..."


def got(value: object) -> str:
    """What was given, as every refusal ends. None and null are words of Python and JSON, not of people."""
    return "but nothing was given" if value is None else f"but got {_shown(value)}"


def _one_of(value: object, choices: Sequence[str]) -> str:
    """The rule that ``value`` breaks by not being among ``choices``, with the nearest choice where one is near."""
    near = difflib.get_close_matches(value.lower(), choices, 1) if isinstance(value, str) else []
    return f"must be one of {', '.join(choices)}, {got(value)}" + (f" (did you mean {near[0]!r}?)" if near else "")


CHOICES: Mapping[str, tuple[str, ...]] = {
    "task": tuple(TASKS),
    "model": tuple(MODELS),
    "softmax": SOFTMAXES,
    "cell": tuple(CELLS),
    "initial": INITIALS,
    "inputs": ("embedding", "onehot"),
    "optimizer": OPTIMIZERS,
    "device": DEVICES,
}


def choice(value: object, info: ValidationInfo) -> str:
    """One of ``CHOICES`` of the field that is validated."""
    choices = CHOICES[str(info.field_name)]
    if not isinstance(value, str) or value not in choices:
        raise ValueError(_one_of(value, choices))
    return value


def choice_or_none(value: object, info: ValidationInfo) -> str | None:
    """The same where it may be left out."""
    return None if value is None else choice(value, info)


def switch(value: object) -> bool:
    """On or off."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, {got(value)}")
    return value


def text_or_none(value: object) -> str | None:
    """A text to learn from, as ``tasks.characters.checked`` has it; None where it is left out."""
    if value is None:
        return None
    try:
        return characters.checked(value)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("text ")) from None


def word(value: object) -> str | None:
    """A word, whichever: which wirings a task allows is a rule across fields (see ``rules``)."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"must be a word, {got(value)}")
    return value


def _number(text: str) -> float | None:
    """The finite number that ``text`` is; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def clip(value: object) -> str:
    """``none``, ``norm:THRESHOLD`` or ``value:THRESHOLD``."""
    if value == "none":
        return "none"
    kind, _, threshold = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("norm", "value"):
        raise ValueError(_one_of(value, CLIPS))
    number = _number(threshold)
    if number is None:
        raise ValueError(f"must have a number as its threshold, such as {kind}:1.0, {got(value)}")
    if not is_threshold(number):
        raise ValueError(f"must have a threshold between 1e-12 and 1e12, {got(value)}")
    return f"{kind}:{number!r}"


def init(value: object) -> str:
    """One of ``INITS``, with a factor for F."""
    if isinstance(value, str) and value in INITS[:-1]:
        return value
    kind, _, factor = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind != "scaled":
        raise ValueError(_one_of(value, INITS))
    number = _number(factor)
    if number is None:
        raise ValueError(f"must have a number as its factor, such as scaled:2, {got(value)}")
    if not 0 < number <= 100:
        raise ValueError(f"must have a factor above 0 and at most 100, {got(value)}")
    return f"scaled:{number!r}"


def gate_bias(value: object) -> float | str | None:
    """A number, ``chrono``, or None where it is left out."""
    if value is None or value == "chrono":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"must be a finite number or chrono, {got(value)}")
    if not -20 <= value <= 20:
        raise ValueError(f"must be between -20 and 20, {got(value)}")
    return float(value)


GRAMMARS: Mapping[str, Callable[[object], Any]] = {
    "clip": clip,
    "init": init,
    "gate_bias": gate_bias,
    "text": text_or_none,
}
"""Settings whose values have a grammar of their own."""
