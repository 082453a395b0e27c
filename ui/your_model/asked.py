"""What the page is asked: kept while another page is shown, and in the address, so that a link opens it again."""

from __future__ import annotations

import streamlit as st

from ui.address import quoted

VIEW, RUNS, WITH = "view", "watched", "with"
VIEWS = {"runs": "Watched runs", "attach": "How to attach", "checkpoint": "A checkpoint"}

BESIDE = "your-model-beside"
"""The key of the widget that asks for runs of the Lab."""

FIRST = "your-model-first"
"""The runs that a link came with: they stand first, where they are seen."""

_KEPT = "your-model-kept"
_KEY = "your-model-view"


def view() -> str:
    """Show the choice of the view; the first where the address asks for none that there is."""
    said = ""
    params = st.query_params
    # A link from another page names other runs than those that are kept.
    linked = RUNS in params and params[RUNS] != ",".join((st.session_state.get(_KEPT) or {}).get(RUNS) or [])
    if linked or _KEPT not in st.session_state:
        wanted = params.get(VIEW, "runs")
        if wanted not in VIEWS:
            said = f"In the address, view must be one of {', '.join(VIEWS)}, but got {quoted(wanted)}."
            wanted = "runs"
        listed = {name: list(dict.fromkeys(filter(None, params.get(name, "").split(",")))) for name in (RUNS, WITH)}
        # None: whoever asks for no run in particular sees the newest.
        st.session_state[_KEPT] = {VIEW: wanted, RUNS: listed[RUNS] or None, WITH: listed[WITH]}
        st.session_state[FIRST] = listed[RUNS]
        st.session_state.pop(_KEY, None)
        st.session_state.pop(BESIDE, None)
    st.session_state.setdefault(_KEY, st.session_state[_KEPT][VIEW])
    st.session_state[_KEY] = st.session_state[_KEY]
    chosen = st.segmented_control(
        "View", list(VIEWS), format_func=VIEWS.__getitem__, key=_KEY, label_visibility="collapsed", required=True
    )
    if said:
        st.warning(said)
    keep(VIEW, chosen or "runs")
    return chosen or "runs"


def kept(name: str) -> list[str] | None:
    """The runs that are asked for; None where nobody has chosen any yet."""
    found: list[str] | None = st.session_state[_KEPT][name]
    return found


def keep(name: str, value: str | list[str] | None) -> None:
    """Remember what is asked."""
    st.session_state[_KEPT][name] = value


def write() -> None:
    """Bring the address to what is asked."""
    wanted = _address()
    for name in (VIEW, RUNS, WITH):
        if name not in wanted and name in st.query_params:
            del st.query_params[name]
        elif name in wanted and st.query_params.get(name) != wanted[name]:
            st.query_params[name] = wanted[name]


def _address() -> dict[str, str]:
    now = st.session_state[_KEPT]
    if now[VIEW] != "runs":
        return {VIEW: now[VIEW]}
    return {name: ",".join(now[name]) for name in (RUNS, WITH) if now[name]}
