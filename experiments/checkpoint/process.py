"""The process that reads a stranger's file of weights, and probes what it holds: ``process read|probe FOLDER``.

Started by ``job``. Whatever the file does to it, it does to this process alone: its memory and its time are bounded,
and it leaves one file behind, with what was found or with the sentence that says why not.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from diagnostics.checkpoint import Asked
from diagnostics.strict_json import dumps, loads
from experiments.checkpoint.job import ASKED, FAILED, FOUND, PROBED, TASK_AT_MOST_S, UPLOAD
from experiments.inspection.files import write_text

MEMORY_BYTES = 4 * 2**30
"""Beside what torch itself has mapped by then."""


def main(arguments: list[str] | None = None) -> int:
    """Do the task; 0 where it was done, 1 where the folder says why not."""
    task, name = sys.argv[1:] if arguments is None else arguments
    folder = Path(name)
    import torch

    from diagnostics.watching import probe

    warnings.simplefilter("ignore")  # of torch, about the file
    torch.set_num_threads(1)
    _bound()
    try:
        weights = probe.read(folder / UPLOAD)
        if task == "read":
            found = [part.to_json() for part in probe.parts(weights)]
            write_text(folder / FOUND, dumps({"parts": found}))
        else:
            asked = Asked.from_json(loads((folder / ASKED).read_bytes()))
            write_text(folder / PROBED, dumps(probe.probe(weights, asked).to_json()))
    except Exception as error:
        if not isinstance(error, ValueError | MemoryError):
            traceback.print_exc()
        with contextlib.suppress(OSError):  # the folder went with whoever asked
            write_text(folder / FAILED, _sentence(error))
        return 1
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "The memory was not enough for this file: choose fewer timesteps, or a smaller part of the model"
    return f"This should not have happened ({type(error).__name__}: {' '.join(str(error).split())[:200]})"


def _bound() -> None:
    """No more memory than ``MEMORY_BYTES`` on top of what is mapped now, no more time on the processor than a task may
    take, and no large file written."""
    try:
        import resource
    except ImportError:  # not on this system; the page still ends what takes too long
        return
    import psutil

    limits: dict[int, Any] = {
        resource.RLIMIT_AS: psutil.Process().memory_info().vms + MEMORY_BYTES,
        resource.RLIMIT_CPU: int(TASK_AT_MOST_S) + 1,
        resource.RLIMIT_FSIZE: 2**28,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower bound is in place already
            hard = resource.getrlimit(which)[1]
            resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
