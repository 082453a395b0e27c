"""Strict JSON: no NaN or Infinity literals, which most readers refuse; non-finite numbers are strings instead."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(value: Any) -> Any:
    """``value`` in types that JSON has; nan, inf and -inf become the strings ``"nan"``, ``"inf"``, ``"-inf"``.

    Takes mappings, sequences, numpy arrays and scalars, str, bool, int, float and None. Raises ``TypeError`` on
    anything else, rather than writing its ``repr``. ``float(encoded)`` gives a number back either way.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return encode(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    raise TypeError(f"value must be JSON data, but got {type(value).__name__}")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """``value`` as strict JSON text in ASCII, so that no locale and no lone surrogate can stop it being printed."""
    return json.dumps(encode(value), allow_nan=False, indent=indent)


def loads(text: str | bytes) -> Any:
    """The data of strict JSON ``text``; raises ``ValueError`` on a NaN or Infinity literal as on any other fault."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(literal: str) -> Any:
    raise ValueError(f"strict JSON has no literal {literal}")
