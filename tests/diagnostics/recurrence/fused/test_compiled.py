"""Kernels are compiled once and found again, and whatever happens to the files, what runs is right."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from diagnostics.recurrence.fused import cache
from diagnostics.recurrence.fused.compiled import Kernel

ROOT = Path(__file__).parents[4]

HELPER = """
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

@intrinsic
def get(context, address):
    def make(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], ir.FloatType().as_pointer()), align=4)
    return types.float32(types.int64), make

@intrinsic
def put(context, address, value):
    def make(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.FloatType().as_pointer()), align=4)
        return context.get_dummy_value()
    return types.void(types.int64, types.float32), make

@numba.njit
def changed(x):
    return x * x
"""

KERNELS = """
from {package}.helper import changed, get, put

def run(at, n, factor):
    for i in range(n):
        put(at + 4 * i, factor * changed(get(at + 4 * i)))

def other(at, n, factor):
    put(at, factor)

def raises(at, n, factor):
    if n > 1:
        raise ValueError("too many")
    put(at, factor)

def talks(at, n, factor):
    print(n)
"""

ASK = """
import json, sys
import numpy as np
from diagnostics.recurrence.fused.compiled import Kernel
kernel, x = Kernel(sys.argv[1] + ".kernels:run", "int64, int64, float32"), np.arange(3, dtype=np.float32)
kernel(x.ctypes.data, 3, 2.0)
print(json.dumps([kernel.origin, "numba" in sys.modules, x.tolist()]))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of sources with kernels in it, and a cache of its own."""
    name = f"kernels_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / "sources" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "helper.py").write_text(HELPER)
    (folder / "kernels.py").write_text(KERNELS.format(package=name))
    monkeypatch.syspath_prepend(tmp_path / "sources")
    monkeypatch.setenv("GRADREACH_CACHE", str(tmp_path / "cache"))
    return name


def kernel(package: str, function: str = "run") -> Kernel:
    return Kernel(f"{package}.kernels:{function}", "int64, int64, float32")


def answer(found: Kernel) -> list[float]:
    x = np.arange(3, dtype=np.float32)
    found(x.ctypes.data, 3, 2.0)
    return x.tolist()


RIGHT = [0.0, 2.0, 8.0]


def elsewhere(package: str) -> subprocess.Popen[str]:
    """Another process that runs the kernel."""
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("sources"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", ASK, package], stdout=subprocess.PIPE, text=True, env=environment)


def said(process: subprocess.Popen[str]) -> tuple[str, bool, list[float]]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return tuple(json.loads(output))


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_another_process_finds_what_one_compiled_and_does_without_numba(package: str, tmp_path: Path) -> None:
    first = kernel(package)
    assert first.origin == ""
    assert answer(first) == RIGHT
    assert first.origin == "compiler"
    assert said(elsewhere(package)) == ("disk", False, RIGHT)
    assert len(kept(tmp_path)) == 1


def test_what_is_compiled_is_announced_and_what_is_found_is_not(package: str) -> None:
    told: list[str] = []
    for _ in range(2):
        kernel(package).load(lambda: told.append("compiling"))
    assert told == ["compiling"]


def test_a_change_in_a_file_that_is_only_called_compiles_anew(package: str, tmp_path: Path) -> None:
    assert said(elsewhere(package)) == ("compiler", True, RIGHT)
    helper = tmp_path / "sources" / package / "helper.py"
    helper.write_text(helper.read_text().replace("x * x", "x + x"))
    assert said(elsewhere(package)) == ("compiler", True, [0.0, 4.0, 8.0])
    assert len(kept(tmp_path)) == 2


def test_whoever_compiles_gets_the_same_code(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for first, second in (("run", "raises"), ("raises", "run")):
        monkeypatch.setenv("GRADREACH_CACHE", str(tmp_path / first))
        for function in (first, second):
            kernel(package, function).load()
    one, other = (sorted((tmp_path / name).rglob("*.o")) for name in ("run", "raises"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    assert len(one) == 2


def test_two_processes_may_compile_at_once(package: str, tmp_path: Path) -> None:
    both = [elsewhere(package), elsewhere(package)]
    for process in both:
        assert said(process)[2] == RIGHT
    (only,) = kept(tmp_path)
    assert only.suffix == ".o"


def test_two_threads_share_one_compilation(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    save = cache.save
    monkeypatch.setattr(cache, "save", lambda key, name, code: (saved.append(name), save(key, name, code)))
    shared = kernel(package)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(answer, [shared] * 4)) == [RIGHT] * 4
    assert len(saved) == 1


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        place = int(at * (len(data) - 1))
        return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]

    return flip


@pytest.mark.parametrize("hurt", [truncated, lambda data: b"", *(flipped(at) for at in (0, 0.02, 0.3, 0.7, 1))])
def test_a_damaged_file_is_not_run_but_made_again(package: str, tmp_path: Path, hurt: Callable[[bytes], bytes]) -> None:
    assert answer(kernel(package)) == RIGHT
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(hurt(whole))
    again = kernel(package)
    assert answer(again) == RIGHT
    assert again.origin == "compiler"
    assert path.read_bytes() == whole
    assert answer(third := kernel(package)) == RIGHT
    assert third.origin == "disk"


def test_another_kernels_file_is_not_run(package: str, tmp_path: Path) -> None:
    kernel(package).load()
    (path,) = kept(tmp_path)
    kernel(package, "other").load()
    (other,) = (found for found in kept(tmp_path) if found != path)
    path.write_bytes(other.read_bytes())
    again = kernel(package)
    assert answer(again) == RIGHT
    assert again.origin == "compiler"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no such permissions")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_others_can_write_is_not_run(package: str, tmp_path: Path, what: str) -> None:
    kernel(package).load()
    (path,) = kept(tmp_path)
    (path if what == "file" else path.parent).chmod(0o777)
    again = kernel(package)
    assert answer(again) == RIGHT
    assert again.origin == "compiler"


def test_without_a_place_to_keep_it_a_kernel_is_compiled_in_memory(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        found = kernel(package)
        assert answer(found) == RIGHT
        assert found.origin == "compiler"
    monkeypatch.setattr(cache, "folder", lambda: None)
    assert answer(kernel(package)) == RIGHT


def test_a_full_disk_leaves_nothing_behind(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert answer(kernel(package)) == RIGHT
    assert kept(tmp_path) == []


def test_sources_that_change_while_they_are_compiled_are_not_kept(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = iter(["0" * 32, "1" * 32])
    monkeypatch.setattr(cache, "key_of", lambda folder: next(keys))
    monkeypatch.setattr("diagnostics.recurrence.fused.compiled._key", cache.key_of)
    assert answer(kernel(package)) == RIGHT
    assert kept(tmp_path) == []


def test_code_that_nobody_used_for_long_goes(package: str, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "kernels"
    old, recent, foreign = place / ("a" * 32), place / ("b" * 32), place / "mine"
    for folder in (old, recent, foreign):
        folder.mkdir(parents=True)
        (folder / "run.o").write_text("")
    long_ago = time.time() - 31 * 24 * 3600
    for folder in (old, foreign):
        os.utime(folder, (long_ago, long_ago))
    kernel(package).load()
    assert not old.exists()
    assert recent.exists()
    assert foreign.exists()


def test_code_that_is_used_stays_young(package: str, tmp_path: Path) -> None:
    kernel(package).load()
    folder = kept(tmp_path)[0].parent
    long_ago = time.time() - 29 * 24 * 3600
    os.utime(folder, (long_ago, long_ago))
    kernel(package).load()
    assert time.time() - folder.stat().st_mtime < 3600


@pytest.mark.parametrize(
    ("arguments", "error"), [((1, 2), TypeError), ((1, 2, 3.0, 4), TypeError), ((1, 2.5, 3.0), Exception)]
)
def test_arguments_that_do_not_fit_are_refused(package: str, arguments: tuple[int], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"takes 3 arguments|wrong type"):
        kernel(package, "other")(*arguments)


def test_a_kernel_that_raises_is_an_error(package: str) -> None:
    x = np.zeros(1, dtype=np.float32)
    raising = kernel(package, "raises")
    raising(x.ctypes.data, np.int64(1), np.float32(0.5))
    assert x[0] == 0.5
    with pytest.raises(RuntimeError, match=r"kernels:raises raised an exception, which a kernel must not"):
        raising(x.ctypes.data, 2, 1.0)


def test_a_kernel_that_needs_more_than_memory_is_refused(package: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="which no kernel can"):
        kernel(package, "talks").load()
    assert kept(tmp_path) == []


def test_numbas_own_settings_stay_as_they_are(package: str) -> None:
    from numba import config

    before, environment = dict(vars(config)), dict(os.environ)
    kernel(package).load()
    assert dict(os.environ) == environment
    assert {name: value for name, value in vars(config).items() if before.get(name) is not value} == {}


def test_numbas_settings_have_code_of_their_own(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources" / package
    before = cache.key_of(sources)
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert cache.key_of(sources) != before


def test_each_system_keeps_caches_in_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADREACH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / "xdg" / "gradreach" / "kernels"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache.folder() == tmp_path / "local" / "gradreach" / "kernels"
