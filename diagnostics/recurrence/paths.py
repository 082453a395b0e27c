"""Which loops over time serve a tensor: those compiled for the processor, on the CPU in float32, or the plain ones."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.metadata import version
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from diagnostics.recurrence import loops

KINDS = ("rnn", "gru", "lstm")

_chosen: ContextVar[Literal["plain", "fused"] | None] = ContextVar("gradreach_path", default=None)
_lock = threading.RLock()
_settled: dict[str, ModuleType | str] = {}
"""The compiled loops by kind of cell, or why there are none. Settled once per process, for each kind on its own: what
runs never depends on what ran before."""
_said: list[str] = []
"""What people have been told: one sentence at most."""
_log = logging.getLogger(__name__)
_logging = 0
"""How many blocks of ``logged`` there are."""


def loops_for(x: Tensor, kind: str) -> ModuleType:
    """The module whose loops run on ``x`` [T,B,I] in a cell of ``kind`` (rnn, gru, lstm), ready to run.

    A backward pass has to ask the module that its forward pass asked. Where the compiled loops would serve but cannot,
    one ``RuntimeWarning`` says so, once per process; inside of ``logged`` a line in the log.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or _chosen.get() == "plain":
        return loops
    if torch.compiler.is_compiling():  # what is done at an address, a graph of torch.compile would silently leave out
        return loops
    found = _fused(kind)
    if isinstance(found, ModuleType):
        return found
    _say_once(found)
    if _chosen.get() == "fused":
        raise RuntimeError(f'path must be "plain" here, but got "fused": {found}')
    return loops


def samples_for(values: Tensor) -> ModuleType | None:
    """The compiled measures of ``values`` [T,B,H], as ``loops_for`` would choose; None where plain ones serve."""
    found = loops_for(values, "samples")
    compiled: ModuleType | None = None if found is loops else found.samples
    return compiled


@contextmanager
def use(path: Literal["plain", "fused"]) -> Iterator[None]:
    """Choose the path of all that begins in this block; ``fused`` raises ``RuntimeError`` where it cannot serve.

    What no compiled loop serves by design, such as float64 or what ``torch.compile`` traces, stays on the plain path.
    """
    if path not in ("plain", "fused"):
        raise ValueError(f'path must be "plain" or "fused", but got {path!r}')
    token = _chosen.set(path)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def logged() -> Iterator[None]:
    """In this block slower loops are said in the log: where a warning could stop a training that somebody else wrote.

    It holds in every thread, since a backward pass may run in another one.
    """
    global _logging
    with _lock:
        _logging += 1
    try:
        yield
    finally:
        with _lock:
            _logging -= 1


def said() -> list[str]:
    """What people have been told so far, by a warning or in the log."""
    return list(_said)


def warm(kinds: Iterable[str] = KINDS, before_compiling: Callable[[], object] = lambda: None) -> float:
    """Load what these kinds of cells need, and return the seconds that it took. Warns as ``loops_for``.

    What was never compiled on this machine is now, which takes seconds: ``before_compiling`` is called where it is.
    """
    began_s = time.perf_counter()
    for kind in (*kinds, "samples"):
        _say_once(_fused(kind, before_compiling))
    return time.perf_counter() - began_s


def warm_a_little() -> bool:
    """Load or compile one function that some kind of cell needs; False where all is done.

    For whoever may be called away: the longest step is one compilation, a few seconds.
    """
    for kind in ("samples", *KINDS):
        if kind not in _settled:
            with suppress(Exception):  # what goes wrong here does so again below, where it is settled and said
                from diagnostics.recurrence.fused import loops as fused
                from diagnostics.recurrence.fused import processor

                missing = [kernel for kernel in fused.KERNELS[kind] if not kernel.origin]
                if len(missing) > 1 and not processor.unsuited():
                    missing[0].load()
                    return True
            _say_once(_fused(kind))
            return True
    return False


def described(kinds: Sequence[str] = KINDS) -> str:
    """What serves these kinds of cells in float32 on the CPU: ``compiled for znver4 (AVX-512) by numba 0.68.1``, or
    ``plain: numba is not installed; …``.

    To be sure it loads them, which on a fresh machine means to compile them.
    """
    if _chosen.get() == "plain":
        return "plain: as it was asked for"
    for kind in kinds:
        if isinstance(found := _fused(kind), str):
            return f"plain: {found}"
    from diagnostics.recurrence.fused import processor

    return f"compiled for {processor.name()} by numba {version('numba')}"


def _fused(kind: str, before_compiling: Callable[[], object] = lambda: None) -> ModuleType | str:
    """The compiled loops with all that ``kind`` needs in place, or why they cannot be had."""
    with _lock:
        if kind not in _settled:
            _settled[kind] = _obtained(kind, before_compiling)
        return _settled[kind]


def _say_once(found: ModuleType | str) -> None:
    if isinstance(found, str) and not _said:
        _said.append(f"the recurrences run on the plain loops, which are slower: {found}")
        if _logging:
            _log.warning("%s", _said[0])
        else:
            warnings.warn(_said[0], RuntimeWarning, stacklevel=3)


def _obtained(kind: str, before_compiling: Callable[[], object]) -> ModuleType | str:
    remedy = 'pip install "gradreach[fast]" brings what the fast loops need'
    try:
        from diagnostics.recurrence.fused import loops as fused
        from diagnostics.recurrence.fused import processor

        if why := processor.unsuited():
            return why
        for kernel in fused.KERNELS[kind]:
            kernel.load(before_compiling)
        return fused
    except Exception as error:  # whatever it is, there is a path that works
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing in ("numba", "llvmlite"):
            return f"{missing} is not installed; {remedy}"
        words = " ".join(str(error).split())[:300]
        return f"compiling faster ones failed ({type(error).__name__}: {words}); {remedy}"
