"""Runs of a person's own model, which ``diagnostics.watch`` recorded: what pages and commands say of them.

Free of torch. Their spec is no ``RunSpec``: nobody asked us for them, and nothing here can train them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from diagnostics.measures.numbers import number, percent
from experiments.spec import Refusal

TITLE = "watched"
"""What stands where other runs have their task."""

TEXT_AT_MOST = 300
CUTS_AT_MOST = 100_000
SETTINGS_AT_MOST = 40
_TEXTS = ("module", "class", "direction", "reduction")
_COUNTS = ("every", "timesteps", "answers")


def is_watched(spec: Mapping[str, Any]) -> bool:
    """Whether a stored spec is that of a watched run."""
    return isinstance(spec.get("watched"), Mapping)


def check(spec: Mapping[str, Any]) -> None:
    """Raise ``Refusal`` where what a stranger's file says of a watched run is none that we would have written."""
    watched = spec["watched"]
    for told in (spec, watched):
        if len(told) > SETTINGS_AT_MOST:
            raise Refusal(f"a watched run must have at most {SETTINGS_AT_MOST} settings, but got {len(told)}")
        for name, value in told.items():
            if name not in ("watched", "cuts"):
                _check_plain(name, value)
    for name in ("cell", *_TEXTS):
        if not isinstance((spec if name == "cell" else watched).get(name, ""), str):
            raise Refusal(f"{name} must be text")
    for name in ("layers", "hidden", "steps", *_COUNTS):
        value = (watched if name in _COUNTS else spec).get(name, 0)
        if type(value) is not int or value < 0:
            raise Refusal(f"{name} must be a whole number from 0, but got {str(value)[:40]}")
    if not isinstance(spec.get("clip", ""), str):
        raise Refusal("clip must be text")
    cuts = watched.get("cuts", [])
    if not isinstance(cuts, list) or len(cuts) > CUTS_AT_MOST or any(type(cut) is not int or cut < 0 for cut in cuts):
        raise Refusal(f"cuts must be at most {CUTS_AT_MOST} timesteps")


def _check_plain(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise Refusal(f"{name[:40]!r} must be a number or text")
    if len(name) > TEXT_AT_MOST or (isinstance(value, str) and len(value) > TEXT_AT_MOST):
        raise Refusal(f"{name[:40]!r} of a watched run must have at most {TEXT_AT_MOST} characters, but has more")


def about(spec: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    """What is to be known of a watched run's numbers, by a word each; of what was not recorded nothing is said.

    ``info`` is what the store knows of how the run was made.
    """
    if not is_watched(spec):
        return {}
    watched = spec["watched"]
    said = {
        "module": " ".join(filter(None, [_text(watched, "module"), _class(watched)])),
        "direction": _DIRECTIONS.get(_text(watched, "direction"), ""),
        "layers": _counted(spec),
        "recorded": _every(watched),
        "alignment": _text(info, "alignment"),
        "state gradients": _text(info, "state gradients"),
        "reduction": _reduction(_text(watched, "reduction")),
        "clipping": _clipping(str(spec.get("clip") or "")),
        "truncated": _cuts(watched.get("cuts")),
        "accumulation": _micro_steps(_known(info, "micro_steps")),
        "self-check": _self_check(_known(info, "self_check")),
        "overhead": _overhead(_known(info, "overhead")),
    }
    return {name: words for name, words in said.items() if words}


_DIRECTIONS = {"reverse": "in reverse: every step is counted as it was walked"}


def covered(info: Mapping[str, Any]) -> list[str]:
    """The sentences that say what is watched of the model, and what is not and why."""
    found = _known(info, "covered")
    return [line for line in found if isinstance(line, str)] if isinstance(found, Sequence) else []


def happened(info: Mapping[str, Any]) -> list[str]:
    """The sentences of what happened while it was watched, in order."""
    found = _known(info, "events")
    told = [one.get("sentence") for one in found if isinstance(one, Mapping)] if isinstance(found, Sequence) else []
    return [line for line in told if isinstance(line, str)]


def _known(info: Mapping[str, Any], name: str) -> Any:
    """What was recorded of the watching itself, wherever it stands."""
    within = info.get("watched")
    return within.get(name) if isinstance(within, Mapping) and name in within else info.get(name)


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _class(watched: Mapping[str, Any]) -> str:
    name = _text(watched, "class")
    return f"({name})" if name else ""


def _counted(spec: Mapping[str, Any]) -> str:
    layers, hidden = spec.get("layers"), spec.get("hidden")
    if not isinstance(layers, int) or not isinstance(hidden, int):
        return ""
    return f"{layers} of {hidden} unit{'s' * (hidden != 1)}"


def _every(watched: Mapping[str, Any]) -> str:
    every, T = watched.get("every"), watched.get("timesteps")
    steps = f"every {every}th training step" if isinstance(every, int) and every > 1 else "every training step"
    return f"{steps}, the last {T} timesteps" if isinstance(T, int) and T else steps


def _reduction(name: str) -> str:
    return {
        "mean": "the loss is a mean over the batch, which is undone: each gradient is that of its own sample",
        "sum": "the loss is a sum over the batch: each gradient is that of its own sample",
    }.get(name, "")


def _clipping(rule: str) -> str:
    norms = "norms before and after are both recorded; state gradients are pre-clip"
    if rule == "none":
        return f"none; {norms}"
    return f"{rule.replace(':', ' ')}; {norms}" if rule else f"as the loop does it; {norms}"


def _cuts(cuts: Any) -> str:
    if not isinstance(cuts, Sequence) or not cuts:
        return ""
    some = ", ".join(str(cut) for cut in cuts[:8]) + (", …" if len(cuts) > 8 else "")
    return f"the state was detached before timestep{'s' * (len(cuts) != 1)} {some}"


def _micro_steps(count: Any) -> str:
    if not isinstance(count, int) or count < 2:
        return ""
    return f"{count} backward passes to an update; the profile is of one of them"


def _self_check(found: Any) -> str:
    """ΣG_k against the parameter's own gradient: a relative error, or several by the group's name."""
    if isinstance(found, Mapping):
        numbers = [_number(value) for value in found.values()]
        found = max((value for value in numbers if not math.isnan(value)), default=math.nan)
    value = _number(found)
    if math.isnan(value):
        return ""
    return f"the steps’ shares sum to the weight’s own gradient but for a relative {number(value)}"


def _overhead(found: Any) -> str:
    if isinstance(found, Mapping) and isinstance(found.get("sentence"), str):
        return str(found["sentence"])
    value = _number(found)
    return "" if math.isnan(value) else f"watching took {percent(value)} of the training time"


def _number(value: Any) -> float:
    """A number, also one that JSON holds as a word; nan where it is none."""
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan
