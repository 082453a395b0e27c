"""Asking for an inspection without computing it: the page's side. Free of torch.

    ticket = request(store, run_id, step, Asked(sections=("states",)))
    while (state := ticket.state()).name in ("waiting", "computing"): ...
    inspection = ticket.result()

A process of its own computes, one request at a time (see ``process``); it is started where none runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any, Literal

from diagnostics.inspection import SECTIONS, Inspection, load
from diagnostics.store import RunRow, Store, StoreError
from diagnostics.store.weights import AT_MOST_BYTES
from diagnostics.strict_json import loads
from experiments.cost import amount, predict
from experiments.inspection.asked import Asked
from experiments.inspection.files import Place, Request, requests, write_json, write_text
from experiments.inspection.limits import cannot_stored
from experiments.inspection.start import ensure_inspector
from experiments.spec import Refusal, RunSpec


@dataclass(frozen=True)
class State:
    """How far a request is. ``share`` is 0 to 1; ``words`` say what is going on, or why it failed, in a sentence;
    ``seconds_left`` is None where nothing is known yet."""

    name: Literal["waiting", "computing", "done", "failed", "cancelled"]
    share: float = 0.0
    words: str = ""
    seconds_left: float | None = None


@dataclass(frozen=True)
class Ticket:
    """A request for what is ``asked`` of a run at a training step; making one asks for nothing, ``request`` does."""

    store: Store
    run_id: str
    step: int
    asked: Asked

    @property
    def _place(self) -> Place:
        return Place.of(self.store, self.run_id, self.step, self.asked)

    def state(self) -> State:
        """How far it is; a few looks at files, and at whether the process lives, which is started anew where not."""
        place = self._place
        if place.result() is not None:
            return State("done", 1.0)
        if place.failed.exists():
            return State("failed", words=_text(place))
        if not place.asked.exists():
            return State("done", 1.0) if place.result() is not None else State("cancelled")
        if trouble := _see_to_it(self.store, place):
            return State("failed", words=trouble)
        return _progress(place) or State("waiting", words=_ahead(self.store, place))

    def result(self) -> Inspection:
        """The inspection, with the sections that were asked for and perhaps more.

        Raises ``StoreError`` where it is not there; a damaged one is removed, so that asking again computes it anew.
        """
        path = self._place.result()
        if path is None:
            raise StoreError(f"the inspection of run {self.run_id} at step {self.step} has not been computed yet")
        try:
            found = load(path)
            os.utime(path)
        except ValueError as error:
            path.unlink(missing_ok=True)
            raise StoreError(f"{error}; it was removed: ask for it again") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
        return found

    def cancel(self) -> None:
        """Take the request back; what is being computed for it ends. A result that is there stays."""
        self._place.forget()


def request(store: Store, run_id: str, step: int, asked: Asked) -> Ticket:
    """Ask for an inspection; at once where its result is kept. What failed before is tried again.

    Raises ``StoreError`` where the run cannot be looked into or has not kept its weights at ``step``, or the store can
    only be read.
    """
    ticket = Ticket(store, run_id, step, asked)
    place = ticket._place
    if place.result() is not None:
        return ticket
    if store.read_only:
        raise StoreError(f"nothing can be computed for a store that is open for reading only: {store.notice}")
    if why := cannot_stored(store.row(run_id).spec):
        raise StoreError(why)
    kept = store.weights_steps(run_id)
    if step not in kept:
        raise StoreError(nothing_kept(store, run_id, step, kept))
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        place.failed.unlink(missing_ok=True)
        if not place.asked.exists():
            write_json(place.asked, Request(run_id, step, asked, time.time(), 0).to_json())
    except OSError as error:
        raise StoreError(f"{place.asked} cannot be written: {error.strerror or error}") from error
    _see_to_it(store, place)
    return ticket


def _see_to_it(store: Store, place: Place) -> str:
    """That somebody computes; where nobody can, that is how the request failed, and is returned."""
    trouble = ensure_inspector(store)
    if trouble:
        with contextlib.suppress(OSError):
            write_text(place.failed, trouble)
    return trouble


def nothing_kept(store: Store, run_id: str, step: int, kept: tuple[int, ...]) -> str:
    """Why a run cannot be looked into at ``step``, as a sentence."""
    if kept:
        return f"run {run_id} kept its weights at the steps {', '.join(map(str, kept))}, but step {step} was asked for"
    row = store.row(run_id)
    if too_large := _too_large(row):
        return f"run {run_id} keeps no weights to look into: {too_large}"
    if row.state in ("queued", "running"):
        return f"run {run_id} is {row.state} and has not kept any weights yet"
    if not store.run_file(run_id).exists() or not store.info(run_id):
        return f"run {run_id} has kept no weights to look into: it never began, but was {row.state} before"
    return (
        f"run {run_id} has kept no weights to look into: it was recorded before gradreach kept any, or it broke "
        "off at once; trained again, it keeps them"
    )


def _too_large(row: RunRow) -> str:
    """Why the weights of a run's network are not kept, where it is for their size; else ""."""
    try:
        parameters = predict(RunSpec.from_json(row.spec)).parameters
    except Refusal:
        return ""  # a spec of another version
    if 4 * parameters <= AT_MOST_BYTES:
        return ""
    return (
        f"its network has {parameters:,} parameters, which take {amount(4 * parameters)}, and a run keeps at most "
        f"{amount(AT_MOST_BYTES)} of weights; a smaller hidden size or fewer layers would fit"
    )


def _text(place: Place) -> str:
    try:
        return place.failed.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "it failed, and why cannot be read"


def _progress(place: Place) -> State | None:
    try:
        found: Any = loads(place.progress.read_bytes())
        share, section = float(found["share"]), str(found["section"])
        # What was left at the last sign, less the time since.
        left = float(found["seconds_left"]) - (time.time() - float(found["at_s"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    words = f"computing {SECTIONS[section]}" if section in SECTIONS else "beginning"
    return State("computing", min(max(share, 0.0), 1.0), words, max(0.0, left))


def _ahead(store: Store, place: Place) -> str:
    names = [one for _, one in requests(store)]
    before = names.index(place) if place in names else 0
    return f"{before} other{'s' * (before > 1)} come{'s' * (before == 1)} first" if before else "about to begin"
