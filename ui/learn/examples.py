"""The recorded example of a stop: run files made by ``python -m ui.learn.make_examples``, opened where they lie."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from diagnostics.inspection import Inspection, load
from diagnostics.records import Array, Run
from diagnostics.store import StoreError, read_run_file, read_run_weights
from ui.learn.stop import Look, Seen
from ui.naming import together

FOLDER = Path(__file__).parents[1] / "example" / "learn"
PATTERN = "*.sqlite.gz"


@cache
def seen(slug: str) -> tuple[Seen, ...]:
    """The stop's example in the order of its file names; nothing where a file is missing or damaged."""
    try:
        found = [_read(path) for path in sorted((FOLDER / slug).glob(PATTERN))]
    except (StoreError, OSError, EOFError):
        return ()  # it is an illustration: the page says that it is not there, and everything else works
    runs = together([run for run, _ in found])
    return tuple(Seen(run, partial(_kept, run.id, weights)) for run, (_, weights) in zip(runs, found, strict=True))


def file_name(look: Look) -> str:
    """What the file of a look inside a run is called."""
    return f"{look.place:02d}-{look.step}.npz"


@cache
def inspection(slug: str, look: Look) -> Inspection | None:
    """What was found in a run of the example; None where the file is missing or damaged."""
    try:
        return load(FOLDER / slug / file_name(look))
    except (OSError, ValueError):
        return None


def _read(path: Path) -> tuple[Run, Mapping[str, Array]]:
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        plain = Path(folder) / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        run = replace(read_run_file(plain), comparison="example")
        with suppress(StoreError):  # most examples have none
            return run, read_run_weights(plain)
        return run, {}


def _kept(run_id: str, weights: Mapping[str, Array], step: int | None = None) -> Mapping[str, Array]:
    """The weights of the last step, which are all that an example has."""
    if not weights:
        raise StoreError(f"the recorded example {run_id} holds no weights")
    return weights
