"""Taking in a bundle, which may be anything that a stranger made: checked whole before the store is touched."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from diagnostics.export.archive import Archive, BundleError
from diagnostics.export.manifest import checked_manifest, read_json
from diagnostics.records import Run
from diagnostics.store import Store, StoreError

MAX_SPEC_BYTES = 64 * 2**10


@dataclass(frozen=True)
class ImportResult:
    """What an import did, in the ids of the bundle and of the store."""

    imported: Mapping[str, str]
    """Id in the bundle → id here, of the runs that came in."""
    present: Mapping[str, str]
    """Id in the bundle → id here, of runs whose very records the store holds already; they were left alone."""
    comparisons: tuple[str, ...]
    """The comparisons that the new runs form here."""

    def describe(self) -> str:
        """The outcome as one sentence."""
        parts = []
        if self.imported:
            parts.append(f"imported {_runs(len(self.imported))} into {', '.join(self.comparisons)}")
        if self.present:
            parts.append(f"found {_runs(len(self.present))} here already")
        text = " and ".join(parts)
        return f"{text[:1].upper()}{text[1:]}."


def read_bundle(
    source: Path | bytes | BinaryIO, store: Store, *, check_spec: Callable[[Mapping[str, Any]], object] | None = None
) -> ImportResult:
    """Add a bundle's runs to ``store``.

    Runs get ids of this store and keep their names and their comparisons. A run whose records the store holds already
    is not added again. ``check_spec`` raises ``ValueError`` for a spec that must not come in. Whatever is wrong with
    the bundle raises ``BundleError`` with one sentence, and then nothing has been written.
    """
    if store.read_only:
        raise BundleError(store.notice or "The store is open for reading only.")
    with _opened(source) as file, Archive(file) as archive, tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        listed = checked_manifest(archive)
        specs = {run["id"]: _spec(archive, run["id"], check_spec) for run in listed}
        paths = {run["id"]: _extracted(archive, run["id"], Path(folder)) for run in listed}
        try:
            # A trial in a store of its own: what it refuses has not touched the real one.
            trial = Store.open(Path(folder) / "trial")
            runs = {r["id"]: trial.read(_take(trial, paths, specs, r, None)) for r in listed}
        except StoreError as error:
            raise BundleError(f"The bundle is refused: {error}.") from None
        present = _present(store, runs)
        imported: dict[str, str] = {}
        comparisons: dict[str, str] = {}
        try:
            for run in listed:
                if run["id"] not in present:
                    new = _take(store, paths, specs, run, comparisons.get(run["comparison"]))
                    imported[run["id"]] = new
                    comparisons[run["comparison"]] = store.row(new).comparison
        except BaseException:
            if imported:
                store.delete(list(imported.values()))
                store.purge(list(imported.values()))
            raise
    return ImportResult(imported, present, tuple(comparisons.values()))


def _opened(source: Path | bytes | BinaryIO) -> BinaryIO:
    if isinstance(source, Path):
        try:
            return source.open("rb")
        except OSError as error:
            raise BundleError(f"The bundle {source} cannot be opened: {error.strerror}.") from None
    return io.BytesIO(source if isinstance(source, bytes) else source.read())


def _spec(archive: Archive, run_id: str, check: Callable[[Mapping[str, Any]], object] | None) -> Mapping[str, Any]:
    spec = read_json(archive, f"runs/{run_id}/spec.json", MAX_SPEC_BYTES)
    if not isinstance(spec, dict):
        raise BundleError(f"The spec of run {run_id} in the bundle is not a JSON object.")
    if check is not None:
        try:
            check(spec)
        except ValueError as error:
            raise BundleError(f"The spec of run {run_id} in the bundle is refused: {error}") from None
    return spec


def _extracted(archive: Archive, run_id: str, folder: Path) -> Path:
    """The run's file in a temporary folder, under a name of ours."""
    path = folder / f"{run_id}.sqlite"
    with path.open("wb") as file:
        for block in archive.chunks(f"runs/{run_id}/run.sqlite"):
            file.write(block)
    return path


def _take(
    store: Store,
    paths: Mapping[str, Path],
    specs: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, str],
    comparison: str | None,
) -> str:
    run_id, title = run["id"], run["comparison_name"]
    return store.import_run_file(
        paths[run_id], specs[run_id], run["name"], comparison=comparison, comparison_name=title
    )


def _present(store: Store, runs: Mapping[str, Run]) -> dict[str, str]:
    """Which runs the store holds already: the same spec and the same records, wall time included."""
    rows = store.runs()
    found: dict[str, str] = {}
    for run_id, run in runs.items():
        for row in rows:
            if dict(row.spec) == dict(run.spec) and row.state == run.state and _same(store, row.id, run):
                found[run_id] = row.id
                break
    return found


def _same(store: Store, run_id: str, run: Run) -> bool:
    try:
        there = store.read(run_id).records
    except StoreError:
        return False  # damaged here: the copy that is being imported is welcome
    return set(there) == set(run.records) and all(
        there[name].tobytes() == np.ascontiguousarray(run.records[name]).tobytes() for name in there
    )


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
