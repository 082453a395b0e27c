"""Hooks on modules of a person's model that stay behind where the module is copied, pickled or saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

STATE = "__getstate__"
"""The attribute that a hooked module has of ours."""


def install(module: nn.Module, before: Callable[..., Any], after: Callable[..., Any]) -> Callable[[], None]:
    """Call ``before`` and ``after`` around each forward of ``module``, as torch's hooks with keyword arguments; what
    removes them, so that the module is as it was."""
    handles = [  # by the class: a scripted module forbids these methods, but keeps and calls the hooks
        nn.Module.register_forward_pre_hook(module, _Hook(before), with_kwargs=True),
        nn.Module.register_forward_hook(module, _Hook(after), with_kwargs=True),
    ]
    own = not isinstance(module, torch.jit.ScriptModule) and STATE not in vars(module)
    if own:
        vars(module)[STATE] = lambda: _state(module)

    def remove() -> None:
        for handle in handles:
            handle.remove()
        if own:
            vars(module).pop(STATE, None)

    return remove


def _state(module: nn.Module) -> Any:
    """What a copy or a pickle of the module is made of: nobody watches that one."""
    state = type(module).__getstate__(module)
    if not isinstance(state, dict):
        return state
    ours = {key for key, hook in _hooks(state) if isinstance(hook, _Hook)}
    return {
        name: type(value)((key, one) for key, one in value.items() if key not in ours) if _of_hooks(name) else value
        for name, value in state.items()
        if name != STATE
    }


def _of_hooks(name: str) -> bool:
    """Whether an attribute of a module is one of torch's tables of forward hooks, by their numbers."""
    return name.startswith(("_forward_hooks", "_forward_pre_hooks"))


def _hooks(state: dict[str, Any]) -> list[tuple[int, Any]]:
    return [pair for name, value in state.items() if _of_hooks(name) for pair in value.items()]


class _Hook:
    """A hook. Where a module is copied in a way of its own, and not by its state, there is one in the copy that does
    nothing instead."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")  # takes anything, returns None, and needs no gradreach
