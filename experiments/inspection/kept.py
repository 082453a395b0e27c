"""What has been found about the insides of runs and is kept: what a report holds of them. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from diagnostics.inspection import FORMAT, Inspection, load
from diagnostics.store import Store

_RESULT = re.compile(rf"v{FORMAT}-(\d+)-(\d+)-[0-9a-f]+\.npz")


def kept(store: Store, run_ids: Sequence[str]) -> list[Inspection]:
    """Everything that is kept of these runs, run by run, with one inspection for each training step, steps rising.

    Parts that were computed one by one, with the same number of samples, come as one. Where there are several numbers
    of samples, that with the most sections is taken, and of those the largest. What cannot be read is left out: asking
    for it again computes it anew.
    """
    return [found for run_id in run_ids for found in _of_run(store.layout.inspections(run_id))]


def _of_run(folder: Path) -> Iterator[Inspection]:
    places: dict[int, dict[int, list[Path]]] = {}
    for path in sorted(folder.glob("*.npz")):
        if name := _RESULT.fullmatch(path.name):
            places.setdefault(int(name[1]), {}).setdefault(int(name[2]), []).append(path)
    for step in sorted(places):
        wholes = [whole for paths in places[step].values() if (whole := _together(paths)) is not None]
        if wholes:
            yield max(wholes, key=lambda whole: (len(whole.sections), whole.samples))


def _together(paths: Sequence[Path]) -> Inspection | None:
    """The sections of all files of one step and one number of samples; the latest of those that are there twice."""
    found: list[Inspection] = []
    for path in sorted(paths, key=_written_ns):
        with suppress(OSError, ValueError):
            found.append(load(path))
    if not found:
        return None
    return replace(found[-1], arrays={name: one[name] for one in found for name in one})


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # removed meanwhile: loading it finds so
