"""Seeing to it that the process that computes inspections is there: one per store. Free of torch."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from diagnostics.store import Store, StoreError
from diagnostics.store.layout import Layout
from diagnostics.store.locks import hold, is_held
from diagnostics.strict_json import loads
from experiments.inspection.files import write_json
from experiments.launch import last_line, launch, lives

MODULE = "experiments.inspection.process"
IDLE_S = 300.0
"""How long it stays warm without a request."""

FAILURES_AT_MOST = 3
"""After so many starts in a row that came to nothing, those who wait are told."""

LOOK_AFTER_S = 1.0

_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Those that this process started: whoever does not ask after its children keeps them as zombies."""

_LOOKED: dict[Path, float] = {}


def started(layout: Layout) -> Path:
    """What is known of a process that was started and has not said yet that it is ready."""
    return layout.inspected / "started.json"


def ensure_inspector(store: Store, *, idle_s: float = IDLE_S) -> str:
    """Start the process where none lives. Looks at most once a second, so it may be called as often as one likes.

    Returns "", or after ``FAILURES_AT_MOST`` starts in a row that failed the sentence that says why. A page may call it
    before anything is asked for: then the process is warm when it is.
    """
    layout = store.layout
    now = time.monotonic()
    if store.read_only or now < _LOOKED.get(layout.root, -LOOK_AFTER_S) + LOOK_AFTER_S:
        return ""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
    if is_held(layout.inspector_lock):
        _LOOKED[layout.root] = now
        return ""
    try:
        layout.inspected.mkdir(parents=True, exist_ok=True)
        turn = hold(layout.locks / "inspector-start.lock")
    except (OSError, StoreError) as error:
        return f"what inspects runs cannot be started: {error}"
    if turn is None:
        return ""  # somebody is starting it right now
    try:
        trouble = _start(layout, store.path, idle_s)
    finally:
        turn.release()
    _LOOKED[layout.root] = now
    return trouble


def _start(layout: Layout, root: Path, idle_s: float) -> str:
    about = started(layout)
    failures = 0
    if (last := _read(about)) is not None:
        if lives(last["pid"], last["spawned_s"]):
            return ""
        failures = last["failures"] + 1
        if failures >= FAILURES_AT_MOST:
            about.unlink(missing_ok=True)
            log = Path(last["log"])
            return f"what inspects runs could not start: {last_line(log)} (all of it is in {log})"
    log = layout.logs / f"inspector-{time.time_ns():x}.log"
    try:
        child = launch(MODULE, ["--store", str(root), "--idle", str(idle_s)], log)
        _CHILDREN.append(child)
        write_json(about, {"pid": child.pid, "spawned_s": time.time(), "failures": failures, "log": str(log)})
    except OSError as error:
        return f"what inspects runs cannot be started: {sys.executable}: {error.strerror or error}"
    return ""


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = loads(path.read_bytes())
        return {
            "pid": int(found["pid"]),
            "spawned_s": float(found["spawned_s"]),
            "failures": int(found["failures"]),
            "log": str(found["log"]),
        }
    return None
