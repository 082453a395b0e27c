"""Clipping: what it would have done to a run, what a sweep of thresholds does, and the cliff that asks for it."""

from __future__ import annotations

import streamlit as st

st.title("What does clipping do?")

from ui.clipping.page import show  # noqa: E402 - the words above are up before the rest is loaded

show()
