"""What would a threshold have done to the gradients that these runs had? A slider answers; nothing is trained again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from diagnostics.charts.gallery import FIGURES
from diagnostics.charts.whole import wholes
from diagnostics.measures import what_if as measure
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from diagnostics.measures.entry_sizes import EDGES
from diagnostics.measures.seeds import any_seeds
from diagnostics.store import StoreError
from ui import events, example, look, places
from ui.clipping import asked
from ui.clipping.asked import key
from ui.clipping.choice import choose
from ui.controls import SETTINGS
from ui.exports import figure_exports
from ui.live import EVERY_S
from ui.live_figure import encode, live_figure
from ui.reading import Reading, read
from ui.settings import asked_for
from ui.shell import LAB
from ui.words import filename, markdown, markup, number, percent

if TYPE_CHECKING:
    from diagnostics.records import Run

_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""The thresholds of a decade that the slider stops at."""
_OVER = "clipping-over-seeds"


def show() -> None:
    """Draw the view."""
    try:
        rows = places.store().runs()
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        return
    if not rows:
        _example()
        return
    ids = choose(rows)
    if not ids:
        st.info("Choose one or more runs above: what a threshold would have done to them will be shown here.")
        return
    live = read(places.store(), ids).live
    fragment = st.fragment(_look, run_every=EVERY_S if live else None)
    fragment(tuple(ids))


def _example() -> None:
    st.info("No runs are stored yet: this is the recorded example. Train your own in the Lab.")
    st.page_link(LAB, label="Open the Lab", icon=":material/science:")
    runs = example.runs()
    if runs:
        st.fragment(_example_view)()


def _example_view() -> None:
    runs = example.runs()
    _view(Reading(tuple(runs), (), tuple((run.id, 0) for run in runs)))


def _look(ids: tuple[str, ...]) -> None:
    try:
        reading = read(places.store(), ids)
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        return
    for fault in reading.faults:
        st.error(markdown(fault), icon=":material/error:")
    if not reading.runs:
        return  # what is wrong with them has been said
    if not any(run.records.rows("step") for run in reading.runs):
        st.info("Waiting for the first training step…" if reading.live else "These runs ended before their first step.")
        return
    _view(reading)


def _view(reading: Reading) -> None:
    asked.fill()
    runs = [one.group.runs[0] for one in wholes(reading.runs)]
    if said := events.listed(runs, look.theme()):
        st.html(said)
    if len(runs) < len(reading.runs):
        st.caption(
            "Parts of one model share the gradient that is clipped: it is shown once, under the first one’s name."
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="what-if-controls"):
        rule = asked.one_of("rule", "Clipping", asked.RULES)
        over_seeds = False
        if any_seeds(runs):
            st.session_state.setdefault(_OVER, True)
            over_seeds = st.toggle("Over seeds", key=_OVER, help="Runs that differ only in their seed as one line.")
    at = _threshold(runs, rule)
    asked.keep("what-if")
    st.html(_numbers(runs, rule, at))
    _figure(runs, rule, at, over_seeds)
    if rule == "norm":
        _suggestions(runs)
    else:
        st.caption(
            "Every entry is cut to ±c, which turns the gradient: the cosine says how far. Clipping by norm never does."
        )
    with st.container(horizontal=True, gap="small", key="what-if-tools"):
        _train(runs, f"{rule}:{at!r}")
        with st.popover("Export", icon=":material/download:"):
            names = {run.id: run.name for run in runs}
            figure_exports(names, lambda: runs, {}, "what-if", [run.spec for run in runs])


def _threshold(runs: Sequence[Run], rule: str) -> float:
    """The slider; what it says now is among its stops, wherever it came from."""
    name = key(rule)
    if rule == "value":
        stops = [float(f"{edge:.0e}") for edge in EDGES]
        now = min(stops, key=lambda stop: abs(math.log(stop / st.session_state[name])))
    else:
        now = float(st.session_state[name])
        stops = sorted({*_stops(runs), *(s.threshold for run in runs for s in _suggested(run).suggestions), now})
    st.session_state[name] = now
    other = key("value" if rule == "norm" else "norm")
    st.session_state[other] = st.session_state[other]  # a widget that is not shown would forget
    chosen = st.select_slider(f"Threshold {asked.RULES[rule]}", stops, key=name, format_func=lambda v: number(v, 3))
    return float(chosen)


def _stops(runs: Sequence[Run]) -> list[float]:
    """Round numbers over the decades of the runs' own norms."""
    norms = np.concatenate([run.records["grad_norm_pre"] for run in runs if run.records.rows("step")])
    usable = norms[np.isfinite(norms) & (norms > 0)]
    if not usable.size:
        return [0.1, 1.0, 10.0]
    least, most = round(math.log10(THRESHOLD_LEAST)), round(math.log10(THRESHOLD_MOST))
    low = math.floor(math.log10(max(usable.min(), 1e-6 * np.median(usable))))
    high = math.ceil(math.log10(usable.max())) + 1
    low = min(max(low, least), most - 1)
    high = min(max(high, low + 1), most)
    return [float(f"{step:g}e{power}") for power in range(low, high) for step in _STEPS]


