"""How to attach: lines to copy, for the way in which somebody trains."""

from __future__ import annotations

import streamlit as st

from experiments.launch import ROOT
from ui import places
from ui.your_model import lines


def show() -> None:
    """Draw the view."""
    st.markdown(
        "**1. Install the library** where your model is trained. It is `diagnostics` alone: no Streamlit, no app. "
        "And let it record where this page looks."
    )
    store = str(places.store().path)
    st.code(f"{lines.install(str(ROOT))}\n{lines.store(store)}", language=None)
    st.markdown("**2. Two lines around your training loop.**")
    plain, lightning, transformers, cells = st.tabs(["torch", "Lightning", "Hugging Face", "Your own cells"])
    with plain:
        st.code(lines.PLAIN, language="python")
        st.caption(
            "`w.step` measures the gradient, clips it where you ask for it, measures it again and steps; hand it "
            "`loss=loss` to see the loss as well. With a gradient scaler: `w.step(optimizer, scaler=scaler)`. If the "
            'loss is a sum over the batch instead of a mean: `watch(…, reduction="sum")`.'
        )
        st.markdown("You clip by hand, and want to go on doing so:")
        st.code(lines.BY_HAND, language="python")
    with lightning:
        st.code(lines.install(str(ROOT), "lightning"), language=None)
        st.code(lines.LIGHTNING, language="python")
    with transformers:
        st.code(lines.install(str(ROOT), "transformers"), language=None)
        st.code(lines.TRANSFORMERS, language="python")
        st.caption("For a Trainer whose model has a recurrence; a transformer has none, and the callback says so.")
    with cells:
        st.code(lines.CELLS, language="python")
        st.caption(
            "`nn.RNN`, `nn.GRU` and `nn.LSTM` are recognised wherever they are in the model, and need none of this."
        )
    st.markdown(
        "**3. Start your program.** Its runs appear under *Watched runs* while it trains, one for each recurrent part "
        "and direction of the model, and beside the Lab's on every page. In your program, `w.reach`, `w.verdict` and "
        '`w.figure("profile")` hold the same.'
    )
    st.caption(
        "On the steps in between (`every=10`) your model runs as it is. The model is never sent anywhere and its "
        "weights are not kept: what is recorded are norms."
    )
