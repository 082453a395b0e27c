"""The Lab: choose cells, a clipping rule and a distance, press Run, and watch how far back the gradient reaches."""

from __future__ import annotations

import streamlit as st

st.title("Does the gradient reach the word that matters?")

from ui.lab import show  # noqa: E402 - the words above are up before the rest is loaded

show()
