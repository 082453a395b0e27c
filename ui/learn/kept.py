"""What a session keeps of each stop: what was predicted, what was run, and whether the answer came out as predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from ui.learn.stop import Values

STOPS = "learn-stops"


@dataclass
class Kept:
    """Of one stop. ``predicted`` has the place of the chosen option for each set of values that was asked about."""

    predicted: dict[str, int] = field(default_factory=dict)
    comparison: str = ""
    """The runs that were started here."""
    values: Mapping[str, Any] | None = None
    """What the controls said when they were; None where nobody knows."""
    right: bool | None = None
    """How the last prediction came out; None before any did."""


def of(slug: str) -> Kept:
    """What is kept of the stop; the same object each time."""
    everything: dict[str, Kept] = st.session_state.setdefault(STOPS, {})
    return everything.setdefault(slug, Kept())


def outcomes() -> dict[str, bool]:
    """The stops whose prediction was compared with what came out → whether it was right."""
    everything: dict[str, Kept] = st.session_state.get(STOPS, {})
    return {slug: kept.right for slug, kept in everything.items() if kept.right is not None}


def name_of(values: Values) -> str:
    """A name for what the controls say."""
    return json.dumps(values, sort_keys=True, default=str)
