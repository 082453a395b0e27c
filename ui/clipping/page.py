"""The page Clipping: one of three views, named in the address."""

from __future__ import annotations

import streamlit as st

from diagnostics.store import StoreError
from ui import look, places
from ui.clipping import asked
from ui.words import markdown

_LEADS = {
    "what-if": "Every threshold at once, asked of the gradients that a run had. Nothing is trained again.",
    "sweep": "Train with every threshold and see what comes of it.",
    "cliff": "A network of one unit, its loss over two parameters, and a wall that throws plain descent off.",
}


def show() -> None:
    """Draw the page."""
    said = asked.fill()
    asked.hold()
    with st.sidebar:
        look.projector_toggle()
    view = asked.one_of("view", "View", asked.VIEWS, visible=False)
    for sentence in said:
        st.warning(markdown(sentence))
    st.caption(_LEADS[view])
    _notice(view)
    asked.keep(view)
    # Each view is loaded when it is looked at.
    if view == "cliff":
        from ui.clipping import cliff

        cliff.show()
    elif view == "sweep":
        from ui.clipping import sweep

        sweep.show()
    else:
        from ui.clipping import what_if

        what_if.show()


def _notice(view: str) -> None:
    """What is to be said of the store, where the view needs it."""
    if view == "cliff":
        return
    try:
        if notice := places.store().notice:
            st.info(markdown(notice), icon=":material/lock:")
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        st.stop()
