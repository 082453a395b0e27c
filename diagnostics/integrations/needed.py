"""A foreign package that an integration needs, or the sentence that names the extra which brings it."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def needed(module: str, extra: str) -> ModuleType:
    """The module. Raises ``ModuleNotFoundError`` naming the extra where its package is not installed."""
    package = module.partition(".")[0]
    # A package that is there and misses one of its own says so itself.
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(
            f"diagnostics.integrations.{extra} needs {package}, which is not installed: "
            f'pip install "gradreach[{extra}]"',
            name=package,
        )
    return importlib.import_module(module)
