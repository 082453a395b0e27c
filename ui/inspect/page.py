"""The page Inspect: what to look at, at the left; how far it is; then one question at a time, with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.charts.inspected import Named
from diagnostics.charts.inspected_seeds import Seeds, any_together, bundled, gathered
from diagnostics.store import ENDED, RunRow, Store, StoreError
from experiments.inspection.start import ensure_inspector
from experiments.watched import is_watched
from ui import example, look, places
from ui.address import COMPARISON
from ui.inspect import asked, beginning, choosing, exports, panels, waiting
from ui.inspect.choosing import Chosen
from ui.inspect.views import BEGINNING, VIEWS, View
from ui.shell import LAB, YOUR_MODEL
from ui.words import listed, markdown

SCOPE = "inspect"
FOLLOW_S = 1.5
"""How often a run that is still training is looked at."""


def show() -> None:
    """Draw the page."""
    said = asked.fill(list(VIEWS))
    store, rows = _stored()
    with st.sidebar:
        chosen = choosing.choose(store, rows) if store and rows else None
        look.projector_toggle()
    for sentence in said:
        st.warning(markdown(sentence))
    st.caption(
        "Take a run at any training step that it kept its weights of, and see what happens to its gradient on the way "
        "back: what theory says of it, what one step does to it, and which gates let it through."
    )
    # A place of its own each: what comes and goes must not move the figures' nodes.
    head, state, seeds = st.container(), st.container(), st.container()
    view = st.pills(
        "Question",
        list(VIEWS),
        format_func=lambda name: VIEWS[name].title,
        key=asked.key(asked.VIEW),
        label_visibility="collapsed",
        required=True,
    )
    view = view or next(iter(VIEWS))
    asked.keep()
    st.subheader(VIEWS[view].question, anchor=False)
    if view == BEGINNING:
        beginning.show()
    elif chosen is None:
        _nothing(store, view)
    else:
        _inspect(chosen, view, head, state, seeds)
    if store and rows and not store.read_only:
        # Last, because a process that starts takes a processor from the page that is being drawn.
        ensure_inspector(store)


def _stored() -> tuple[Store | None, Sequence[RunRow]]:
    """The store and its runs; says what is to be said of it."""
    try:
        store = places.store()
        rows = store.runs()
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        return None, []
    if store.notice:
        st.info(markdown(store.notice), icon=":material/lock:")
    return store, rows


def _nothing(store: Store | None, view: str) -> None:
    """Until the first run: where to begin, and the recorded example."""
    if store is None:
        return  # what is wrong with it is said above
    st.info(
        "No runs are stored yet. Train some in the Lab: they keep their weights at about eleven training steps, "
        "and each of them can be looked into here, also while they train."
    )
    st.page_link(LAB, label="Open the Lab", icon=":material/science:")
    if found := example.inspections():
        who = listed([f"{name} after {one.step} updates" for name, one in found])
        st.caption(f":material/play_circle: **Recorded example**: {markdown(who)}, France … French at gap 40.")
        panels.show(VIEWS[view], bundled(found), f"{SCOPE}-example")


def _inspect(chosen: Chosen, view: str, head: DeltaGenerator, state: DeltaGenerator, seeds: DeltaGenerator) -> None:
    with state:
        for sentence in (st.session_state.pop(choosing.REFUSED, ""), *chosen.without):
            if sentence:
                st.warning(markdown(sentence), icon=":material/info:")
        there = waiting.found(chosen.looks)
    if there and there[0][0].row.id != chosen.row.id:
        there = []
    named = [(look.name, one) for look, one in there]
    with seeds:
        bundles = _told_apart(_bundles(named, [look.row.spec for look, _ in there], VIEWS[view]))
    with head:
        _header(chosen, bundles)
    if bundles:
        panels.show(VIEWS[view], bundles, SCOPE)
    elif is_watched(chosen.row.spec):
        st.caption(
            "What was recorded of it, profiles and norms, is on *Your model*. *Before training*, the last button "
            "above, needs no weights."
        )
    elif chosen.looks:
        st.caption("Its figures will be here. *Before training*, the last button above, needs no run.")


def _bundles(named: Sequence[Named], specs: Sequence[Mapping[str, Any]], view: View) -> tuple[Seeds, ...]:
    """What is drawn as one: where some differ only in their seed, and looked alike, that is asked."""
    together = gathered(named, specs)
    if not any_together(together):
        return bundled(named)
    words = {asked.TOGETHER: "Over seeds: median, lowest to highest", asked.EACH: "Each run"}
    how = st.radio(
        "Runs that differ only in their seed",
        list(words),
        format_func=words.__getitem__,
        key=asked.key(asked.SEEDS),
        horizontal=True,
        label_visibility="collapsed",
    )
    if how != asked.TOGETHER:
        return bundled(named)
    st.caption(panels.about_seeds(view))
    return together


def _told_apart(bundles: tuple[Seeds, ...]) -> tuple[Seeds, ...]:
    """As many as every figure can tell apart, and a sentence where they are not all."""
    most = asked.LINES_AT_MOST
    if len(bundles) > most:
        st.warning(
            f"Figures tell at most {most} runs apart, seeds of one counted once, but {len(bundles)} are chosen; the "
            f"first {most} are shown.",
            icon=":material/info:",
        )
    return bundles[:most]


def _header(chosen: Chosen, bundles: Sequence[Seeds]) -> None:
    words, tools = st.columns([4, 3], vertical_alignment="center")
    with words:
        st.markdown(f"**{markdown(choosing.about(chosen, bundles) if chosen.looks else chosen.row.name)}**")
    with tools, st.container(horizontal=True, horizontal_alignment="right", gap="small", key="tools"):
        if bundles:
            with st.popover("Export", icon=":material/download:"):
                exports.panel(bundles)
        if is_watched(chosen.row.spec):
            if st.button("Open in Your model", icon=":material/model_training:", key="inspect-open-in-your-model"):
                st.switch_page(YOUR_MODEL, query_params={"watched": chosen.row.id})
        elif st.button("Open in Lab", icon=":material/science:", key="inspect-open-in-lab"):
            st.session_state[COMPARISON] = chosen.row.comparison
            st.switch_page(LAB, query_params={COMPARISON: chosen.row.comparison})
    if chosen.row.state == "diverged" and chosen.row.detail:
        detail = chosen.row.detail
        st.warning(markdown(f"{detail[:1].upper()}{detail[1:]}."), icon=":material/priority_high:")
    if chosen.row.state == "running" and chosen.kept:
        st.caption("It is still training: the steps that it has kept its weights of so far can be chosen.")
    if chosen.row.state not in ENDED:
        st.fragment(_follow, run_every=FOLLOW_S)(chosen.row.id, chosen.row.state, chosen.kept)


def _follow(run_id: str, state: str, kept: tuple[int, ...]) -> None:
    """Draw the page again as soon as the run has kept more, or has ended."""
    with suppress(StoreError):
        store = places.store()
        if store.row(run_id).state != state or store.weights_steps(run_id) != kept:
            st.rerun()
