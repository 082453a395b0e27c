"""Runs: everything that is stored, to look at together, to rename, delete, export and import."""

from __future__ import annotations

import streamlit as st

st.title("Runs")

from ui.runs import show  # noqa: E402 - the words above are up before the rest is loaded

show()
