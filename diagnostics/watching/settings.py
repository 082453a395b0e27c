"""What ``watch`` is asked for, checked: each wrong setting is a sentence that names it, the rule and the value."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from torch import nn

from diagnostics.measures.clipping import parse_rule
from diagnostics.store import Store, StoreError
from diagnostics.store.rows import clean_name
from diagnostics.watching.events import OnEvent, checked
from diagnostics.watching.following import StateOf

_WATCHED: WeakSet[nn.Module] = WeakSet()
"""The modules of the models that are watched right now: what two would replace at once, neither could put back."""


@dataclass(frozen=True)
class Settings:
    """As the arguments of ``watch``; ``clip`` is "" where nobody said how the person clips."""

    every: int
    name: str
    cells: Mapping[str, nn.Module] | Sequence[str] | None
    state: StateOf | None
    reduction: str
    distance: int | None
    timesteps: int | None
    clip: str
    store: Store | str | os.PathLike[str] | bool | None
    on_event: OnEvent | None


def settings_of(model: Any, **asked: Any) -> Settings:
    """The settings; raises ``TypeError`` for a model that is none and ``ValueError`` for a setting that is wrong."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, whose modules can be watched, but got {_brief(model)}"
            + (": give the module, and not a function that calls it" if callable(model) else "")
        )
    _whole("every", asked["every"], 1)
    for name, least in (("distance", 0), ("timesteps", 1)):
        if asked[name] is not None:
            _whole(name, asked[name], least)
    if asked["reduction"] not in ("mean", "sum"):
        raise ValueError(
            f'reduction must be "mean" or "sum", how the loss joins the samples, but got {asked["reduction"]!r}'
        )
    if asked["clip"] is not None:
        parse_rule(asked["clip"])
    checked(asked["on_event"])
    store = asked["store"]
    if store is True or not (store is None or isinstance(store, Store | str | os.PathLike | bool)):
        raise ValueError(f"store must be a folder, a Store, None or False, but got {_brief(store)}")
    if not isinstance(asked["name"], str):
        raise ValueError(f"name must be text, but got {_brief(asked['name'])}")
    try:
        name = clean_name(asked["name"])
    except StoreError as error:
        raise ValueError(str(error)) from error
    return Settings(**{**asked, "name": name or _usual_name(model), "clip": asked["clip"] or ""})


def claim(model: nn.Module) -> None:
    """Note that the model is watched; raises ``RuntimeError`` where part of it is already."""
    for name, module in model.named_modules():
        if module in _WATCHED:
            what = f"its module {name!r}" if name else "it"
            raise RuntimeError(
                f"a model can be watched by one watch at a time, but {what} ({type(module).__name__}) is watched "
                "already: leave that with block first"
            )
    _WATCHED.update(model.modules())


def release(model: nn.Module) -> None:
    """Take the note back."""
    for module in model.modules():
        _WATCHED.discard(module)


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, but got {value!r}")


def _usual_name(model: nn.Module) -> str:
    return f"{type(model).__name__} {time.strftime('%Y-%m-%d %H:%M')}"


def _brief(value: Any) -> str:
    said = repr(value)
    return f"{type(value).__name__} {said if len(said) <= 60 else said[:59] + '…'}"
