"""Locks that die with the process that holds them.

``filelock`` uses ``flock`` on POSIX: a lock belongs to an open file, so two holders inside one process exclude each
other too, and closing another handle of the same file does not let go (as ``fcntl`` record locks would). Lock files
stay where they are: removing one that somebody waits for would split its waiters. The fallback to existence locks is
off, because such a lock outlives its process and a dead run would go on saying ``running``.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from diagnostics.store.errors import StoreError


def hold(path: Path, timeout_s: float = 0.0) -> FileLock | None:
    """Take the lock ``path``, waiting up to ``timeout_s``; None where another holder keeps it."""
    lock = FileLock(path, thread_local=False, fallback_to_soft=False, poll_interval=0.01)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return None
    except (OSError, NotImplementedError) as error:
        raise StoreError(f"{path} cannot be locked: {error}") from error
    return lock


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock ``path`` right now (for a moment, this takes it where nobody does)."""
    if not path.exists():
        return False
    lock = hold(path)
    if lock is None:
        return True
    lock.release()
    return False
