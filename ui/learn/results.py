"""What came out at a stop: the prediction beside it, what to see, the stop's own panels and the figures of its runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from diagnostics.charts.gallery import FIGURES
from diagnostics.records import Array
from diagnostics.store import ENDED, RunRow, StoreError
from ui import figures, look, places
from ui.learn import predict
from ui.learn.stop import Seen, Stop, Values
from ui.live import live_view, step_control, stop_buttons
from ui.reading import Reading
from ui.verdicts import verdicts
from ui.words import left, listed, markdown

if TYPE_CHECKING:
    from diagnostics.records import Run
    from experiments.queue import Progress

WHOLE = ("finished", "diverged")
"""How a run ends whose outcome can be compared: that it diverged is a finding."""

_log = logging.getLogger(__name__)


def of_rows(stop: Stop, values: Values | None, rows: Sequence[RunRow]) -> None:
    """Show stored runs, looked at again for as long as any of them grows; ``values`` None: nobody knows of which."""
    live_view([row.id for row in rows], scope(stop), partial(_live, stop, values))


def scope(stop: Stop) -> str:
    """What tells the drawings of this stop from any other."""
    return f"learn-{stop.slug}"


def _live(stop: Stop, values: Values | None, reading: Reading, progress: dict[str, Progress], place: str) -> None:
    how_far = st.container()
    if progress:
        with how_far:
            _progress(reading, progress)
    seen = [Seen(run, partial(_stored_weights, run.id)) for run in reading.runs]
    show(stop, values, seen, reading, place)


def _progress(reading: Reading, progress: Mapping[str, Progress]) -> None:
    """How far the training is, of all the runs together."""
    done = sum(
        run.records.rows("step") / max(1, int(run.spec.get("steps", 1))) if run.id in progress else 1.0
        for run in reading.runs
    )
    ended = len(reading.runs) - len(progress)
    rest = [one.seconds_left for one in progress.values() if one.seconds_left is not None]
    words = f"{ended} of {len(reading.runs)} networks are trained"
    if rest and (much := left(max(rest))):
        words += f", about {much}"
    st.progress(min(1.0, done / len(reading.runs)), text=words)
    stop_buttons(reading.runs if len(progress) == 1 else [], list(progress))


def _stored_weights(run_id: str, step: int | None = None) -> Mapping[str, Array]:
    store = places.store()
    kept = store.weights_steps(run_id)
    if step is None and not kept:
        raise StoreError(f"run {run_id} has not kept any weights yet")
    return store.weights(run_id, kept[-1] if step is None else step)


def show(stop: Stop, values: Values | None, seen: Sequence[Seen], reading: Reading, place: str) -> None:
    """Show what came out: in words as soon as every run has ended, in pictures also before."""
    words, own, drawn = st.container(), st.container(), st.container()
    runs = reading.runs
    with words:
        _in_words(stop, values, runs)
    if stop.own is not None and values is not None:
        with own:
            _guarded(stop, "its own panels", partial(stop.own, values, seen))
    begun = [run for run in runs if run.records.rows("step")]
    with drawn:
        _figures(stop, reading, place, bool(begun))
        if runs:
            with st.expander("Each network and its verdict", key=f"learn-{stop.slug}-verdicts"):
                st.html(verdicts(runs, {}, look.theme()))
    figures.forget_others(scope(stop))


def _in_words(stop: Stop, values: Values | None, runs: Sequence[Run]) -> None:
    if any(run.state not in ENDED for run in runs):
        return
    if short := [run for run in runs if run.state not in WHOLE]:
        names = listed([markdown(run.name) for run in short])
        st.warning(
            f"{names} did not end as planned ({markdown(short[0].state)}), so nothing is compared with the prediction. "
            "Run again to compare.",
            icon=":material/info:",
        )
        return
    if values is None:
        st.caption("These runs were asked for with other controls than those above, so no prediction is compared.")
        return
    with st.spinner("Working out what came out …"):
        _guarded(stop, "what came out", partial(_outcome, stop, values, runs))


def _outcome(stop: Stop, values: Values, runs: Sequence[Run]) -> None:
    predict.compare(stop, values, runs)
    if sentences := stop.seen(values, runs):
        st.markdown("**What to see**\n\n" + "\n".join(f"- {sentence}" for sentence in sentences))


def _figures(stop: Stop, reading: Reading, place: str, begun: bool) -> None:
    if not begun or not stop.figures:
        return
    step = None
    if any(FIGURES[key].follows_step for key in stop.figures):
        step = step_control(reading, place, "Training step shown below")
    for key in stop.figures:
        if not FIGURES[key].per_run:
            figures.show(key, reading.runs, reading.version, place, step)
            continue
        with st.container(horizontal=True, key=f"side-by-side-{key}"):
            for run in reading.runs:
                with st.container():
                    figures.show(key, [run], (reading.version, run.id), f"{place}-{run.id}", step)


def _guarded(stop: Stop, what: str, draw: Any) -> None:
    """Draw a part; where that fails, the rest of the page still stands."""
    try:
        draw()
    except Exception as error:  # one stop's fault must not take the path with it
        _log.exception("stop %s: %s", stop.slug, what)
        said = f": {markdown(str(error))}" if isinstance(error, StoreError) else ""
        st.warning(f"Here {what} cannot be shown{said}. The rest of the page is not affected.", icon=":material/info:")


def of_example(stop: Stop, seen: Sequence[Seen]) -> None:
    """Show the recorded example."""
    runs = tuple(one.run for one in seen)
    reading = Reading(runs, (), tuple((run.id, 0) for run in runs))
    show(stop, stop.usual, seen, reading, f"{scope(stop)}-example")


def of_nothing(stop: Stop, values: Values) -> None:
    """Show a stop that trains nothing."""
    show(stop, values, (), Reading((), (), ()), scope(stop))
