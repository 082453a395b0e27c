"""Your model: two lines around any torch training loop, what they have recorded, and checkpoints."""

from __future__ import annotations

import streamlit as st

st.title("Does the gradient get through your model?")

from ui.your_model.page import show  # noqa: E402 - the words above are up before the rest is loaded

show()
