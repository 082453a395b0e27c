"""The figures of some runs, each drawn again only when it would look different, with the words that go with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from diagnostics.charts.gallery import FIGURES, Figure
from diagnostics.charts.series import all_watched
from diagnostics.measures.seeds import groups
from ui import look
from ui.live_figure import encode, live_figure
from ui.words import filename

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

_DRAWN = "drawn"
_log = logging.getLogger(__name__)


def drawing(
    info: Figure,
    runs: Sequence[Run],
    at_step: int | None,
    theme: str,
    size: str,
    over_seeds: bool = False,
    more: Mapping[str, Any] | None = None,
) -> tuple[go.Figure, str]:
    """One figure and what it shows in words; ``at_step`` is None for the newest, and only some figures ask for it.

    ``over_seeds`` draws runs that differ only in their seed as one, in every figure that is not of one run, or of its
    seeds, anyway; ``more`` is what this figure alone is asked.
    """
    how: dict[str, Any] = {**(more or {}), **({"at_step": at_step} if info.follows_step else {})}
    if not info.per_run:
        how["over_seeds"] = over_seeds
    prepared = info.prepare(runs, **how)
    return info.draw(prepared, theme=theme, size=size), info.accessible_name(prepared)


def named(info: Figure, runs: Sequence[Run]) -> str:
    """What a file of the figure is called, without its ending."""
    return filename("-".join(["gradreach", info.key, *(group.name for group in groups(runs) if info.per_run)]))


def show(
    key: str,
    runs: Sequence[Run],
    version: Hashable,
    scope: str,
    at_step: int | None = None,
    over_seeds: bool = False,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Show one figure of ``FIGURES``; ``scope`` says of what, so that the same node is drawn on again."""
    info = FIGURES[key]
    step = at_step if info.follows_step else None

    def make() -> tuple[go.Figure, str]:
        return drawing(info, runs, step, look.theme(), look.size(), over_seeds, more)

    version = (version, step, over_seeds, tuple((more or {}).items()))
    title, how_to_read = info.words(all_watched(runs))
    present(f"figure-{key}-{scope}", version, title, how_to_read, named(info, runs), make)


def present(
    place: str, version: Hashable, title: str, how_to_read: str, file: str, make: Callable[[], tuple[go.Figure, str]]
) -> None:
    """Show at ``place`` the figure, and what it shows in words, that ``make`` gives where ``version`` is a new one."""
    wanted = (version, look.theme(), look.size())
    drawn: dict[str, tuple[Hashable, bytes]] = st.session_state.setdefault(_DRAWN, {})
    if place not in drawn or drawn[place][0] != wanted:
        try:
            figure, name = make()
        except Exception:  # a figure that cannot be drawn must not take the others with it
            _log.exception("drawing %s", place)
            st.warning(f"“{title}” cannot be drawn from these records; the other figures are not affected.")
            return
        drawn[place] = (wanted, encode(figure, title=title, label=name, filename=file))
    live_figure(drawn[place][1], key=place)
    with st.expander("How to read this", key=f"read-{place}"):
        st.markdown(how_to_read)


def forget_others(scope: str) -> None:
    """Let go of the drawings of every other scope."""
    drawn: dict[str, tuple[Hashable, bytes]] = st.session_state.get(_DRAWN, {})
    for place in [place for place in drawn if not place.startswith("figure-") or scope not in place]:
        del drawn[place]
