"""From what is asked to what is found: how far it is, what went wrong, and the inspections that are there."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.inspection import Inspection
from diagnostics.store import StoreError
from experiments.inspection.request import State, Ticket
from ui.inspect.choosing import Look, ask
from ui.words import left, markdown

EVERY_S = 0.4
_BUSY = ("waiting", "computing")
_LOADED = "inspect-loaded"

Found = list[tuple[Look, Inspection]]


def found(looks: Sequence[Look]) -> Found:
    """Say how far each is, and return those that are there."""
    states = [(look, look.ticket.state()) for look in looks]
    busy = [look for look, state in states if state.name in _BUSY]
    if busy:
        st.fragment(_look_again, run_every=EVERY_S)(busy)
    for look, state in states:
        if state.name == "failed":
            _failed(look, f"{look.name} after {look.ticket.step} updates could not be looked into: {state.words}")
    unasked = [look for look, state in states if state.name == "cancelled"]
    there = _load([look for look, state in states if state.name == "done"])
    if unasked and not busy:
        _unasked(unasked, some=bool(there))
    return there


def _look_again(busy: Sequence[Look]) -> None:
    states = [(look, look.ticket.state()) for look in busy]
    for look, state in states:
        if state.name in _BUSY:
            _bar(look, state)
    if any(state.name not in _BUSY for _, state in states):
        st.rerun()  # as a whole: there is something to show, or to say


def _bar(look: Look, state: State) -> None:
    ticket = look.ticket
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"busy-{ticket.run_id}"):
        words = [f"{look.name} after {ticket.step} updates", state.words or "waiting", left(state.seconds_left)]
        st.progress(state.share, text=" · ".join(markdown(word) for word in words if word))
        st.button("Cancel", key=f"cancel-{ticket.run_id}", icon=":material/close:", on_click=_cancel, args=(ticket,))


def _cancel(ticket: Ticket) -> None:
    ticket.cancel()


def _failed(look: Look, sentence: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"failed-{look.row.id}"):
        st.error(f"{markdown(sentence)}.", icon=":material/error:")
        st.button("Try again", key=f"again-{look.row.id}", icon=":material/refresh:", on_click=ask, args=([look],))


def _unasked(looks: Sequence[Look], some: bool) -> None:
    names = ", ".join(f"{look.name} after {look.ticket.step} updates" for look in looks)
    if some:
        st.caption(markdown(f"Not computed yet: {names}.") + " Press **Inspect** at the left.")
        return
    st.info(
        markdown(f"{names}: ") + "press **Inspect** at the left. A few held-out samples go through the network as it "
        "was then, forwards and backwards, in a process of its own; what is found is kept.",
        icon=":material/search:",
    )


def _load(looks: Sequence[Look]) -> Found:
    """Read the results; those of before are not read again, for weights that were kept never change."""
    before: dict[Ticket, Inspection] = st.session_state.get(_LOADED, {})
    loaded: dict[Ticket, Inspection] = {}
    there = []
    for look in looks:
        try:
            loaded[look.ticket] = before.get(look.ticket) or look.ticket.result()
        except StoreError as error:
            _failed(look, str(error))
            continue
        there.append((look, loaded[look.ticket]))
    st.session_state[_LOADED] = loaded
    return there
