"""The page Your model: one of three views, named in the address."""

from __future__ import annotations

import streamlit as st

from diagnostics.store import StoreError
from ui import look, places
from ui.words import markdown
from ui.your_model import asked


def show() -> None:
    """Draw the page."""
    with st.sidebar:
        look.projector_toggle()
    view = asked.view()
    try:
        if view != "checkpoint" and (notice := places.store().notice):
            st.info(markdown(notice), icon=":material/lock:")
        # Each view is loaded when it is looked at.
        if view == "attach":
            from ui.your_model import attach

            attach.show()
        elif view == "checkpoint":
            from ui.your_model import checkpoint

            checkpoint.show()
        else:
            from ui.your_model import runs

            runs.show()
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
    asked.write()
