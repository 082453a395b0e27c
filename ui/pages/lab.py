"""The Lab: choose cells, a clipping rule and a distance, press Run, and watch how far back the gradient reaches."""

from __future__ import annotations

import streamlit as st

st.title("Does the gradient reach the word that matters?")
st.caption(
    "Train small recurrent networks and see, word by word, how much of the loss’s gradient still arrives.",
    help="To learn from a word, a network needs to know how its error would change if its memory had been a little "
    "different when it read that word. That is the **state gradient** at the word, worked out exactly, from the "
    "answer backwards. Where it is almost zero the network cannot learn from the word.",
)

from ui.lab import show  # noqa: E402 - the words above are up before the rest is loaded

show()
