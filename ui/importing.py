"""Taking in a bundle that somebody made here or elsewhere. A hostile one is refused whole, with the sentence why."""

from __future__ import annotations

import streamlit as st

from ui import places
from ui.words import markdown

_RESULT = "import-result"


def import_panel() -> None:
    """An upload, and the outcome of the last one."""
    file = st.file_uploader("A bundle (.zip) that was exported here or elsewhere", type="zip", key="bundle")
    if file is not None and st.session_state.get(_RESULT, ("", ""))[0] != file.file_id:
        with st.spinner("Checking every file of the bundle …"):
            st.session_state[_RESULT] = (file.file_id, *_taken(file.getvalue()))
        st.rerun()


def import_outcome() -> None:
    """Say how the last import went."""
    if _RESULT in st.session_state:
        _, well, sentence = st.session_state[_RESULT]
        (st.success if well else st.error)(markdown(sentence))


def _taken(content: bytes) -> tuple[bool, str]:
    from diagnostics.export.archive import BundleError
    from diagnostics.store import StoreError
    from experiments.bundle import import_bundle

    try:
        return True, import_bundle(content, places.store()).describe()
    except (BundleError, StoreError) as error:
        return False, str(error)
