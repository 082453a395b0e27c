"""Run: what it will cost, and starting it, as a comparison of its own or beside the runs that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.store import RunRow, StoreError
from experiments.cost import amount, duration
from experiments.naming import comparison_name, run_names
from experiments.spec import RunSpec, predict
from ui import address, places
from ui.words import markdown


def run_buttons(specs: Sequence[RunSpec], refusal: str, shown: Sequence[RunRow]) -> None:
    """The button, with the predicted cost or with why not; ``shown`` are the runs of the comparison on the page."""
    st.button(
        f"Run {len(specs)} networks" if len(specs) > 1 else "Run",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="run",
        disabled=bool(refusal),
        on_click=start,
        args=(specs,),
    )
    if refusal:
        st.error(markdown(refusal))
        return
    costs = [predict(spec) for spec in specs]
    seconds = sum(cost.seconds for cost in costs)
    disk = sum(cost.disk_bytes for cost in costs)
    st.caption(f"Predicted: about {duration(seconds)} if this machine is idle, at most {amount(disk)} on disk.")
    known = [dict(row.spec) for row in shown]  # as stored: a spec of another version is known, but never equal
    fresh = [spec for spec in specs if spec.to_json() not in known]
    if shown and fresh:
        st.button(
            f"Add {len(fresh)} to the comparison shown",
            icon=":material/add:",
            width="stretch",
            key="add",
            on_click=start,
            args=(fresh, shown[0].comparison),
        )


def start(specs: Sequence[RunSpec], comparison: str | None = None) -> None:
    """Queue the runs, as a comparison of their own or beside those of ``comparison``, and show it."""
    if started := queued(specs, comparison):
        st.session_state[address.COMPARISON] = started


def queued(
    specs: Sequence[RunSpec], comparison: str | None = None, names: Sequence[str] | None = None, title: str = ""
) -> str:
    """Queue the runs and return their comparison; empty where that was not possible, which is said.

    ``names`` and ``title`` are what the runs and their comparison are called; left out, what they are.
    """
    try:
        # Beside runs that differ in who knows what, a name says everything; among its own, what differs.
        names = names or (run_names(specs) if comparison is None else [spec.label() for spec in specs])
        asked = [spec.to_json() for spec in specs]
        started, _ = places.store().create(asked, names, title or comparison_name(specs), comparison=comparison)
        places.queue().ensure_workers()
    except (StoreError, OSError) as error:
        st.toast(f"The runs were not started: {markdown(str(error))}.", icon=":material/error:")
        return ""
    return started
