"""The table of runs: filters, rows, and which of them are chosen. What is chosen is known by id, never by place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from diagnostics.measures.verdict import verdict
from diagnostics.store import ENDED, STATES, RunRow, Store, StoreError
from models.cells import CELLS
from models.kinds import MODELS
from tasks import TASKS
from ui import places
from ui.words import shown

CHOSEN_RUNS = "runs"
"""The query parameter that names the chosen runs, and where the session keeps them."""

FIRST_RUNS = "first-runs"
"""The runs that a link or the Lab came with: they stand first, where they are seen."""


_NETWORKS = {name: cell.title for name, cell in CELLS.items()} | {
    name: kind.title for name, kind in MODELS.items() if not kind.recurrent
}
"""What can be trained: a cell, or a kind of network that has none."""


def _network(row: RunRow) -> str:
    model = str(row.spec.get("model"))
    return model if model in MODELS and not MODELS[model].recurrent else str(row.spec.get("cell"))


def filtered(rows: Sequence[RunRow]) -> list[RunRow]:
    """Show the filters and return the rows that pass all of them."""
    wanted = st.text_input("Find", key="find", placeholder="name, comparison or id", type="search")
    cells = st.multiselect("Cell", list(_NETWORKS), format_func=_NETWORKS.__getitem__, key="filter-cell")
    tasks = st.multiselect("Task", list(TASKS), format_func=lambda n: TASKS[n].title, key="filter-task")
    states = st.multiselect("State", STATES, key="filter-state")
    words = (wanted or "").casefold().split()
    return [
        row
        for row in rows
        if (not cells or _network(row) in cells)
        and (not tasks or row.spec.get("task") in tasks)
        and (not states or row.state in states)
        and all(word in f"{row.name} {row.comparison_name} {row.comparison} {row.id}".casefold() for word in words)
    ]


def chosen(rows: Sequence[RunRow], before: Sequence[str]) -> list[RunRow]:
    """Show ``rows`` and return those that are chosen; ``before`` are the ids that were chosen so far."""
    first = st.session_state.get(FIRST_RUNS, ())
    rows = sorted(rows, key=lambda row: row.id not in first)
    places = [index for index, row in enumerate(rows) if row.id in before]
    event = st.dataframe(
        {name: [_cell(row, name) for row in rows] for name in _COLUMNS},
        # A table with other rows is another table: the places that were chosen in the old one mean nothing in it.
        key=f"runs-{hash(tuple(row.id for row in rows))}",
        hide_index=True,
        height=min(35 * (len(rows) + 1) + 3, 423),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": places, "columns": [], "cells": []}},
        column_config={
            **{name: st.column_config.Column(name.capitalize()) for name in _COLUMNS},
            "name": st.column_config.TextColumn("Name", width="medium", pinned=False),
            "success": st.column_config.NumberColumn("Success", format="%.1f %%"),
            "loss": st.column_config.NumberColumn("Loss", format="%.3g"),
        },
        placeholder="–",
        alt="Runs, newest first, with what was asked for and how they ended. Choose rows to see them together.",
    )
    return [rows[index] for index in event.selection.rows if index < len(rows)]


_COLUMNS = (
    "name",
    "verdict",
    "success",
    "state",
    "cell",
    "gap",
    "clip",
    "seed",
    "steps",
    "loss",
    "task",
    "started",
    "comparison",
)


def _cell(row: RunRow, column: str) -> Any:
    match column:
        case "name":
            return shown(row.name)
        case "comparison":
            return shown(row.comparison_name or row.comparison)
        case "steps":
            return f"{row.steps_done} of {row.steps}"
        case "verdict":
            return _verdict(places.store(), row)
        case "success":
            return None if row.success is None else 100 * row.success
        case "started":
            return time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started_s or row.created_s))
        case "cell":
            return _NETWORKS.get(_network(row)) or shown(_network(row))
        case "task":
            task = str(row.spec.get("task"))
            return TASKS[task].title if task in TASKS else shown(task)
        case "clip":
            kind, _, threshold = str(row.spec.get("clip")).partition(":")
            return shown(f"{kind} {threshold.removesuffix('.0')}").strip() if threshold else "off"
        case "gap" | "seed":
            return number if isinstance(number := row.spec.get(column), int) else None
        case _:
            return getattr(row, column)


_VERDICTS: dict[tuple[str, str, int], str | None] = {}


def _verdict(store: Store, row: RunRow) -> str | None:
    """The headline of an ended run's verdict, read from its records once; None where there is none to give."""
    if row.state not in ENDED:
        return None
    key = (row.id, row.state, row.steps_done)
    if key not in _VERDICTS:
        try:
            said = verdict(store.read(row.id))
        except StoreError:
            return None  # the row is chosen to learn what is wrong with it
        _VERDICTS[key] = said.headline if said.kind else None
    return _VERDICTS[key]
