"""The live view: verdicts and figures of some runs, looked at again every second for as long as any of them grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.charts.gallery import FIGURES
from diagnostics.charts.series import all_watched
from diagnostics.measures.seeds import any_seeds, groups, singles
from diagnostics.store import StoreError
from experiments.watched import is_watched
from ui import figures, look, places
from ui.reading import Reading, read
from ui.seed_verdicts import seed_verdicts, seeds_in_words
from ui.verdicts import in_words, unstarted, verdicts
from ui.words import listed, markdown

if TYPE_CHECKING:
    from diagnostics.records import Run
    from experiments.queue import Progress

EVERY_S = 0.8
"""At most a second behind, the look itself included."""

_WATCHED = "watched"
"""The runs that were still growing when they were last looked at."""

CHOSEN = "chosen"
"""What is shown now, for the exports: ``{"at_step": …, "over_seeds": …}``."""


_STEP = "Training step shown in the sentence above and the profile below"
_STEP_OF_WATCHED = "Training step shown in the timesteps above and the profile below"

Draw = Callable[[Reading, dict[str, "Progress"], str], None]
"""Shows what is known of some runs, and how far those are that have not ended; ``scope`` tells them from any other."""


def live_view(run_ids: Sequence[str], scope: str, draw: Draw | None = None) -> None:
    """Show these runs with ``draw``, else with ``view``; ``scope`` tells this selection of runs from any other."""
    reading = read(places.store(), run_ids)
    # Two fragments of one function: Streamlit fixes the interval when it decorates, and ended runs need none.
    fragment = st.fragment(_look_again, run_every=EVERY_S if reading.live else None)
    fragment(tuple(run_ids), scope, draw or view)


def _look_again(run_ids: tuple[str, ...], scope: str, draw: Draw) -> None:
    faults = st.container()
    try:
        reading = read(places.store(), run_ids)
        progress = _progress(reading)
    except StoreError as error:
        faults.error(f"{markdown(str(error))}.", icon=":material/error:")
        return
    for fault in reading.faults:
        faults.error(markdown(fault), icon=":material/error:")
    if reading.runs:
        draw(reading, progress, scope)
    if reading.live:
        st.session_state[_WATCHED] = scope
    elif st.session_state.pop(_WATCHED, None) == scope:
        st.rerun()  # once more as a whole: the controls around learn that all has ended, and the looking stops


def _progress(reading: Reading) -> dict[str, Progress]:
    queue = places.queue()
    return {run.id: queue.progress(run.id) for run in reading.runs if run.state in ("queued", "running")}


def example_view(runs: Sequence[Run]) -> None:
    """Show the recorded example, and say that it is one."""
    if not runs:
        st.info("Choose cells and a gap at the left and press **Run**: what the networks do will be shown here.")
        return
    cells = listed([run.name for run in runs])
    st.caption(
        f":material/play_circle: **Recorded example**: {markdown(cells)} at gap {runs[0].spec['gap']}. "
        "Press **Run** at the left to train your own."
    )
    view(Reading(tuple(runs), (), tuple((run.id, 0) for run in runs)), {}, "example")


def view(reading: Reading, progress: dict[str, Progress], scope: str) -> None:
    """The strip of verdicts, then the figures, the story first: the sentence, the profile, and how it came about."""
    # Each part has a place of its own, also while it is empty: what comes and goes must not move the figures' nodes.
    seeds, strip, stops, ribbon, steps = (st.container() for _ in range(5))
    with seeds:
        together = _seeds_control(reading, scope)
    strip.html((seed_verdicts if together else verdicts)(reading.runs, progress, look.theme()))
    if progress:
        with stops:
            stop_buttons([] if together else reading.runs, list(progress))
    with steps:
        at_step = step_control(reading, scope, _STEP_OF_WATCHED if all_watched(reading.runs) else _STEP)
    st.session_state.setdefault(CHOSEN, {}).update(at_step=at_step, over_seeds=together)
    version = reading.version
    with ribbon:
        figures.show("ribbon", reading.runs, version, scope, at_step, together)
    with st.container(horizontal=True, key="profile-and-words"):
        with st.container():
            figures.show("profile", reading.runs, version, scope, at_step, together)
        with st.container():
            st.html((seeds_in_words if together else in_words)(reading.runs, look.theme()))
    with st.container(horizontal=True, key="side-by-side"):
        for key in ("learning", "clipping"):
            if not FIGURES[key].applies(reading.runs):
                continue
            with st.container():
                figures.show(key, reading.runs, version, scope, over_seeds=together)
    _heatmaps(reading, scope, together)
    figures.forget_others(scope)


def _seeds_control(reading: Reading, scope: str) -> bool:
    """Whether runs that differ only in their seed are shown as one; asked only where there are such runs."""
    if not any_seeds(reading.runs):
        return False
    words = {True: "Over seeds: median, lowest to highest", False: "Each run"}
    return st.radio(
        "Runs that differ only in their seed",
        list(words),
        format_func=words.__getitem__,
        key=f"seeds-{scope}",
        horizontal=True,
        label_visibility="collapsed",
    )


def _heatmaps(reading: Reading, scope: str, together: bool) -> None:
    """A heatmap per run; over seeds one per group, of their median."""
    versions = dict(reading.version)
    shown = [run for run in reading.runs if not unstarted(run)]
    if together:
        st.caption("Through training, each the median over its seeds; “Each run” above shows every seed.")
    with st.container(horizontal=True, key="side-by-side-heatmaps"):
        for group in groups(shown) if together else singles(shown):
            version = tuple(versions[run.id] for run in group.runs)
            with st.container():
                figures.show("heatmap", group.runs, version, f"{scope}-{group.runs[0].id}")


def stop_buttons(runs: Sequence[Run], going: Sequence[str]) -> None:
    """A button for each of ``runs`` that is ``going``, and one for all of those."""
    with st.container(horizontal=True, gap="small", key="stops"):
        if len(going) > 1:
            st.button("Stop all", key="stop-all", icon=":material/stop_circle:", on_click=_stop, args=(going,))
        for run in runs:
            if run.id in going:
                # A watched model is trained by somebody's own program, which goes on.
                what = "Stop recording" if is_watched(run.spec) else "Stop"
                label = f"{what} {markdown(run.name)}"
                st.button(label, key=f"stop-{run.id}", icon=":material/stop:", on_click=_stop, args=([run.id],))


def _stop(run_ids: Sequence[str]) -> None:
    try:
        for run_id in run_ids:
            places.queue().stop(run_id)
    except StoreError as error:
        st.toast(f"{error}.")


def step_control(reading: Reading, scope: str, label: str = _STEP) -> int | None:
    """The training step that ribbon and profile show; None follows the newest."""
    key, following, reached = f"step-{scope}", f"live-{scope}", f"last-{scope}"
    live = reading.live and st.session_state.setdefault(following, True)
    last = max(int(run.spec.get("steps", 1)) for run in reading.runs) - 1
    if any(is_watched(run.spec) for run in reading.runs):
        # Nobody knows how long it will be. A slider that is moved by hand must not be made anew, so it stays as it is.
        last = max(last, reading.newest_step)
        if reading.live and not live:
            last = max(int(st.session_state.get(reached, last)), 1)
        st.session_state[reached] = last
    if last < 1 or not any(run.records.rows("profile") for run in reading.runs):
        return None
    # Whoever followed to the end is brought to it: the last steps came after the last look at a run that was live.
    ended = not reading.live and st.session_state.pop(following, False)
    if live or ended or key not in st.session_state:
        st.session_state[key] = min(reading.training_step, last)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="step-control"):
        chosen = st.slider(label, 0, last, key=key, disabled=live)
        if reading.live:
            st.toggle("Live", key=following, help="Follow the newest recorded step.")
    return None if live or chosen >= reading.newest_step else int(chosen)
