"""Inspect: why the gradient of a run arrives or does not, at a training step that the person chooses."""

from __future__ import annotations

import streamlit as st

st.title("Why does the gradient die?")

from ui.inspect.page import show  # noqa: E402 - the words above are up before the rest is loaded

show()
