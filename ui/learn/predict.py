"""Predict first: the question, the commitment, and afterwards what was predicted beside what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from ui.learn import kept
from ui.learn.stop import Stop, Values

if TYPE_CHECKING:
    from diagnostics.records import Run


def ask(stop: Stop, values: Values) -> int | None:
    """Show the question, or what was answered; returns the place of the option that the person has committed to."""
    mine = kept.of(stop.slug).predicted
    name = kept.name_of(values)
    said = stop.prediction
    if name in mine:
        st.markdown(f"**{said.question}** You predicted: **{said.options[mine[name]]}**")
        return mine[name]
    chosen = st.radio(
        f"Predict first: {said.question}",
        range(len(said.options)),
        index=None,
        format_func=said.options.__getitem__,
        key=f"learn-{stop.slug}-predict",
    )
    st.button(
        "This is my prediction",
        icon=":material/check:",
        key=f"learn-{stop.slug}-commit",
        disabled=chosen is None,
        type="primary",
        on_click=_commit,
        args=(stop.slug, name),
    )
    return None


def _commit(slug: str, name: str) -> None:
    chosen = st.session_state.pop(f"learn-{slug}-predict", None)
    if chosen is not None:
        kept.of(slug).predicted[name] = int(chosen)


def compare(stop: Stop, values: Values, runs: Sequence[Run]) -> None:
    """Say what was predicted, what came out of ``runs``, and why."""
    mine = kept.of(stop.slug)
    predicted = mine.predicted.get(kept.name_of(values))
    options = stop.prediction.options
    came = options[stop.prediction.answer(values, runs)]
    why = stop.prediction.why(values, runs)
    if predicted is None:
        st.info(f"It came out: **{came}**. {why}", icon=":material/lightbulb:")
        return
    mine.right = options[predicted] == came
    if mine.right:
        st.success(f"As you predicted: **{came}**. {why}", icon=":material/check_circle:")
    else:
        st.info(f"You predicted **{options[predicted]}**; it came out: **{came}**. {why}", icon=":material/lightbulb:")
