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
        _plain()
    with lightning:
        st.code(lines.install(str(ROOT), "lightning"), language=None)
        st.code(lines.LIGHTNING, language="python")
        st.caption("Clipping and accumulation stay the Trainer's: what is measured is what its optimizer sees.")
    with transformers:
        st.code(lines.install(str(ROOT), "transformers"), language=None)
        st.code(lines.TRANSFORMERS, language="python")
        st.caption(
            "A Trainer does not tell its callbacks of an exception: `with` ends the run then too. For a Trainer whose "
            "model has a recurrence; a transformer has none, and the callback says so."
        )
    with cells:
        _cells()
    st.markdown(
        "**3. Start your program.** Its runs appear under *Watched runs* while it trains, one for each recurrent part "
        "and direction of the model, and beside the Lab's on every page. In your program, `w.reach`, `w.verdict` and "
        '`w.figure("profile")` hold the same.'
    )
    st.markdown(
        "- **How far back do your answers depend?** Say it with `distance=40`, and the verdict is judged by that. "
        "Unsaid, it tells how far the gradient comes, and not whether that is far enough.\n"
        "- **Batches of varying length?** All profiles of a run have as many timesteps, counted back from the end of "
        "each sample: the most that half of the first ten recorded batches have, so that a run may begin anew while "
        "they come in. `timesteps=60` takes the last 60 instead, and waits for a batch that has them. Shorter batches "
        "are left out, of longer ones the end is shown; `w.covered` says how often."
    )
    st.caption(
        "`distance=`, `timesteps=` and the rest are arguments of `watch` and of both callbacks. On the steps in "
        "between (`every=10`) your model runs as it is. The model is never sent anywhere and its weights are not kept: "
        "what is recorded are norms."
    )


def _plain() -> None:
    st.code(lines.PLAIN, language="python")
    st.caption(
        "**Nothing is recorded unless `w.step` or `w.clipped` is called**, once for each update. `w.step` measures the "
        "gradient, clips it where you ask for it, measures it again and steps; hand it `loss=loss` to see the loss as "
        "well. With a gradient scaler: `w.step(optimizer, scaler=scaler)`. If the loss is a sum over the batch instead "
        'of a mean: `watch(…, reduction="sum")`.'
    )
    st.markdown("You clip by hand, and want to go on doing so:")
    st.code(lines.BY_HAND, language="python")


def _cells() -> None:
    st.caption("`nn.RNN`, `nn.GRU` and `nn.LSTM` are recognised wherever they are in the model, and need none of this.")
    st.code(lines.CELLS, language="python")
    st.markdown("A loop that is written out: give the model the watch …")
    st.code(lines.MARKED, language="python")
    st.markdown("… mark in its `forward` the state that is handed on, and go on with what comes back:")
    st.code(lines.LOOP, language="python")
    st.markdown(
        "A linear recurrence as a parallel scan, $h_t = a_t h_{t-1} + b_t$: hand over its result, `[T, B, H]`, and its "
        "decay."
    )
    st.code(lines.SCAN, language="python")
