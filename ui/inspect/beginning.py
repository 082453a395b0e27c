"""How a network begins: the profile before any training, drawn anew at every move of a slider."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from diagnostics.charts import untrained as chart
from diagnostics.measures.numbers import number, steps
from diagnostics.measures.reach import REACH_THRESHOLD, reach
from diagnostics.measures.untrained import ANSWERS, BLOCKS, INPUTS, SAMPLES, Untrained, Way, described, untrained
from models.cells import CELLS
from ui import figures, look
from ui.words import markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

_COMPARE = {"cells": "Cells that begin alike", "ways": "Ways to begin, for one cell"}
_INITS = {"torch": "torch’s default", "orthogonal": "orthogonal", "identity": "identity", "scaled": "scaled by g"}
_GATES = {"init": "as initialised", "bias": "a number", "chrono": "chrono"}
HOW_TO_READ = (
    "Nothing is trained here: the lines say how far a gradient would reach at the very first update. Where it is "
    "already below 1 % at the word that matters, training starts blind. Orthogonal and identity weights keep a "
    "gradient alive where the nonlinearity lets them; a gated cell needs its memory gate open, by a large bias or, "
    "spread over time scales up to T, by chrono."
)
_kept = lru_cache(maxsize=64)(untrained)


def show() -> None:
    """Draw the panel; a move of any control draws this alone again."""
    st.fragment(_panel)()


def _panel() -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="beginning-what"):
        compare = st.segmented_control(
            "Compare",
            list(_COMPARE),
            format_func=_COMPARE.__getitem__,
            default="cells",
            required=True,
            **_as("compare"),
        )
        several = compare != "ways"
        cells = _cells(several)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="beginning-how"):
        ways = _alike(cells) if several else _all_ways(cells)
    with st.container(horizontal=True, gap="medium", key="beginning-size"):
        timesteps = st.slider("T, timesteps", 10, 300, 100, 10, **_as("timesteps"))
        hidden = st.select_slider("H, hidden size", (8, 16, 32, 64, 128), 64, **_as("hidden"))
        seed = st.number_input("Seed", 0, 9999, 0, **_as("seed"))
    named = [(name, _kept(way, int(hidden), int(timesteps), int(seed))) for name, way in ways]
    _figure(named, int(hidden), (int(timesteps), int(seed)))
    st.markdown(_in_words(named))
    st.caption(
        f"{SAMPLES} sequences of {timesteps} random words, embedded as {INPUTS} independent normal numbers, and a "
        f"random head with {ANSWERS} answers at the last step; float64, worked out on this page. Every line of a cell "
        "begins with the same random numbers."
    )


def _cells(several: bool) -> list[str]:
    titles = {name: cell.title for name, cell in CELLS.items()}
    if not several:
        cell = st.selectbox("Cell", list(CELLS), index=5, format_func=titles.__getitem__, width=200, **_as("cell"))
        return [str(cell)]
    chosen = st.pills(
        "Cells",
        list(CELLS),
        selection_mode="multi",
        default=["tanh", "relu", "gru", "lstm"],
        format_func=titles.__getitem__,
        **_as("cells"),
    )
    return [name for name in CELLS if name in chosen]


def _alike(cells: list[str]) -> list[tuple[str, Way]]:
    """A line for each of the cells, all of which begin in the way that is chosen."""
    init = st.selectbox("Recurrent weights", list(_INITS), format_func=_INITS.__getitem__, width=220, **_as("init"))
    g = _factor() if init == "scaled" else 1.0
    gate: float | str | None = None
    if any(cell in BLOCKS for cell in cells):
        kind = st.selectbox(
            "Memory gate’s bias", list(_GATES), format_func=_GATES.__getitem__, width=200, **_as("gate")
        )
        gate = {"init": None, "bias": _bias() if kind == "bias" else None, "chrono": "chrono"}[str(kind)]
    return [(CELLS[cell].title, Way(cell, f"scaled:{g}" if init == "scaled" else str(init), gate)) for cell in cells]


def _all_ways(cells: list[str]) -> list[tuple[str, Way]]:
    """A line for each way in which the one cell may begin."""
    [cell] = cells
    ways = [Way(cell), Way(cell, "orthogonal"), Way(cell, "identity"), Way(cell, f"scaled:{_factor()}")]
    if cell in BLOCKS:
        ways += [Way(cell, "torch", _bias()), Way(cell, "torch", "chrono")]
    return [(described(way), way) for way in ways]


def _factor() -> float:
    words = "What torch’s default recurrent weights are multiplied by."
    return float(st.slider("g", 0.1, 5.0, 1.5, 0.1, help=words, width=260, **_as("g")))


def _bias() -> float:
    words = "LSTM: the forget gate’s whole bias; GRU: the update gate’s. A gate with bias 3 keeps 95 % a step."
    return float(st.slider("Gate bias", -4.0, 8.0, 3.0, 0.5, help=words, width=260, **_as("bias")))


def _as(name: str) -> dict[str, Any]:
    return {"key": f"beginning-{name}", "persist_state": "session"}


def _figure(named: list[tuple[str, Untrained]], hidden: int, drawn_from: tuple[int, int]) -> None:
    def make() -> tuple[go.Figure, str]:
        prepared = chart.prepare(named, hidden)
        return chart.draw(prepared, theme=look.theme(), size=look.size()), chart.describe(prepared)

    version = (tuple((name, one.way) for name, one in named), hidden, drawn_from)
    figures.present("figure-untrained-inspect", version, chart.TITLE, HOW_TO_READ, "gradreach-untrained", make)


def _in_words(named: list[tuple[str, Untrained]]) -> str:
    return " · ".join(f"**{markdown(name)}** {_reach(one)}" for name, one in named)


def _reach(one: Untrained) -> str:
    of = len(one.median) - 1
    if not one.median[0] > 0:
        return "no gradient at the loss"
    reached = reach(one.median)
    if one.median[reached] >= REACH_THRESHOLD * one.median[0]:
        return f"above 1 % for all {steps(of)} (at the first × {number(float(one.median[-1] / one.median[0]))})"
    return f"below 1 % after {reached} of {steps(of)}"
