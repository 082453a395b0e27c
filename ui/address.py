"""The page's address: what the controls ask for and which comparison is shown, so that a link opens it again.

Reading never fails: what makes no sense is left out, with a sentence that says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from experiments.spec import FIELDS, checked
from tasks import TASKS
from ui.settings import AXES, Settings, Value
from ui.words import shown

COMPARISON = "comparison"
VALUES_AT_MOST = 24
SWITCH = {"on": True, "off": False}
CHARACTERS_AT_MOST = 60
TEXT_AT_MOST = 1500


def parse(name: str, text: str) -> Value:
    """A field's value from text; raises ``ValueError`` with the sentence that says what is wrong with it."""
    info = FIELDS[name]
    if name == "text" and text not in ("", "None"):
        return checked(name, text)  # every blank of it counts
    text = text.strip()
    if text in ("", "None"):
        if info.default is None:
            return None
        raise ValueError(f"{name} must have a value, but got none")
    if info.kind == "int":
        return _within(name, _whole(name, text))
    if info.kind == "float" or (name == "gate_bias" and text != "chrono"):
        return _within(name, _real(name, text))
    if info.kind == "switch":
        if text not in SWITCH:
            raise ValueError(f"{name} must be {' or '.join(SWITCH)}, but got {quoted(text)}")
        return SWITCH[text]
    if info.kind == "choice":
        if text not in info.choices:
            raise ValueError(f"{name} must be one of {', '.join(info.choices)}, but got {quoted(text)}")
        return text
    return checked(name, text)  # clipping, initialisation and a gate bias in a word have a grammar of their own


def parse_list(name: str, text: str) -> tuple[Value, ...]:
    """Several values of a field, separated by commas, each once; raises ``ValueError`` as ``parse`` does."""
    parts = text.split(",")
    if len(parts) > VALUES_AT_MOST:
        raise ValueError(f"{name} must have at most {VALUES_AT_MOST} values, but got {len(parts)}")
    return tuple(dict.fromkeys(parse(name, part) for part in parts))


def write(settings: Settings) -> dict[str, str]:
    """The settings as query parameters; what is as usual is left out, so that a plain page has a plain address.

    A text of more than ``TEXT_AT_MOST`` characters is left out too: no browser carries it.
    """
    usual = Settings().with_axis("gap", (TASKS[settings.value("task")].default_gap,))
    params = {
        name: ",".join(_text(value) for value in settings.axes[name])
        for name in AXES
        if settings.axes[name] != usual.axes[name]
    }
    params |= {name: _text(value) for name, value in settings.others.items()}
    if len(params.get("text", "")) > TEXT_AT_MOST:
        del params["text"]
    return params


def asks(params: Mapping[str, str]) -> bool:
    """Whether a query says anything about what to train."""
    return any(name in params for name in FIELDS)


def read(params: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings of a query, and a sentence for each parameter that could not be used."""
    settings, said = Settings(), []
    for name in FIELDS:
        if name not in params:
            continue
        try:
            if name in AXES:
                settings = settings.with_axis(name, parse_list(name, params[name]))
            else:
                settings = settings.with_others(**{name: parse(name, params[name])})
        except ValueError as error:
            said.append(f"In the address, {error}; it was left as usual.")
    if "gap" not in params:
        settings = settings.with_axis("gap", (TASKS[settings.value("task")].default_gap,))
    gaps, sentence = _fitting(settings)
    return settings.with_axis("gap", gaps), said + sentence


def _fitting(settings: Settings) -> tuple[Sequence[Value], list[str]]:
    """The gaps within the limits of the task, which one parameter alone cannot know."""
    task = TASKS[settings.value("task")]
    gaps = settings.axes["gap"]
    fitting = tuple(dict.fromkeys(min(max(gap, task.min_gap), task.max_gap) for gap in gaps))
    if fitting == gaps:
        return gaps, []
    got = ", ".join(str(gap) for gap in gaps)
    return fitting, [
        f"In the address, gap must be from {task.min_gap} to {task.max_gap} for the task {task.name}, but got {got}; "
        "the nearest is shown."
    ]


def _whole(name: str, text: str) -> int:
    try:
        return int(text[:CHARACTERS_AT_MOST])
    except ValueError:
        raise ValueError(f"{name} must be a whole number, but got {quoted(text)}") from None


def _real(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        or_chrono = " or chrono" if name == "gate_bias" else ""
        raise ValueError(f"{name} must be a finite number{or_chrono}, but got {quoted(text)}")
    return number


def _within(name: str, number: float) -> float:
    info = FIELDS[name]
    low = -(2**31) if info.minimum is None else info.minimum
    high = 2**31 if info.maximum is None else info.maximum
    if not low <= number <= high:
        rule = f"at least {low:g}" if number < low else f"at most {high:g}"
        got = str(number) if isinstance(number, int) and abs(number) < 10**15 else f"{number:g}"
        raise ValueError(f"{name} must be {rule}, but got {got}")
    return number


def quoted(text: str) -> str:
    """What somebody typed, as a sentence can carry it."""
    cut = shown(text)
    return repr(cut if len(cut) <= CHARACTERS_AT_MOST else cut[: CHARACTERS_AT_MOST - 1] + "…")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
