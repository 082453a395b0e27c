"""Machine code on disk: what was compiled once on this machine is loaded the next time.

A file is used only where a checksum of its own says that it is whole, that it belongs to these sources, versions and
processor, and that it is this kernel. Everything else that can go wrong, such as a read-only home or a full disk,
means that there is no cache, and nobody has to hear of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import secrets
import sys
import time
from pathlib import Path

from diagnostics.recurrence.fused import processor

VARIABLE = "GRADREACH_CACHE"
"""The environment variable that names another folder for the cache."""

KEPT_S = 30 * 24 * 3600.0
"""Code of other sources, versions or processors goes when nobody has used it for so long."""

_MAGIC = b"gradreach kernel 1\n"
_KEY = re.compile(r"[0-9a-f]{32}")


def key_of(sources: Path) -> str:
    """What the code depends on besides the kernel: every source file of the folder, the versions, the processor.

    Raises ``PackageNotFoundError`` where Numba or llvmlite is not installed.
    """
    digest = hashlib.sha256()
    versions = (importlib.metadata.version(name) for name in ("numba", "llvmlite"))
    # Numba reads its settings from the environment, and some of them change the code that it makes.
    settings = (f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_"))
    for word in (platform.python_implementation(), sys.version, *versions, *processor.identity(), *settings):
        digest.update(word.encode("utf-8", "surrogateescape") + b"\0")
    for path in sorted(sources.rglob("*.py")):
        digest.update(path.relative_to(sources).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def folder() -> Path | None:
    """Where machine code is kept, for this user; None where there is no such place."""
    try:
        if asked := os.environ.get(VARIABLE):
            return Path(asked) / "kernels"
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # nobody's home
        return None
    return base / "gradreach" / "kernels"


def load(key: str, name: str) -> bytes | None:
    """The object code of the kernel ``name`` under ``key``; None where there is none that is whole."""
    place = folder()
    if place is None:
        return None
    path = place / key / _file(name)
    try:
        if not _ours(path):
            return None
        data = path.read_bytes()
        used_s = path.parent.stat().st_mtime
    except OSError:
        return None
    head = len(_MAGIC) + hashlib.sha256().digest_size
    code = data[head:]
    if data[:head] != _MAGIC + _checksum(key, name, code):
        return None
    if time.time() - used_s > KEPT_S / 10:
        with contextlib.suppress(OSError):
            os.utime(path.parent)
    return code


def save(key: str, name: str, code: bytes) -> None:
    """Keep the object code of the kernel ``name``, if that is possible. Several processes may do so at once."""
    place = folder()
    if place is None:
        return
    path = place / key / _file(name)
    new = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            new.write_bytes(_MAGIC + _checksum(key, name, code) + code)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        _drop_old(place, key)
    except OSError:
        pass


def _file(name: str) -> str:
    """A name that every system takes, for ``package.module:function(types)``."""
    words = re.findall(r"\w+", name.partition("(")[0])[-2:]
    return f"{'-'.join(words)}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.o"


def _checksum(key: str, name: str, code: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((key.encode(), name.encode(), code))).digest()


def _ours(path: Path) -> bool:
    """Whether only this user can have written the file: it is about to be run."""
    if not hasattr(os, "getuid"):
        return True
    return all(
        found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o022 for found in (path.stat(), path.parent.stat())
    )


def _drop_old(place: Path, current: str) -> None:
    for other in place.iterdir():
        if _KEY.fullmatch(other.name) and other.name != current and time.time() - other.stat().st_mtime > KEPT_S:
            for path in other.iterdir():
                path.unlink(missing_ok=True)
            other.rmdir()
