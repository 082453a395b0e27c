"""Having runs looked into for an export: by the process that the page asks too, so that what it finds is kept."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from diagnostics.store import RunRow, Store
from experiments.cli.words import plain
from experiments.inspection.asked import Asked
from experiments.inspection.request import Ticket, nothing_kept, request
from experiments.spec import Refusal

_POLL_S = 0.1
_BUSY = ("waiting", "computing")
_BAR = "{desc} {percentage:3.0f} %|{bar}| {elapsed}"


def look_into(store: Store, rows: Sequence[RunRow], step: int | None) -> None:
    """Have everything computed of each run at the step nearest to ``step``, None for the last that it kept.

    A run that kept no weights is told of and passed over. Raises ``Refusal`` where none kept any, or where one cannot
    be looked into, ``StoreError`` where the store can only be read. Ctrl-C takes back what was asked for.
    """
    steps = {row.id: store.weights_steps(row.id) for row in rows}
    without = [nothing_kept(store, row.id, -1, ()) for row in rows if not steps[row.id]]
    if len(without) == len(rows):
        raise Refusal(f"{without[0]}.")
    for sentence in without:
        print(f"{plain(sentence)}.", file=sys.stderr)
    tickets: list[Ticket] = []
    try:
        for run_id, kept in steps.items():
            if kept:
                at = kept[-1] if step is None else min(kept, key=lambda one: (abs(one - step), one))
                tickets.append(request(store, run_id, at, Asked()))
        _wait(tickets)
    except KeyboardInterrupt:
        for ticket in tickets:
            ticket.cancel()
        raise


def _wait(tickets: Sequence[Ticket]) -> None:
    """Until all are there; raises ``Refusal`` with the reason of the first that cannot be had."""
    with contextlib.ExitStack() as stack:
        bar = None
        if sys.stderr.isatty():
            bar = stack.enter_context(tqdm(total=len(tickets), desc="looking inside", bar_format=_BAR, leave=False))
        while True:
            states = [ticket.state() for ticket in tickets]
            for ticket, state in zip(tickets, states, strict=True):
                if state.name == "failed":
                    raise Refusal(f"{ticket.run_id} after {ticket.step} updates cannot be looked into: {state.words}.")
                if state.name == "cancelled":
                    raise Refusal(f"{ticket.run_id} after {ticket.step} updates: somebody took the request back.")
            if bar is not None:
                bar.n = sum(state.share for state in states)
                bar.refresh()
            if all(state.name not in _BUSY for state in states):
                return
            time.sleep(_POLL_S)
