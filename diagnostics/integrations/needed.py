"""A foreign package that an integration needs, or the sentence that names the extra which brings it."""

from __future__ import annotations

import importlib
from types import ModuleType


def needed(module: str, extra: str) -> ModuleType:
    """The module. Raises ``ModuleNotFoundError`` naming the extra where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A package that is there and misses one of its own is not what our sentence is about.
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"diagnostics.integrations.{extra} needs {package}, which is not installed: "
            f'pip install "gradreach[{extra}]"',
            name=error.name,
        ) from error
