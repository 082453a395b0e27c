"""The doctor: looks at every file of a store and says what is wrong, without stopping at the first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diagnostics.records import Records
from diagnostics.store import run_file, weights
from diagnostics.store.catalog import Catalog
from diagnostics.store.database import reading
from diagnostics.store.errors import StoreError
from diagnostics.store.layout import Layout, sidecars
from diagnostics.store.recovery import settle
from diagnostics.store.rows import ENDED, RunRow
from diagnostics.strict_json import encode


@dataclass(frozen=True)
class Finding:
    """What is wrong with one file: ``sentence`` is for people. ``run`` is the run's id, empty where there is none."""

    file: str
    sentence: str
    run: str = ""


def check(layout: Layout, catalog: Catalog) -> list[Finding]:
    """All findings, the catalog's first; empty where all is well."""
    files = sorted(layout.runs.iterdir())  # before the catalog is read: a run that begins meanwhile is no orphan
    findings = [Finding(str(catalog.path), s) for s in _structure(catalog.path)]
    known: set[Path] = set()
    try:
        ids = catalog.ids()
    except StoreError as error:
        return [*findings, Finding(str(catalog.path), str(error))]
    for run_id in ids:
        try:
            path = layout.run_file(run_id)
            row = settle(layout, catalog, catalog.row(run_id))
        except StoreError as error:
            findings.append(Finding(str(catalog.path), str(error), run_id))
            continue
        known |= {path, *sidecars(path)}
        findings += [Finding(str(path), sentence, run_id) for sentence in _run_file(path, row)]
    return findings + [
        Finding(str(path), f"{path.name} belongs to no run of the catalog") for path in files if path not in known
    ]


def _run_file(path: Path, row: RunRow) -> Iterator[str]:
    if not path.exists():
        if row.state in ENDED and (row.steps_done or row.state in ("finished", "diverged")):
            yield f"{path.name} is missing, so the records of run {row.id} ({row.name}) are lost"
        return
    yield from _structure(path)
    try:
        with run_file.opened(path) as connection:
            yield from _content(connection, path, row)
    except StoreError as error:
        yield str(error)


def _structure(path: Path) -> Iterator[str]:
    """What SQLite's own check says of the file's pages."""
    try:
        with reading(path) as connection:
            for (line,) in connection.execute("PRAGMA quick_check(10)"):
                if line != "ok":
                    yield f"{path.name} is damaged: {' '.join(str(line).split())}"
    except StoreError as error:
        yield str(error)


def _content(connection: sqlite3.Connection, path: Path, row: RunRow) -> Iterator[str]:
    documents = {}
    for name, value, fault in run_file.scan_documents(connection):
        if fault:
            yield f"{path.name} is damaged: {fault}"
        documents[name] = value
    if isinstance(about := documents.get("run"), dict) and about.get("spec") != encode(row.spec):
        yield f"{path.name} holds another spec than the catalog has for run {row.id}"
    if "run" not in documents:
        yield f"{path.name} does not say which run it holds"
    count, sound = 0, list[Records]()
    for seq, records, fault in run_file.scan_chunks(connection):
        count = seq
        if records is None:
            yield f"{path.name} is damaged: {fault}"
        else:
            sound.append(records)
    yield from _order(path, sound)
    if gone := weights.missing(connection):
        yield f"{path.name} is damaged: {gone}"
    kept = []
    for step, _, fault in weights.scan(connection):
        kept.append(step)
        if fault:
            yield f"{path.name} is damaged: {fault}"
    end = documents.get("end")
    if isinstance(end, dict) and row.state in ENDED:
        if end.get("chunks") != count:
            yield f"{path.name} holds {count} chunks where {end.get('chunks')} were written"
        if not gone and end.get("weights", []) != kept:
            wrote = end.get("weights", [])
            yield f"{path.name} holds the weights of the steps {kept} where those of {wrote} were written"
        if end.get("state") != row.state:
            yield f"{path.name} says that the run ended as {end.get('state')}, and the catalog says {row.state}"


def _order(path: Path, chunks: list[Records]) -> Iterator[str]:
    """Rows must come in the order of training, none twice."""
    for column in ("step", "eval_step", "profile_step"):
        steps = np.concatenate([np.empty(0), *(chunk[column] for chunk in chunks if column in chunk)])
        wrong = np.flatnonzero(np.diff(steps) <= 0)
        if wrong.size:
            yield f"{path.name} has rows of {column} twice or out of order, first after {steps[wrong[0]]:g}"
