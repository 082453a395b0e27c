"""One line of the catalog, and the rules for what may stand in it."""

from __future__ import annotations

import math
import sqlite3
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diagnostics.store.errors import StoreError
from diagnostics.store.layout import checked
from diagnostics.strict_json import loads

STATES = ("queued", "running", "finished", "diverged", "stopped", "interrupted", "failed")
ENDED = STATES[2:]
"""A run enters as ``queued``, is ``running`` while a worker holds it, and stays in the state in which it ended."""

NAME_LENGTH = 200
LATEST_S = 1e11
"""The year 5138: a later time is none, and no calendar could show it."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter can be taken for a digit, and text sorts as the numbers do."""

COLUMNS = (
    "run.id, run.name, run.comparison, comparison.name, run.state, run.spec, run.created_s, run.started_s, "
    "run.ended_s, run.steps_done, run.steps, run.detail, run.loss, run.success, run.deleted, run.heartbeat_s, "
    "run.elapsed_s, run.stop"
)


@dataclass(frozen=True)
class RunRow:
    """A run as the catalog lists it. Times are seconds since 1970; ``loss`` and ``success`` are the newest known.

    ``heartbeat_s`` is when the worker last said that it lives, ``elapsed_s`` the training time it had then spent,
    and ``stop_requested`` whether somebody asked the run to stop.
    """

    id: str
    name: str
    comparison: str
    comparison_name: str
    state: str
    spec: Mapping[str, Any]
    created_s: float
    started_s: float | None
    ended_s: float | None
    steps_done: int
    steps: int
    detail: str
    loss: float | None
    success: float | None
    deleted: bool
    heartbeat_s: float | None
    elapsed_s: float | None
    stop_requested: bool


@dataclass(frozen=True)
class ComparisonRow:
    """Runs that were started together; ``runs`` counts those that are not deleted."""

    id: str
    name: str
    created_s: float
    runs: int


def row_of(values: sqlite3.Row | tuple[Any, ...]) -> RunRow:
    """A ``RunRow`` from the columns ``COLUMNS``, also of undecoded text; raises ``StoreError`` on damage."""
    shown = values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else values[0]
    try:
        told = [value.decode() if isinstance(value, bytes) else value for value in values]
        (run_id, name, comparison, comparison_name, state, spec, created, started, ended, done, steps, detail) = told[
            :12
        ]
        (loss, success, deleted, heartbeat, elapsed, stop) = told[12:]
        asked = loads(spec)
        if state not in STATES:
            raise ValueError(f"state {state!r}")
        if not isinstance(asked, dict):
            raise ValueError("its spec is no object")
        if comparison_name is None:
            raise ValueError(f"there is no comparison {comparison!r}")
        return RunRow(
            checked(str(run_id)), str(name), str(comparison), str(comparison_name), state, asked, _seconds(created),
            _perhaps(started), _perhaps(ended), int(done), int(steps), str(detail), from_text(loss),
            from_text(success), bool(deleted), _perhaps(heartbeat), _perhaps(elapsed), bool(stop),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise StoreError(f"the catalog's line of run {shown!r} is damaged ({error})") from error


def _seconds(number: Any) -> float:
    if not 0 <= float(number) <= LATEST_S:
        raise ValueError(f"a time of {number!r} seconds")
    return float(number)


def _perhaps(number: Any) -> float | None:
    return None if number is None else _seconds(number)


def to_text(number: float | None) -> str | None:
    """A number as text, because SQLite would bind nan as NULL."""
    return None if number is None else repr(float(number))


def from_text(text: str | None) -> float | None:
    """The number of ``to_text``."""
    return None if text is None else float(text)


def clean_name(name: str, what: str = "name") -> str:
    """``name`` without surrounding space; raises ``StoreError`` where no page or terminal could show it."""
    stripped = name.strip()
    if len(stripped) > NAME_LENGTH:
        raise StoreError(f"{what} must be at most {NAME_LENGTH} characters long, but got {len(stripped)}")
    if bad := next((c for c in stripped if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")), None):
        raise StoreError(f"{what} must not contain control characters or lone surrogates, but got U+{ord(bad):04X}")
    return stripped


def to_base32(number: int) -> str:
    """``number`` ≥ 0 in seven or more characters of ``ALPHABET``."""
    digits = [ALPHABET[number >> (5 * i) & 31] for i in range(max(7, math.ceil(number.bit_length() / 5)))]
    return "".join(reversed(digits))


def from_base32(text: str) -> int:
    """The number of ``to_base32``; raises ``ValueError`` on any other text."""
    number = 0
    for character in text:
        number = number * 32 + ALPHABET.index(character)
    return number
