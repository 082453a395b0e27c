"""Taking in a run file that comes from elsewhere and may be anything."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diagnostics.records import Records
from diagnostics.store import packing, run_file, weights
from diagnostics.store.catalog import Catalog
from diagnostics.store.database import told
from diagnostics.store.errors import StoreError
from diagnostics.store.layout import Layout, sidecars
from diagnostics.store.rows import ENDED
from diagnostics.store.tail import facts_of, summary
from diagnostics.strict_json import encode


def take_in(
    layout: Layout,
    catalog: Catalog,
    source: Path | bytes,
    spec: Mapping[str, Any],
    name: str,
    comparison: str | None,
    comparison_name: str,
) -> str:
    """Check the whole of ``source``, copy its content into a file of our own making, and list it; returns the new id.

    Nothing but documents, chunks and weights whose checksums hold comes along, and nothing is written where anything is
    wrong.
    """
    if not catalog.writable:
        raise StoreError(f"the store {layout.root} is open for reading only, so nothing can be imported")
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        # A copy: SQLite may want to put files beside it.
        path = Path(folder) / "run.sqlite"
        with told(path):
            if isinstance(source, bytes):
                path.write_bytes(source)
            else:
                shutil.copyfile(source, path)
        with run_file.opened(path) as connection:
            _refuse_foreign_schema(connection, name)
            documents = run_file.documents(connection, path)
            chunks = run_file.chunks(connection, path)
            kept = {step: weights.read(connection, path, step) for step in weights.steps(connection, path)}
    if documents.get("run", {}).get("spec") != encode(spec):
        raise StoreError(f"the file of run {name!r} does not hold the run that its spec describes")
    if len({tuple(shape.items()) for chunk in chunks if (shape := packing.layout(chunk))}) > 1:
        raise StoreError(f"the file of run {name!r} mixes profiles of different shapes")
    facts_of(documents.get("facts"))
    end = documents.get("end", {"state": "interrupted", "detail": "it was still running when it was exported"})
    end = {"weights": list(kept), **end}
    whole = end.get("chunks", len(chunks)) == len(chunks) and end["weights"] == list(kept)
    if end.get("state") not in ENDED or not whole:
        raise StoreError(f"the file of run {name!r} is not complete")
    return _list(layout, catalog, spec, name, documents | {"end": end}, chunks, kept, comparison, comparison_name)


def _refuse_foreign_schema(connection: sqlite3.Connection, name: str) -> None:
    """Views, triggers and other tables have no place in a run file, and could answer our questions at their will."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    there = {tuple(row) for row in found}
    if there not in (
        {("table", *table) for table in schema.items()} for schema in (run_file.SCHEMA, run_file.SCHEMA_1)
    ):
        raise StoreError(f"the file of run {name!r} holds tables or views that no run file has")
    if weights.too_large(connection):
        raise StoreError(
            f"the file of run {name!r} holds more than {weights.AT_MOST_BYTES} bytes of weights, or of more steps than "
            f"{weights.STEPS_AT_MOST}"
        )


def _list(
    layout: Layout,
    catalog: Catalog,
    spec: Mapping[str, Any],
    name: str,
    documents: Mapping[str, Any],
    chunks: list[Records],
    kept: Mapping[int, weights.Weights],
    comparison: str | None,
    comparison_name: str,
) -> str:
    """Write the file under a passing name, list the run, and give the file its run's name."""
    passing = layout.runs / f"import-{secrets.token_hex(6)}.sqlite"
    file = run_file.RunFile(passing, documents["run"])
    try:
        for chunk in chunks:
            file.append(chunk)
        for step, values in kept.items():
            file.keep(step, values)
        file.put(**{**documents, "end": {**documents["end"], "chunks": file.seq}})
        file.close()
        ended = summary(documents, Records.concatenate(chunks))
        _, ids = catalog.insert([spec], [name], comparison_name, comparison=comparison, columns=ended)
        passing.replace(layout.run_file(ids[0]))
    finally:
        file.close()
        for left in (passing, *sidecars(passing)):
            left.unlink(missing_ok=True)
    return ids[0]