def _suggested(run: Run) -> measure.Suggested:
    return measure.suggest(run.records.get("grad_norm_pre", np.empty(0)))


def _numbers(runs: Sequence[Run], rule: str, at: float) -> str:
    """The answer at one threshold, a row per run."""
    if rule == "norm":
        head = ["run", "steps clipped", "norm after ÷ before, median of the clipped", "of the one clipped hardest"]
        rows = [_by_norm(run, at) for run in runs]
    else:
        head = ["run", "entries cut", "cosine, raw and cut", "5–95 % of the recorded steps", "norm after ÷ before"]
        rows = [_by_value(run, at) for run in runs]
    cells = "".join(f'<th scope="col">{markup(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{markup(run.name)}</th>{"".join(f"<td>{markup(cell)}</td>" for cell in row)}</tr>'
        for run, row in zip(runs, rows, strict=True)
    )
    return f'<table class="answers"><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>'


def _by_norm(run: Run, at: float) -> list[str]:
    answer = measure.by_norm(run.records.get("grad_norm_pre", np.empty(0)), np.array([at]))
    if not answer.steps:
        return ["no step with a finite norm", "–", "–"]
    broken = f", {answer.broken} without a finite norm" if answer.broken else ""
    clipped = round(float(answer.share[0]) * answer.steps)
    return [
        f"{percent(float(answer.share[0]))} ({clipped} of {answer.steps}{broken})",
        number(float(answer.median_factor[0])),
        number(float(answer.least_factor[0])),
    ]


def _by_value(run: Run, at: float) -> list[str]:
    sizes = measure.sizes_of(run.records)
    if sizes is None:
        why = f"not known: {measure.OLD}" if run.records.rows("profile") else "nothing recorded yet"
        return [why, "–", "–", "–"]
    answer = measure.by_value(sizes)
    if not len(answer.rows):
        return ["no gradient that is finite and above 0", "–", "–", "–"]
    cut = measure.cut_at(answer, at)
    return [
        percent(cut.share),
        number(cut.cosine, 3),
        f"{number(cut.cosine_p05, 3)} to {number(cut.cosine_p95, 3)}",
        number(cut.factor),
    ]


def _figure(runs: Sequence[Run], rule: str, at: float, over_seeds: bool) -> None:
    info = FIGURES[f"what_if_{rule}"]
    prepared = info.prepare(runs, over_seeds=over_seeds, at=at)
    drawn = info.draw(prepared, theme=look.theme(), size=look.size())
    name = filename(f"gradreach-{info.key}")
    message = encode(drawn, title=info.title, label=info.accessible_name(prepared), filename=name)
    live_figure(message, key=f"figure-{info.key}")
    if prepared.lines and prepared.lacking:
        st.caption(markdown(f"Not in the figure, because nothing was recorded for it: {', '.join(prepared.lacking)}."))
    with st.expander("How to read this", key=f"read-{info.key}"):
        st.markdown(info.how_to_read)


def _suggestions(runs: Sequence[Run]) -> None:
    """Thresholds of the runs' own scale, each with its reason and a way to look at it."""
    st.markdown("**Thresholds of these runs’ own scale**")
    for place, run in enumerate(runs):
        found = _suggested(run)
        with st.expander(markdown(run.name), expanded=place == 0, key=f"suggestions-{run.id}"):
            st.markdown(markdown(found.sentence))
            for one in found.suggestions:
                button, reason = st.columns([1, 3], vertical_alignment="center", gap="small")
                button.button(
                    f"{number(one.threshold)} · {one.percentile} %",
                    key=f"suggest-{run.id}-{one.percentile}",
                    help=f"The {one.percentile}th percentile of the run's norms; press to look at it.",
                    on_click=_choose(one.threshold),
                    width="stretch",
                )
                reason.markdown(markdown(one.reason))


def _choose(threshold: float) -> Callable[[], None]:
    def choose_it() -> None:
        st.session_state[key("norm")] = threshold

    return choose_it


def _train(runs: Sequence[Run], clip: str) -> None:
    """The way to what only training tells: these runs again, beside the same with the threshold."""
    settings = asked_for([run.spec for run in runs])
    if settings is None:
        return
    clips = tuple(dict.fromkeys([*settings.axes["clip"], clip]))
    if st.button(
        "Train with it, in the Lab",
        icon=":material/science:",
        key="train-with-it",
        help="Fill the Lab with what these runs were asked for, and this threshold beside it.",
    ):
        st.session_state[SETTINGS] = settings.with_axis("clip", clips)
        st.switch_page(LAB)
