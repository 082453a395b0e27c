"""Timing the softmaxes on this machine: the page's side, free of torch. A process of its own measures.

    ask(store)                  begin, where nobody is at it
    look(store) → Timing        what has been measured so far

The process writes ``measured/softmax.json`` of the store anew after every point.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from diagnostics.store import Store
from diagnostics.strict_json import loads
from experiments.inspection.files import write_json
from experiments.launch import last_line, launch, lives

MODULE = "experiments.softmax_time"
ANSWERS, HIDDEN = 256, 64
"""Of the step that is timed: next words that are asked for, and features of each."""
WORDS = (100, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Timing:
    """What is known: ``points`` (kind, words, seconds), on ``where``; ``words`` say why it failed."""

    state: Literal["none", "measuring", "done", "failed"]
    points: tuple[tuple[str, int, float], ...] = ()
    where: str = ""
    words: str = ""


def folder(store: Store) -> Path:
    """Where the measurement lies."""
    return store.layout.root / "measured"


def ask(store: Store) -> str:
    """Begin to measure, unless somebody does; returns "", or a sentence on why it cannot be."""
    if store.read_only:
        return f"nothing can be measured for a store that is open for reading only: {store.notice}"
    if look(store).state == "measuring":
        return ""
    where = folder(store)
    try:
        where.mkdir(exist_ok=True)
        # Announced before it is there: who looks meanwhile sees that it is on its way.
        tell(where, None, time.time(), (), "", done=False)
        spawned_s = time.time()
        child = launch(MODULE, ["--folder", str(where), "--spawned", repr(spawned_s)], where / "softmax.log")
        tell(where, child.pid, spawned_s, (), "", done=False)
    except OSError as error:
        return f"the measuring process cannot be started: {error.strerror or error}"
    return ""


def tell(
    where: Path,
    pid: int | None,
    spawned_s: float,
    points: Sequence[tuple[str, int, float]],
    machine: str,
    *,
    done: bool,
) -> None:
    """Write what is known; whole or not at all."""
    about = {"pid": pid, "spawned_s": spawned_s, "points": [list(p) for p in points], "where": machine, "done": done}
    write_json(where / "softmax.json", about)


def look(store: Store) -> Timing:
    """What has been measured so far."""
    where = folder(store)
    try:
        found: Any = loads((where / "softmax.json").read_bytes())
        points = tuple((str(kind), int(words), float(seconds)) for kind, words, seconds in found["points"])
        machine, done = str(found["where"]), bool(found["done"])
        alive = done or lives(found["pid"], float(found["spawned_s"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Timing("none")
    if done:
        return Timing("done", points, machine)
    if alive:
        return Timing("measuring", points, machine)
    return Timing("failed", points, machine, f"the measuring process ended: {last_line(where / 'softmax.log')}")
