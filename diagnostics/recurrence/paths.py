"""Which loops over time serve a tensor: those compiled for the processor, on the CPU in float32, or the plain ones."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from diagnostics.recurrence import loops

KINDS = ("rnn", "gru", "lstm")

_REMEDY = 'pip install "gradreach[fast]" brings the version that is known to work'

_chosen: ContextVar[Literal["plain", "fused"] | None] = ContextVar("gradreach_path", default=None)
_lock = threading.RLock()
_ready: dict[str, ModuleType] = {}
_reasons: dict[str, str] = {}
"""Why the plain loops serve a kind of cell although it is float32 on the CPU. Settled once per process and kind: what
runs never depends on what ran before."""


def loops_for(x: Tensor, kind: str) -> ModuleType:
    """The module whose loops run on ``x`` [T,B,I] in a cell of ``kind`` (rnn, gru, lstm), ready to run.

    A backward pass has to ask the module that its forward pass asked. Where the compiled loops would serve but cannot,
    one ``RuntimeWarning`` says so, once per process.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or _chosen.get() == "plain":
        return loops
    fused = _fused(kind)
    if fused is not None:
        return fused
    if _chosen.get() == "fused":
        raise RuntimeError(f'path must be "plain" here, but got "fused": {_reasons[kind]}')
    return loops


@contextmanager
def use(path: Literal["plain", "fused"]) -> Iterator[None]:
    """Choose the path of all that begins in this block; ``fused`` raises ``RuntimeError`` where it cannot serve.

    What no compiled loop serves by design, such as float64, stays on the plain path.
    """
    if path not in ("plain", "fused"):
        raise ValueError(f'path must be "plain" or "fused", but got {path!r}')
    token = _chosen.set(path)
    try:
        yield
    finally:
        _chosen.reset(token)


def warm(kinds: Iterable[str] = KINDS) -> float:
    """Load or compile what these kinds of cells need, and return the seconds that it took. Warns as ``loops_for``."""
    began_s = time.perf_counter()
    for kind in kinds:
        _fused(kind)
    return time.perf_counter() - began_s


def described() -> str:
    """What serves the recurrences here: ``compiled for znver4 (AVX-512)``, or ``plain: numba is not installed``.

    To be sure it loads them all, which on a fresh machine means to compile them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warm()
    if _reasons:
        return f"plain: {next(iter(_reasons.values()))}"
    from diagnostics.recurrence.fused import processor

    return f"compiled for {processor.name()}"


def _fused(kind: str) -> ModuleType | None:
    """The compiled loops with all that ``kind`` needs in place; None where they cannot be had."""
    if kind in _ready:
        return _ready[kind]
    with _lock:
        if kind not in _ready and kind not in _reasons:
            try:
                from diagnostics.recurrence.fused import loops as fused

                for kernel in fused.KERNELS[kind]:
                    kernel.load()
                _ready[kind] = fused
            except Exception as error:  # whatever it is, there is a path that works
                first = not _reasons
                _reasons[kind] = _reason(error)
                if first:
                    warnings.warn(
                        f"the plain loops, several times slower, run the recurrences: {_reasons[kind]}; {_REMEDY}",
                        RuntimeWarning,
                        stacklevel=2,
                    )
        return _ready.get(kind)


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in ("numba", "llvmlite"):
        return f"{error.name} is not installed"
    return f"they could not be compiled ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
