"""The runs that were watched, newest first: the chosen ones in the Lab's figures, beside runs of the Lab if wanted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import streamlit as st

from diagnostics.store import ENDED, RunRow, StoreError
from experiments.watched import about, covered, happened, is_watched
from ui import places
from ui.clipping import choice
from ui.header import export_panel
from ui.live import live_view
from ui.shell import CLIPPING, RUNS
from ui.table import CHOSEN_RUNS, FIRST_RUNS
from ui.words import markdown, shown
from ui.your_model import asked, attach

FOLLOW_S = 1.5
"""How often the store is looked at for a run that has begun or ended."""
BESIDE_AT_MOST = 8
EVENTS_AT_MOST = 20


def show() -> None:
    """Draw the view."""
    rows = places.store().runs()
    watched = [row for row in rows if is_watched(row.spec)]
    if not watched:
        st.info(
            "Nothing has been watched yet. Put two lines around the training loop of your model, start it, and its "
            "runs appear here by themselves.",
            icon=":material/sensors:",
        )
        attach.show()
    else:
        _chosen(rows, watched)
    st.fragment(_follow, run_every=FOLLOW_S)(_seen(watched))


def _seen(watched: Sequence[RunRow]) -> tuple[tuple[str, str, str], ...]:
    return tuple((row.id, row.state, row.name) for row in watched)


def _follow(seen: tuple[tuple[str, str, str], ...]) -> None:
    """Draw the page again as soon as another run is watched, or one has ended."""
    with suppress(StoreError):
        if _seen([row for row in places.store().runs() if is_watched(row.spec)]) != seen:
            st.rerun()


def _chosen(rows: Sequence[RunRow], watched: Sequence[RunRow]) -> None:
    picked = _pick(watched)
    beside = _beside([row for row in rows if not is_watched(row.spec)])
    if not picked:
        st.caption("Choose one or more rows in the table to see them below.")
        return
    picked = picked[::-1]  # as they were recorded: the layers' names in the order of the model
    both = [*picked, *beside]
    _tools(picked, both)
    ids = [row.id for row in both]
    live_view(ids, "watched-" + hashlib.blake2b(",".join(ids).encode(), digest_size=6).hexdigest())
    _facts(picked)


def _pick(watched: Sequence[RunRow]) -> list[RunRow]:
    """The table; where nobody has chosen yet, all runs of the newest training."""
    newest = [row.id for row in watched if row.comparison == watched[0].comparison]
    first = st.session_state.get(asked.FIRST, ())
    watched = sorted(watched, key=lambda row: row.id not in first)
    before = asked.kept(asked.RUNS)
    wanted = newest if before is None else before
    event = st.dataframe(
        {name.capitalize(): [_cell(row, name) for row in watched] for name in _COLUMNS},
        # A table with other rows is another table: the places that were chosen in the old one mean nothing in it.
        key=f"watched-{hash(tuple(row.id for row in watched))}",
        hide_index=True,
        height=min(35 * (len(watched) + 1) + 3, 248),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [i for i, r in enumerate(watched) if r.id in wanted], "columns": [], "cells": []}
        },
        column_config={"Name": st.column_config.TextColumn("Name", width="medium", pinned=False)},
        placeholder="–",
        alt="Watched runs, newest first, one for each recurrent part and direction of a model. Choose rows to see them",
    )
    picked = [watched[place] for place in event.selection.rows if place < len(watched)]
    ids = [row.id for row in picked]
    if before is not None or ids != newest:
        asked.keep(asked.RUNS, ids)
    return picked


_COLUMNS = ("name", "state", "steps", "module", "cell", "direction", "timesteps", "layers", "clip", "started")


def _cell(row: RunRow, column: str) -> Any:
    about = row.spec["watched"]
    match column:
        case "name":
            return shown(row.name)
        case "steps":
            return row.steps_done if row.state in ENDED else None  # of those that grow the strip below says it
        case "state":
            return "watching" if row.state == "running" else row.state
        case "module" | "direction":
            return shown(str(about.get(column) or "")) or None
        case "timesteps":
            return number if isinstance(number := about.get(column), int) else None
        case "layers":
            layers, hidden = row.spec.get("layers"), row.spec.get("hidden")
            return shown(f"{layers} × {hidden}") if layers and hidden else None
        case "clip":
            return shown(str(row.spec.get("clip") or "").replace(":", " ")) or None
        case "started":
            return time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started_s or row.created_s))
        case _:
            return shown(str(row.spec.get(column) or "")) or None


def _beside(others: Sequence[RunRow]) -> list[RunRow]:
    """Runs of the Lab that are laid over the watched ones."""
    known = {row.id: row for row in others if row.steps_done}
    if not known:
        return []
    st.session_state.setdefault(asked.BESIDE, asked.kept(asked.WITH) or [])
    st.session_state[asked.BESIDE] = [one for one in st.session_state[asked.BESIDE] if one in known][:BESIDE_AT_MOST]
    chosen = st.multiselect(
        "Beside runs of the Lab",
        list(known),
        format_func=lambda run_id: _label(known[run_id]),
        key=asked.BESIDE,
        max_selections=BESIDE_AT_MOST,
        placeholder="Choose runs to lay over these",
        help="Type to find a run by its name, its comparison or its id.",
    )
    asked.keep(asked.WITH, list(chosen))
    return [known[run_id] for run_id in chosen]


def _label(row: RunRow) -> str:
    comparison = f" · {row.comparison_name}" if row.comparison_name else ""
    return shown(f"{row.name}{comparison} · {row.id}")


def _tools(picked: Sequence[RunRow], both: Sequence[RunRow]) -> None:
    with st.container(horizontal=True, gap="small", key="tools"):
        with st.popover("Export", icon=":material/download:"):
            export_panel(both, "your-model")
        ids = [row.id for row in both]
        if st.button(
            "Open in Runs", icon=":material/list_alt:", key="open-in-runs", help="To rename, delete or import."
        ):
            st.session_state[CHOSEN_RUNS] = st.session_state[FIRST_RUNS] = ids
            st.switch_page(RUNS, query_params={CHOSEN_RUNS: ",".join(ids)})
        if st.button("What would clipping have done?", icon=":material/content_cut:", key="open-in-clipping"):
            st.switch_page(CLIPPING, query_params=choice.show_runs(ids))


def _facts(picked: Sequence[RunRow]) -> None:
    """What each number is, run by run: as far as it was recorded."""
    store = places.store()
    st.subheader("What these numbers are", anchor=False)
    for place, row in enumerate(picked):
        with st.expander(markdown(row.name), expanded=place == 0, key=f"facts-{row.id}"):
            try:
                info = store.info(row.id)
            except StoreError as error:
                st.error(f"{markdown(str(error))}.", icon=":material/error:")
                continue
            said = about(row.spec, info)
            st.markdown("\n".join(f"- **{name}**: {markdown(words)}" for name, words in said.items()))
            _listed("What is watched of the model, and what is not", covered(info))
            _listed("What happened", happened(info)[:EVENTS_AT_MOST])


def _listed(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        st.markdown(f"**{title}**\n" + "".join(f"\n- {markdown(line)}" for line in sentences))
