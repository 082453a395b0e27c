"""A look inside a run of a stop: asked of the process that inspects, or taken from the recorded example."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.inspection import Inspection
from diagnostics.store import ENDED, StoreError
from experiments.inspection.asked import Asked
from experiments.inspection.request import Ticket, request
from experiments.spec import Refusal
from ui import places
from ui.learn import examples
from ui.learn.stop import Look, Seen, Stop
from ui.words import left, markdown

EVERY_S = 0.5
_LOADED = "learn-inspected"


def found(stop: Stop, look: Look, seen: Sequence[Seen]) -> Inspection | None:
    """What was found; None as long as it is not there, which is said."""
    run = seen[look.place].run
    if run.comparison == "example":
        one = examples.inspection(stop.slug, look)
        if one is None:
            st.info("What was found inside the recorded example cannot be read: press **Run** to look into your own.")
        return one
    if run.state not in ENDED:
        st.caption(f"Once {markdown(run.name)} has ended, it is looked into here.")
        return None
    name = (run.id, look)
    loaded = st.session_state.setdefault(_LOADED, {})
    if name in loaded:
        return loaded[name]  # type: ignore[no-any-return]
    try:
        ticket = request(places.store(), run.id, look.step, Asked(look.samples, look.sections))
        state = ticket.state()
        if state.name == "done":
            loaded[name] = ticket.result()
            return loaded[name]  # type: ignore[no-any-return]
    except (StoreError, Refusal) as error:
        st.info(f"{markdown(run.name)} could not be looked into: {markdown(str(error))}.", icon=":material/info:")
        return None
    if state.name in ("waiting", "computing"):
        st.fragment(_wait, run_every=EVERY_S)(ticket, run.name)
    else:
        st.info(f"{markdown(run.name)} could not be looked into: {markdown(state.words)}.", icon=":material/info:")
    return None


def _wait(ticket: Ticket, name: str) -> None:
    state = ticket.state()
    if state.name not in ("waiting", "computing"):
        st.rerun()  # as a whole: there is something to show, or to say
    words = [f"Looking into {name}", state.words or "waiting", left(state.seconds_left)]
    st.progress(state.share, text=" · ".join(markdown(word) for word in words if word))
