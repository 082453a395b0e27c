"""The Runs page: everything stored, what can be done with it, and the chosen runs in the Lab's figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from diagnostics.store import RunRow, StoreError
from ui import look, places
from ui.address import COMPARISON
from ui.controls import SETTINGS
from ui.header import export_panel
from ui.importing import import_outcome, import_panel
from ui.inspect.asked import look_at
from ui.live import live_view
from ui.settings import asked_for
from ui.shell import INSPECT, LAB
from ui.table import CHOSEN_RUNS, FIRST_RUNS, chosen, filtered
from ui.words import markdown

_DELETED = "deleted"


def show() -> None:
    """Draw the page."""
    try:
        store = places.store()
        rows = store.runs()
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        return
    if store.notice:
        st.info(markdown(store.notice), icon=":material/lock:")
    _undo_bar()
    import_outcome()
    with st.sidebar:
        passing = filtered(rows) if rows else []
        look.projector_toggle()
    if not rows:
        st.info("No runs are stored yet. Train some in the Lab, or import a bundle.")
        import_panel()
        return
    picked = _pick(rows, passing)
    _actions(picked)
    if picked:
        ids = [row.id for row in picked]
        live_view(ids, "runs-" + hashlib.blake2b(",".join(ids).encode(), digest_size=6).hexdigest())
    else:
        st.caption("Choose one or more rows in the table to see them together below.")


def _pick(rows: Sequence[RunRow], passing: Sequence[RunRow]) -> list[RunRow]:
    before = st.session_state.get(CHOSEN_RUNS)
    if before is None:
        before = st.session_state[FIRST_RUNS] = st.query_params.get(CHOSEN_RUNS, "").split(",")
    if not passing:
        st.caption(f"None of the {len(rows)} runs passes the filters.")
        return []
    picked = chosen(passing, before)
    ids = [row.id for row in picked]
    st.session_state[CHOSEN_RUNS] = ids
    params = ({CHOSEN_RUNS: ",".join(ids)} if ids else {}) | (
        {look.PROJECTOR: "1"} if st.session_state.get(look.PROJECTOR) else {}
    )
    if params != st.query_params.to_dict():
        st.query_params.from_dict(params)
    return picked


def _actions(picked: Sequence[RunRow]) -> None:
    none = not picked
    with st.container(horizontal=True, gap="small"):
        with st.popover("Import", icon=":material/upload:"):
            import_panel()
        with st.popover("Export", icon=":material/download:", disabled=none):
            if picked:
                export_panel(picked, "runs")
        with st.popover("Rename", icon=":material/edit:", disabled=len(picked) != 1):
            if len(picked) == 1:
                _rename(picked[0])
        st.button(
            f"Delete {len(picked)}" if picked else "Delete",
            icon=":material/delete:",
            disabled=none,
            key="delete",
            on_click=_delete,
            args=([row.id for row in picked],),
        )
        if st.button("Inspect", icon=":material/search:", disabled=none, key="open-in-inspect"):
            st.switch_page(INSPECT, query_params=look_at([row.id for row in picked]))
        together = {row.comparison for row in picked}
        if st.button("Open in Lab", icon=":material/science:", disabled=len(together) != 1, key="open-in-lab"):
            comparison = next(iter(together))
            st.session_state[COMPARISON] = comparison
            if asked := asked_for([row.spec for row in places.store().runs(comparison=comparison)[::-1]]):
                st.session_state[SETTINGS] = asked
            st.switch_page(LAB, query_params={COMPARISON: comparison})


def _rename(row: RunRow) -> None:
    with st.form(f"rename-{row.id}", border=False):
        name = st.text_input("New name", value=row.name, max_chars=200)
        if st.form_submit_button("Rename"):
            try:
                places.store().rename(row.id, name)
            except StoreError as error:
                st.error(f"{markdown(str(error))}.")
            else:
                st.rerun()


def _delete(run_ids: Sequence[str]) -> None:
    try:
        places.store().delete(run_ids)
    except StoreError as error:
        st.toast(f"{markdown(str(error))}.", icon=":material/error:")
        return
    st.session_state[_DELETED] = tuple(run_ids)


def _restore(run_ids: Sequence[str]) -> None:
    try:
        places.store().restore(run_ids)
    except StoreError as error:
        st.toast(f"{markdown(str(error))}.", icon=":material/error:")
    st.session_state[CHOSEN_RUNS] = list(run_ids)  # as they were before the click that is undone
    st.session_state.pop(_DELETED, None)


def _undo_bar() -> None:
    deleted = st.session_state.get(_DELETED)
    if deleted:
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.markdown(f"Deleted {len(deleted)} run{'s' if len(deleted) > 1 else ''}.")
            st.button("Undo", key="undo-delete", on_click=_restore, args=(deleted,), icon=":material/undo:")
