"""Which runs the view is of: chosen from all that are stored, kept while another page is shown, and in the address."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.store import RunRow
from ui.address import quoted
from ui.table import CHOSEN_RUNS
from ui.words import markdown, shown

AT_MOST = 12
_KEY = "clipping-runs"
_KEPT = "clipping-runs-kept"


def show_runs(run_ids: Sequence[str]) -> dict[str, str]:
    """Have the view show these runs; returns the address that says so."""
    st.session_state[_KEPT] = list(run_ids[:AT_MOST])
    st.session_state.pop(_KEY, None)
    return {CHOSEN_RUNS: ",".join(run_ids[:AT_MOST])}


def choose(rows: Sequence[RunRow]) -> list[str]:
    """Show the choice among ``rows``, newest first and at least one; returns the ids that are chosen."""
    known = {row.id: row for row in rows}
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _first(rows)
    st.session_state[_KEY] = [run_id for run_id in st.session_state[_KEY] if run_id in known][:AT_MOST]
    chosen = st.multiselect(
        "Runs",
        list(known),
        format_func=lambda run_id: _label(known[run_id]),
        key=_KEY,
        max_selections=AT_MOST,
        placeholder="Choose one or more runs",
        help="Type to find a run by its name, its comparison or its id.",
    )
    st.session_state[_KEPT] = list(chosen)
    wanted = ",".join(chosen)
    if wanted and st.query_params.get(CHOSEN_RUNS) != wanted:
        st.query_params[CHOSEN_RUNS] = wanted
    return list(chosen)


def _first(rows: Sequence[RunRow]) -> list[str]:
    """What was chosen before, else what the address names, else the newest comparison that has begun."""
    if (kept := st.session_state.get(_KEPT)) is not None:
        return list(kept)
    known = {row.id for row in rows}
    asked = list(dict.fromkeys(filter(None, st.query_params.get(CHOSEN_RUNS, "").split(","))))
    if missing := [run_id for run_id in asked if run_id not in known]:
        st.warning(markdown(f"In the address, runs must name stored runs, but got {quoted(', '.join(missing))}."))
    if found := [run_id for run_id in asked if run_id in known]:
        if len(found) > AT_MOST:
            st.warning(
                f"In the address, runs must name at most {AT_MOST} runs, but got {len(found)}; the first {AT_MOST} "
                "are shown."
            )
        return found
    begun = [row for row in rows if row.steps_done]
    return [row.id for row in rows if row.comparison == begun[0].comparison][::-1][:AT_MOST] if begun else []


def _label(row: RunRow) -> str:
    comparison = f" · {row.comparison_name}" if row.comparison_name else ""
    return shown(f"{row.name}{comparison} · {row.id}")
