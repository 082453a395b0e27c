"""Following a run while it grows: each look reads only the chunks that are new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from diagnostics.records import Array, Records, Run, TaskFacts
from diagnostics.store import run_file, weights
from diagnostics.store.errors import StoreError
from diagnostics.store.layout import Layout
from diagnostics.store.rows import ENDED, RunRow


class RunReader:
    """What has been read of a run's file so far; ``look`` adds what is new."""

    def __init__(self, layout: Layout, run_id: str) -> None:
        self._layout = layout
        self.run_id = run_id
        self.chunks = 0
        self.records = Records.empty()
        self.documents: Mapping[str, Any] = {}

    def look(self, row: RunRow) -> bool:
        """Read what is new; True where there was something. ``row`` must have been read before: then a run that it
        calls ended is read to its end. Raises ``StoreError`` naming file and chunk where something is damaged.
        """
        path = self._layout.run_file(self.run_id)
        if not path.exists():
            if row.state not in ("finished", "diverged") and row.steps_done == 0:
                return False
            raise StoreError(f"{path} is missing, so the records of run {self.run_id} are lost")
        with run_file.opened(path) as connection:
            new = run_file.chunks(connection, path, self.chunks)
            fresh = bool(new)
            if new:
                self.records = Records.concatenate([self.records, *new])
                self.chunks += len(new)
            if "info" not in self.documents or (row.state in ENDED and "end" not in self.documents):
                known = self.documents
                self.documents = run_file.documents(connection, path)
                fresh = fresh or known.keys() != self.documents.keys()
        promised = self.documents.get("end", {}).get("chunks", self.chunks)
        if row.state in ENDED and promised != self.chunks:
            raise StoreError(f"{path} is damaged: it holds {self.chunks} chunks where {promised} were written")
        return fresh

    def run(self, row: RunRow) -> Run:
        """The run as far as it has been read."""
        return Run(
            id=row.id,
            name=row.name,
            state=row.state,
            spec=row.spec,
            facts=facts_of(self.documents.get("facts")),
            records=self.records,
            detail=row.detail,
            versions=versions_of(self.documents.get("info", {})),
            comparison=row.comparison,
        )


def _exactly(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} should be {kind.__name__}")
        return value

    return check


_FACT: Mapping[str, Callable[[Any], Any]] = {
    "str": _exactly(str),
    "int": _exactly(int),
    "float": float,
    "tuple[str, ...]": lambda values: tuple(map(_exactly(str), _exactly(list)(values))),
    "tuple[int, ...]": lambda values: tuple(map(_exactly(int), _exactly(list)(values))),
}
"""From JSON to a field of ``TaskFacts``, by the field's type; a number may be the string "nan"."""


def facts_of(document: Mapping[str, Any] | None) -> TaskFacts | None:
    """The task's facts from their JSON form; raises ``StoreError`` where they are not what they should be."""
    if document is None:
        return None
    try:
        return TaskFacts(**{field.name: _FACT[str(field.type)](document[field.name]) for field in fields(TaskFacts)})
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the task facts of a run cannot be read: {error}") from error


def summary(documents: Mapping[str, Any], records: Records) -> dict[str, Any]:
    """The catalog's columns as a run's file has them: how far it came, and its end where that was written."""
    found: dict[str, Any] = {}
    if records.rows("step"):
        found |= {
            "steps_done": int(records["step"][-1]) + 1,
            "loss": float(records["loss"][-1]),
            "elapsed_s": float(records["wall_s"][-1]),
        }
    if records.rows("eval"):
        found["success"] = float(records["eval_success"][-1])
    end: Mapping[str, Any] = documents.get("end", {})
    if end.get("state") in ENDED:
        try:
            found |= {name: kind(end[name]) for name, kind in _END.items() if end.get(name) is not None}
        except (TypeError, ValueError) as error:
            raise StoreError(f"how the run ended cannot be read: {error}") from error
    return found


_END: Mapping[str, Callable[[Any], Any]] = {
    "state": str,
    "detail": _exactly(str),
    "ended_s": float,
    "steps_done": _exactly(int),
    "elapsed_s": float,
    "loss": float,
    "success": float,
}
"""From JSON to a column of the catalog."""


def read_run_file(path: Path) -> Run:
    """The run in a file that lies outside a store, as ``Store.copy_run_file`` writes it; comparison stays empty."""
    with run_file.opened(path) as connection:
        documents = run_file.documents(connection, path)
        records = Records.concatenate(run_file.chunks(connection, path))
    about, end = documents.get("run", {}), summary(documents, records)
    if not isinstance(about.get("spec"), dict):
        raise StoreError(f"{path} does not say which run it holds")
    return Run(
        id=str(about.get("id", "")),
        name=str(about.get("name", "")),
        state=end.get("state", "interrupted"),
        spec=about["spec"],
        facts=facts_of(documents.get("facts")),
        records=records,
        detail=end.get("detail", ""),
        versions=versions_of(documents.get("info", {})),
    )


def read_run_weights(path: Path, step: int | None = None) -> dict[str, Array]:
    """The weights after ``step`` updates in such a file, None for the last that it holds; raises ``StoreError`` where
    there are none."""
    with run_file.opened(path) as connection:
        kept = weights.steps(connection, path)
        if not kept:
            raise StoreError(f"{path} holds no weights")
        return weights.read(connection, path, kept[-1] if step is None else step)


def versions_of(info: Mapping[str, Any]) -> dict[str, str]:
    """What a run was made with, from the document ``info``: its entries that are text."""
    return {key: value for key, value in info.items() if isinstance(value, str)}


class Rows(Protocol):
    """Whoever can say what the catalog's line of a run is."""

    def row(self, run_id: str) -> RunRow:
        """The run's line."""


class RunTail:
    """An incremental reader of one run, from ``Store.tail``. ``version`` changes exactly when ``poll`` saw news."""

    def __init__(self, store: Rows, layout: Layout, run_id: str) -> None:
        self._store = store
        self._reader = RunReader(layout, run_id)
        self._seen: tuple[str, str, str] | None = None
        self._complete = False
        self._run: Run | None = None
        self.version = 0

    def poll(self) -> Run:
        """The run up to now. Without news this is the same object as before, for the price of one catalog look."""
        row = self._store.row(self._reader.run_id)
        news = False
        if not self._complete:
            news = self._reader.look(row)
            self._complete = row.state in ENDED
        shown = (row.state, row.name, row.detail)
        if news or self._run is None or shown != self._seen:
            self._seen = shown
            self._run = self._reader.run(row)
            self.version += 1
        return self._run
