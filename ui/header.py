"""The line above a comparison: what it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.records import Run
from diagnostics.store import ENDED, RunRow
from experiments.spec import Refusal, RunSpec
from ui import exports, places
from ui.controls import SETTINGS, fill
from ui.live import CHOSEN
from ui.settings import Settings, settings_of
from ui.shell import RUNS
from ui.words import markdown


def comparison_header(rows: Sequence[RunRow]) -> None:
    """Name, export, and the way to the other runs."""
    first = rows[0]
    title, tools = st.columns([3, 2], vertical_alignment="center")
    with title:
        st.subheader(markdown(first.comparison_name or first.comparison), anchor=False)
    with tools, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if (asked := _settings(rows)) is not None and asked != st.session_state.get(SETTINGS):
            st.button(
                "Change and run again",
                icon=":material/tune:",
                key="reuse",
                help="Bring the controls to what these runs were asked for.",
                on_click=fill,
                args=(asked,),
            )
        with st.popover("Export", icon=":material/download:"):
            export_panel(rows, first.comparison)
        if st.button("Open in Runs", icon=":material/list_alt:", key="open-in-runs"):
            st.switch_page(RUNS, query_params={"runs": ",".join(row.id for row in rows)})


def _settings(rows: Sequence[RunRow]) -> Settings | None:
    """What these runs were asked for; None where a spec is none that this version would run."""
    try:
        return settings_of([RunSpec.from_json(row.spec) for row in rows])
    except Refusal:
        return None


def export_panel(rows: Sequence[RunRow], scope: str) -> None:
    """Everything that can be taken away of these runs."""
    store = places.store()
    ids = [row.id for row in rows]
    names = {row.id: row.name for row in rows}
    title = rows[0].comparison_name or rows[0].comparison

    def source() -> list[Run]:
        return [store.read(run_id) for run_id in ids]

    def bundle() -> bytes:
        from diagnostics.export.bundle import bundle_bytes

        return bundle_bytes(store, ids, title=title)

    ended = all(row.state in ENDED for row in rows)
    st.markdown("**A figure**")
    exports.figure_exports(names, source, st.session_state.setdefault(CHOSEN, {}), scope)
    st.markdown("**Data** (CSV)")
    exports.data_exports(names, source, scope)
    st.markdown("**Everything**")
    exports.comparison_exports(title, source, bundle if ended else None, scope)
