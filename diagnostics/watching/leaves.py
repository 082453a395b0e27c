"""The tensors inside whatever a module is given or returns: tuples, lists, dicts, dataclasses, nested in any way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

Path = tuple[Any, ...]


def tensors(value: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor in ``value`` with the indices, keys and field names that lead to it, in order."""
    if isinstance(value, Tensor):
        yield path, value
    else:
        for key, part in _parts(value):
            yield from tensors(part, (*path, key))


def continuous(leaf: Tensor) -> bool:
    """Whether it holds what a gradient can be of: real or complex numbers."""
    return leaf.is_floating_point() or leaf.is_complex()


def replaced(value: Any, new: Callable[[Tensor], Tensor]) -> Any:
    """``value`` with ``new`` of every tensor in its place; containers that hold a changed one are copies."""
    if isinstance(value, Tensor):
        return new(value)
    changed = {}
    for key, part in _parts(value):
        other = replaced(part, new)
        if other is not part:
            changed[key] = other
    return _with(value, changed) if changed else value


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value) if hasattr(value, field.name)]
    return []


def _with(value: Any, changed: dict[Any, Any]) -> Any:
    if isinstance(value, tuple):
        parts = [changed.get(index, part) for index, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    new = copy.copy(value)
    for key, part in changed.items():
        if isinstance(new, dict | list):
            new[key] = part
        else:
            object.__setattr__(new, key, part)  # also where the dataclass is frozen
    return new
