"""A file of weights, and what is asked of it: the page's side. Free of torch.

    job = Job.of(content)                     # begins to read
    while job.state().name == "working": ...
    job.parts()
    job.ask(Asked("encoder", timesteps=200))  # begins to probe
    while job.state().name == "working": ...
    job.probed()

Every task is a process of its own (see ``process``), with a bound on time and memory, and one at a time. The file lies
in a temporary folder, which goes with the job.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from diagnostics.checkpoint import Asked, Part, Probed
from diagnostics.strict_json import dumps, loads
from experiments.launch import launch
from experiments.spec import Refusal

MODULE = "experiments.checkpoint.process"

FILE_AT_MOST = 200 * 2**20
"""Bytes of a file."""
ENDINGS = ("safetensors", "pt", "pth", "ckpt", "bin")
TASK_AT_MOST_S = 240.0
"""A task that takes longer is ended."""

UPLOAD, ASKED, FOUND, PROBED, FAILED, LOG = (
    *("upload.bin", "asked.json", "found.json", "probed.json"),
    *("failed.txt", "log.txt"),
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """How far the newest task is; ``words`` say in a sentence why it failed."""

    name: Literal["working", "done", "failed"]
    words: str = ""


class Job:
    """One file. Ends its process, and removes its folder, when nobody holds it any more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: list[subprocess.Popen[bytes]] = []
        """At most one."""
        self._began_s = 0.0
        self._awaits = FOUND
        # Not ``__del__``: where sessions go in circles, what it needs may have gone before it.
        weakref.finalize(self, _leave, folder, self._children)

    @classmethod
    def of(cls, content: bytes | memoryview) -> Self:
        """Begin to read a file; raises ``Refusal`` where it is too large or cannot be kept for a moment."""
        if not 0 < len(content) <= FILE_AT_MOST:
            limit = FILE_AT_MOST // 2**20
            raise Refusal(f"A file of weights must have 1 byte to {limit} MiB, but this one has {len(content):,} bytes")
        try:
            job = cls(Path(tempfile.mkdtemp(prefix="gradreach-")))
            (job.folder / UPLOAD).write_bytes(content)
            job._start("read", FOUND)
        except OSError as error:
            raise Refusal(f"The file cannot be looked into: {error.strerror or error}") from error
        return job

    def ask(self, asked: Asked) -> None:
        """Begin to probe, instead of whatever was under way; raises ``Refusal`` where no process can be started."""
        self.end()
        try:
            (self.folder / ASKED).write_text(dumps(asked.to_json()), encoding="utf-8")
            self._start("probe", PROBED)
        except OSError as error:
            raise Refusal(f"The file cannot be probed: {error.strerror or error}") from error

    def state(self) -> State:
        """How far the newest task is; ends one that takes too long."""
        # Asked in this order: a process that has ended has written all that it will.
        ended = all(child.poll() is not None for child in self._children)
        if (self.folder / FAILED).exists():
            return State("failed", self._text(FAILED))
        if (self.folder / self._awaits).exists():
            return State("done")
        if ended:
            return State("failed", "The process that looked into the file was ended, as happens where memory runs out")
        if time.monotonic() > self._began_s + TASK_AT_MOST_S:
            self.end()
            return State("failed", f"It took more than {TASK_AT_MOST_S:.0f} seconds and was ended")
        return State("working")

    def parts(self) -> tuple[Part, ...]:
        """The recurrent modules of the file, once it has been read; raises ``Refusal`` before."""
        return tuple(Part.from_json(one) for one in self._json(FOUND)["parts"])

    def probed(self) -> Probed:
        """What the probe found, once it has; raises ``Refusal`` before."""
        return Probed.from_json(self._json(PROBED))

    def end(self) -> None:
        """End the process, if one is under way."""
        _end(self._children)

    def _start(self, task: str, awaits: str) -> None:
        for name in (FAILED, PROBED):
            (self.folder / name).unlink(missing_ok=True)
        self._awaits, self._began_s = awaits, time.monotonic()
        self._children[:] = [launch(MODULE, [task, str(self.folder)], self.folder / LOG)]

    def _json(self, name: str) -> Any:
        try:
            return loads((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise Refusal("There is nothing there yet") from error

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "It failed, and why cannot be read"


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def _leave(folder: Path, children: list[subprocess.Popen[bytes]]) -> None:
    _end(children)
    shutil.rmtree(folder, ignore_errors=True)
