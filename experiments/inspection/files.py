"""Where requests for inspections and their results lie, and what their names say. Free of torch.

In ``inspections/<run id>/`` of a store, ``NAME`` = ``v<format>-<step>-<samples>-<sections as bits, hexadecimal>``:

    NAME.asked      strict JSON: step, samples, sections, when, how often it was begun; there while it is wanted
    NAME.progress   strict JSON: how far it is; there while it is computed
    NAME.failed     one sentence
    NAME.npz        the result (``diagnostics.inspection.save``)

Every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostics.inspection import FORMAT, SECTIONS
from diagnostics.store import Store
from diagnostics.strict_json import dumps, loads
from experiments.inspection.asked import Asked
from experiments.spec import Refusal

RESULTS_AT_MOST_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Place:
    """The files of one request."""

    folder: Path
    name: str

    @classmethod
    def of(cls, store: Store, run_id: str, step: int, asked: Asked) -> Place:
        """The files of what is ``asked`` of a run at a step; raises ``StoreError`` where ``run_id`` is no id."""
        bits = sum(1 << place for place, name in enumerate(SECTIONS) if name in asked.sections)
        return cls(store.layout.inspections(run_id), f"v{FORMAT}-{step}-{asked.samples}-{bits:x}")

    @property
    def asked(self) -> Path:
        """There while it is wanted."""
        return self.folder / f"{self.name}.asked"

    @property
    def progress(self) -> Path:
        """There while it is computed."""
        return self.folder / f"{self.name}.progress"

    @property
    def failed(self) -> Path:
        """Why it could not be computed."""
        return self.folder / f"{self.name}.failed"

    @property
    def own_result(self) -> Path:
        """Where the result will be."""
        return self.folder / f"{self.name}.npz"

    def result(self) -> Path | None:
        """The result, or one that holds all of it and more sections; None where there is none yet."""
        if self.own_result.exists():
            return self.own_result
        rest, _, bits = self.name.rpartition("-")
        for path in sorted(self.folder.glob(f"{rest}-*.npz")):
            with contextlib.suppress(ValueError):
                if int(path.stem.rpartition("-")[2], 16) & int(bits, 16) == int(bits, 16):
                    return path
        return None

    def forget(self) -> None:
        """Take away all but the result."""
        for path in (self.asked, self.progress, self.failed):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Request:
    """What somebody waits for. ``begun`` counts how often its computation was begun."""

    run_id: str
    step: int
    asked: Asked
    asked_s: float
    begun: int

    def to_json(self) -> dict[str, Any]:
        """The JSON form; the run is told by the folder."""
        return {"step": self.step, "asked": self.asked.to_json(), "asked_s": self.asked_s, "begun": self.begun}


def read_request(path: Path) -> Request | None:
    """The request in a file ``NAME.asked``; None where it is gone, or is no request of this version."""
    try:
        found = loads(path.read_bytes())
        step, begun = found["step"], found["begun"]
        if type(step) is not int or type(begun) is not int:
            return None
        return Request(path.parent.name, step, Asked.from_json(found["asked"]), float(found["asked_s"]), begun)
    except (OSError, ValueError, TypeError, KeyError, Refusal):
        return None


def requests(store: Store) -> list[tuple[Request, Place]]:
    """What is wanted and can still be had, the oldest first."""
    found = []
    for path in store.layout.inspected.glob("*/*.asked"):
        place = Place(path.parent, path.stem)
        request = read_request(path)
        if request is not None and not place.failed.exists():
            found.append((request, place))
    return sorted(found, key=lambda one: one[0].asked_s)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON that a reader sees whole or not at all; raises ``OSError``."""
    write_text(path, dumps(value))


def write_text(path: Path, text: str) -> None:
    """Write a text that a reader sees whole or not at all; raises ``OSError``."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def prune(store: Store, keep: Path, at_most: int = RESULTS_AT_MOST_BYTES) -> None:
    """Remove the results that were not looked at for longest until they fit ``at_most`` bytes; ``keep`` stays."""
    sizes = sorted(_sizes(store.layout.inspected), key=lambda one: one[1].st_mtime)
    total = sum(stat.st_size for _, stat in sizes)
    for path, stat in sizes:
        if total <= at_most:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= stat.st_size


def _sizes(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*/*.npz"):
        with contextlib.suppress(OSError):
            yield path, path.stat()
