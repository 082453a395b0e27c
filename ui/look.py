"""How the page looks: which theme the browser shows, how large the text is, and the few rules that Streamlit lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import streamlit as st

PROJECTOR = "projector"
_STYLE = Path(__file__).parent / "style.css"
_LARGER = "html { font-size: 130% !important; }"


def theme() -> Literal["light", "dark"]:
    """The theme that the browser shows now."""
    return "dark" if st.context.theme.type == "dark" else "light"


def size() -> Literal["page", "projector"]:
    """The size that figures are drawn for."""
    return "projector" if st.session_state.get(PROJECTOR) else "page"


def projector_toggle() -> None:
    """Larger text and figures, for a room; kept over page changes and in the address."""
    st.toggle("Projector size", key=PROJECTOR, persist_state="session", help="Larger text and figures, for a room.")


def dress() -> None:
    """Put the page's own rules in place."""
    if PROJECTOR not in st.session_state:
        st.session_state[PROJECTOR] = st.query_params.get(PROJECTOR) == "1"
    rules = _STYLE.read_text(encoding="utf-8")
    st.html(f"<style>{rules}{_LARGER if size() == 'projector' else ''}</style>")
