"""The Lab page: presets and controls, Run, and the comparison that the address names or, at first, an example."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import streamlit as st

from diagnostics.store import RunRow, StoreError
from experiments.presets import PRESETS
from experiments.spec import Refusal, RunSpec
from ui import address, example, look, places
from ui.controls import SETTINGS, controls, fill, filled
from ui.header import comparison_header
from ui.live import example_view, live_view
from ui.running import run_buttons
from ui.settings import Settings, asked_for, settings_of
from ui.words import markdown

FIRST = next(iter(PRESETS))
"""The preset that a newcomer finds, of which the recorded example is."""


def show() -> None:
    """Draw the page."""
    said = [] if filled() else _fill()
    presets = st.container()
    _notice()
    with st.sidebar:
        settings, wrong = controls()
        specs, refusal = _specs(settings, wrong)
        rows = _rows(_comparison())
        run_buttons(specs, refusal, rows)
        look.projector_toggle()
    with presets:
        _presets(rows)
        if said:
            st.warning(" ".join(markdown(sentence) for sentence in said))
    _write_address(settings)
    _show(rows)
    with suppress(StoreError):  # which the notice above has told
        # Last, because a worker that starts takes a processor from the page that is being drawn.
        places.queue().ensure_workers(warm=1)


def _notice() -> None:
    """What is to be said of the store: that it is read-only, say, or that it cannot be read."""
    try:
        if notice := places.store().notice:
            st.info(markdown(notice), icon=":material/lock:")
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")


def _presets(rows: Sequence[RunRow]) -> None:
    """A button per preset, and what to look for in the one that the controls ask for, seen already or not."""
    now = st.session_state.get(SETTINGS)
    with st.container(horizontal=True, gap="small", key="presets"):
        for name, preset in PRESETS.items():
            chosen = _preset(name) == now
            icon = ":material/check:" if chosen else None
            st.button(preset.title, key=f"preset-{name}", icon=icon, on_click=_choose, args=(name,))
    question = next((preset.question for name, preset in PRESETS.items() if _preset(name) == now), "")
    seen = asked_for([row.spec for row in rows]) if rows else _preset(FIRST)
    lead = "" if now == seen else "Press **Run** and look: "
    st.caption(lead + markdown(question) if question else "Your own choice; the buttons above bring a prepared one.")


@cache
def _preset(name: str) -> Settings:
    return settings_of(PRESETS[name].specs())


def _choose(name: str) -> None:
    fill(_preset(name))


def _fill() -> list[str]:
    """Fill the controls: as they were, else as the address asks, else as the comparison that it names was asked."""
    if SETTINGS in st.session_state:
        fill(st.session_state[SETTINGS])
        return []
    params = st.query_params.to_dict()
    if address.asks(params):
        settings, said = address.read(params)
        fill(settings)
        return said
    fill(asked_for([row.spec for row in _rows(_comparison())]) or _preset(FIRST))
    return []


def _specs(settings: Settings, wrong: Sequence[str]) -> tuple[list[RunSpec], str]:
    """The runs that are asked for, or why not."""
    if wrong:
        return [], " ".join(wrong)
    try:
        return settings.specs(), ""
    except Refusal as refusal:
        return [], " ".join(f"{line}." for line in dict.fromkeys(str(refusal).splitlines()))


def _comparison() -> str:
    """The comparison to show: the one started last, else the one that the address names, else none."""
    return str(st.session_state.get(address.COMPARISON) or st.query_params.get(address.COMPARISON, ""))


def _rows(comparison: str) -> list[RunRow]:
    """The runs of the comparison in the order in which they were asked for; none where there is no such comparison."""
    try:
        return places.store().runs(comparison=comparison)[::-1] if comparison else []
    except StoreError:
        return []  # what is wrong with the store is said at the top of the page


def _write_address(settings: Settings) -> None:
    params = address.write(settings)
    if comparison := _comparison():
        st.session_state[address.COMPARISON] = params[address.COMPARISON] = comparison
    if st.session_state.get(look.PROJECTOR):
        params[look.PROJECTOR] = "1"
    if params != st.query_params.to_dict():
        st.query_params.from_dict(params)


def _show(rows: Sequence[RunRow]) -> None:
    if rows:
        comparison_header(rows)
        live_view([row.id for row in rows], rows[0].comparison)
        return
    if comparison := _comparison():
        st.warning(
            f"There is no comparison {markdown(comparison[:60])} here: it was deleted, or made elsewhere. "
            "The recorded example is shown instead.",
            icon=":material/search_off:",
        )
    example_view(example.runs())
