"""The cliff: both pictures, and a start that is typed, clicked or dragged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from diagnostics.charts import cliff
from diagnostics.measures.cliff import LONGEST, MOST_STEPS, growth_at_half, most_growth
from diagnostics.measures.numbers import number, steps
from ui import look
from ui.clipping import asked
from ui.clipping.asked import ASKED, key
from ui.exports import figure_files
from ui.live_figure import encode, live_figure
from ui.words import markdown

_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Thrown off the wall": {},
    "Thrown out of the picture": {"w": 4.8, "b": -2.3},
    "Small steps are thrown too": {"step_size": 0.02, "updates": 200},
    "No wall: clipping only slows": {"w": 4.0, "b": -1.0, "threshold": 0.005},
}
"""What each example asks for that is not as usual."""


def show() -> None:
    """Draw the view; a move of any control draws this alone again."""
    _view()


@st.fragment
def _view() -> None:
    asked.fill()
    with st.container(horizontal=True, gap="small", key="cliff-examples"):
        for title, fields in _EXAMPLES.items():
            st.button(title, key=f"cliff-{title}", on_click=_set, kwargs={**_usual(), **fields})
    _controls()
    asked.keep("cliff")
    state = st.session_state
    prepared = cliff.prepare(
        state[key("w")],
        state[key("b")],
        step_size=state[key("step_size")],
        threshold=state[key("threshold")],
        T=state[key("length")],
        updates=state[key("updates")],
    )
    theme, size = look.theme(), look.size()
    spoken = cliff.describe(prepared)
    st.markdown(
        f"- {markdown(cliff.outcome('Without clipping', prepared.raw))}\n"
        f"- {markdown(cliff.outcome('Clipped by norm', prepared.clipped))}\n"
        f"- {markdown(_growth(state[key('w')], state[key('length')]))}"
    )
    with st.container(horizontal=True, key="side-by-side-cliff"):
        with st.container():
            drawn = cliff.draw(prepared, theme=theme, size=size)
            message = encode(drawn, title=cliff.TITLE, label=spoken, filename="gradreach-cliff-above", pick=True)
            live_figure(message, key="figure-cliff-above", on_picked=_start)
        with st.container():
            drawn = cliff.draw_surface(prepared, theme=theme, size=size)
            message = encode(drawn, title=cliff.SURFACE_TITLE, label=spoken, filename="gradreach-cliff")
            live_figure(message, key="figure-cliff-surface")
    with st.popover("Export", icon=":material/download:"):
        for title, draw, name in (
            (cliff.TITLE, cliff.draw, "gradreach-cliff-above"),
            (cliff.SURFACE_TITLE, cliff.draw_surface, "gradreach-cliff"),
        ):
            st.markdown(f"**{title}**")
            made = partial(draw, prepared, theme=theme, size=size)
            figure_files(name, made, title, cliff.HOW_TO_READ, name)
    with st.expander("How to read this", key="read-cliff"):
        st.markdown(cliff.HOW_TO_READ)
        st.caption(
            "After figure 6 of Pascanu, Mikolov and Bengio 2013, and figure 10.17 of “Deep Learning” by Goodfellow, "
            "Bengio and Courville."
        )


def _growth(w: float, T: int) -> str:
    """What the start's w means for the wall."""
    m, most = growth_at_half(w), most_growth(w)
    if abs(m) > 1:
        return (
            f"At the start's w a wall stands: there each step multiplies a change of the state by {number(m, 3)}, "
            f"{steps(T)} by {number(m**T)}."
        )
    if most > 1:
        return (
            f"At the start's w no wall stands: where one would, each step multiplies a change of the state by "
            f"{number(m, 3)}; at other states by up to {number(most, 3)} in size."
        )
    return (
        f"At the start's w there is no wall: no step multiplies a change of the state by more than {number(most, 3)}."
    )


def _controls() -> None:
    shared: dict[str, Any] = {"label_visibility": "visible"}
    with st.container(horizontal=True, gap="small", key="cliff-controls"):
        _number("w", "Start: w", 0.05, "%.4g", **shared)
        _number("b", "Start: b", 0.05, "%.4g", **shared)
        _number("step_size", "Step size", 0.05, "%g", **shared)
        _number("threshold", "Clipping threshold", 0.05, "%g", **shared)
        st.number_input("Unit length T", 1, LONGEST, key=key("length"), help="Steps that the unit runs for.")
        st.number_input("Updates", 1, MOST_STEPS, key=key("updates"))


def _number(name: str, label: str, step: float, form: str, **shared: Any) -> None:
    limits = ASKED[name]
    st.number_input(label, limits.least, limits.most, step=step, format=form, key=key(name), **shared)


def _usual() -> dict[str, Any]:
    return {name: ASKED[name].usual for name in ("w", "b", "step_size", "threshold", "length", "updates")}


def _set(**fields: Any) -> None:
    for name, value in fields.items():
        st.session_state[key(name)] = value


def _start(w: float, b: float) -> None:
    """Begin where somebody pointed, as finely as can be read."""
    for name, value in (("w", w), ("b", b)):
        limits = ASKED[name]
        st.session_state[key(name)] = round(min(max(value, limits.least), limits.most), 3)
