"""Starting a Python process of ours that outlives its starter, and finding out what became of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
"""Where ``python -m experiments.worker`` finds its modules."""

START_S = 120.0
"""A process that was announced so long ago and has no number was never started: its starter died."""

KEEPS_MEMORY = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**32))
"""With these the C library (glibc; others do not look) keeps what a training step frees for the next one, instead of
giving it back to the system and fetching it again, page by page: at 100,000 timesteps that is most of a step."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def launch(module: str, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """``python -m module arguments`` with its output in ``log``. Raises ``OSError`` where it cannot be run."""
    # One thread each: the numbers do not depend on the machine's load, and processes do not fight for cores.
    environment = {**KEEPS_MEMORY, **os.environ, **dict.fromkeys(THREADS, "1")}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # closing the app, or Ctrl-C in its terminal, does not touch it
        )


def lives(pid: int | None, spawned_s: float) -> bool:
    """Whether the process that was announced at ``spawned_s`` is there; a zombie is not, and neither is a stranger that
    got its number."""
    if pid is None:
        return time.time() - spawned_s < START_S
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() < spawned_s + START_S)
    except psutil.Error:
        return False


def last_line(log: Path) -> str:
    """The last thing that a process said."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return "its log cannot be read"
    return next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "it left no word")
