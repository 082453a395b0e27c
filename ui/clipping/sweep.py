"""The threshold sweep: set up, start, watch the results come, stop and take up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from diagnostics.measures.numbers import number
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.sweep import GOAL, Point, findings, rule_of_spec
from diagnostics.measures.sweep import sweep as judge
from diagnostics.store import RunRow, StoreError
from experiments import sweep as sweeps
from experiments.cost import amount, duration
from experiments.spec import FIELDS, Refusal, RunSpec, predict
from models.cells import CELLS
from tasks import TASKS
from ui import address, figures, places
from ui.controls import SETTINGS
from ui.header import export_panel
from ui.live import EVERY_S
from ui.naming import title
from ui.reading import Reading, read
from ui.shell import LAB
from ui.words import left, markdown, percent

PARAMETER = "sweep"
"""The query parameter that names the sweep that is shown, and where the session keeps it."""

LAB_SETTINGS = "lab"
"""The choice of settings that are as they stand in the Lab."""

KIND_WORDS = {"off": "off", "norm": "by norm", "value": "by value"}
_SAID = ("task", "gap", "hidden", "layers", "init", "optimizer", "batch")
"""What is said of the settings that are not asked for here."""
_ASKED = ("cells", "thresholds", "kinds", "seeds", "learning_rate", "steps")
_KEPT = "sweep-kept"


def show() -> None:
    """Draw the view."""
    rows = _sweeps()
    shown = _shown(rows)
    with st.expander("Set up a sweep", expanded=not shown, icon=":material/tune:", key="sweep-setup"):
        _set_up()
    if not shown:
        st.info(
            "No sweep has been trained yet. Choose what to try above and press **Start**: the outcome at every "
            "threshold will be drawn here while the runs end one by one."
        )
        return
    comparison = _choose(rows, shown)
    live = bool(sweeps.state(places.store(), comparison).active)
    fragment = st.fragment(_look, run_every=EVERY_S if live else None)
    fragment(comparison, live)


def key(name: str) -> str:
    """The key of the widget that asks for ``name``."""
    return f"sweep-{name}"


def _sweeps() -> dict[str, list[RunRow]]:
    """The comparisons that try at least three clipping rules on one network, newest first, each in asked order."""
    found: dict[str, list[RunRow]] = {}
    for row in places.store().runs():
        found.setdefault(row.comparison, []).insert(0, row)
    return {name: rows for name, rows in found.items() if len({rule_of_spec(row.spec) for row in rows} - {None}) >= 3}


def _shown(rows: Mapping[str, Sequence[RunRow]]) -> str:
    """The sweep to show: the one started or chosen last, else the one that the address names, else the newest."""
    asked = str(st.session_state.get(PARAMETER) or st.query_params.get(PARAMETER, ""))
    if asked and asked not in rows:
        st.session_state.pop(PARAMETER, None)
        st.query_params.pop(PARAMETER, None)
        st.warning(f"There is no sweep {markdown(asked[:60])} here: it was deleted, or made elsewhere.")
        asked = ""
    return asked or next(iter(rows), "")


def _choose(rows: Mapping[str, Sequence[RunRow]], shown: str) -> str:
    """Which of the stored sweeps, where there are several."""
    names = {comparison: f"{title(some)} · {comparison}" for comparison, some in rows.items()}
    if len(rows) > 1:
        st.session_state[key("shown")] = shown
        shown = st.selectbox(
            "Sweep", list(names), format_func=names.__getitem__, key=key("shown"), on_change=_take_shown
        )
    else:
        st.markdown(f"**{markdown(names[shown])}**")
    st.session_state[PARAMETER] = shown
    if st.query_params.get(PARAMETER) != shown:
        st.query_params[PARAMETER] = shown
    return shown


def _take_shown() -> None:
    st.session_state[PARAMETER] = st.session_state[key("shown")]


# Setting up


def _set_up() -> None:
    _fill()
    bases = {name: preset.title for name, preset in sweeps.PRESETS.items()} | {LAB_SETTINGS: "As set in the Lab"}
    base = str(
        st.segmented_control(
            "Network and task",
            list(bases),
            format_func=bases.__getitem__,
            key=key("base"),
            on_change=_take_base,
            required=True,
        )
    )
    common = dict(_base(base).common)
    if base in sweeps.PRESETS:
        st.caption(markdown(sweeps.PRESETS[base].question))
    st.caption(markdown(_told(common)))
    said: list[str] = []
    wanted = _controls(common, said)
    specs, refusal = _specs(wanted, said)
    st.button(
        f"Start {len(specs)} runs" if specs else "Start",
        type="primary",
        icon=":material/play_arrow:",
        key=key("start"),
        disabled=bool(refusal),
        on_click=_start,
        args=(wanted,),
    )
    if refusal:
        st.error(markdown(refusal))
        return
    costs = [predict(spec) for spec in specs]
    st.caption(
        f"Predicted: about {duration(sum(cost.seconds for cost in costs))} on one worker, at most "
        f"{amount(sum(cost.disk_bytes for cost in costs))} on disk."
    )


def _base(name: str) -> sweeps.Sweep:
    """What a choice of network and task begins with."""
    if name in sweeps.PRESETS:
        return sweeps.PRESETS[name].sweep
    usual = next(iter(sweeps.PRESETS.values())).sweep
    settings = st.session_state.get(SETTINGS)
    if settings is None:
        return sweeps.Sweep(usual.thresholds)
    firsts = {axis: settings.axes[axis][0] for axis in ("gap", "gate_bias") if settings.axes[axis]}
    cells = settings.axes["cell"] or ("tanh",)
    return sweeps.Sweep(usual.thresholds, cells, common={**settings.others, **firsts})


def _told(common: Mapping[str, Any]) -> str:
    """The settings that are not asked for here, in one line."""
    values = {name: common.get(name, FIELDS[name].default) for name in _SAID}
    said = [TASKS[values.pop("task")].title]
    said += [f"{FIELDS[name].label.lower()} {FIELDS[name].said(value)}" for name, value in values.items()]
    return " · ".join(said)


def _fill() -> None:
    """Give every widget that has none its value: as it was, else as the first preset has it."""
    kept = st.session_state.get(_KEPT)
    if key("base") in st.session_state:
        return
    if kept is None:
        st.session_state[key("base")] = next(iter(sweeps.PRESETS))
        _take_base()
    else:
        for name, value in kept.items():
            st.session_state[key(name)] = value


def _take_base() -> None:
    """Bring the widgets to what the chosen network and task begin with."""
    base = _base(str(st.session_state[key("base")]))
    values = {
        "cells": list(base.cells),
        "thresholds": ", ".join(f"{threshold:g}" for threshold in base.thresholds),
        "kinds": list(base.kinds),
        "seeds": ", ".join(map(str, base.seeds)),
        "learning_rate": float(base.common.get("learning_rate", FIELDS["learning_rate"].default)),
        "steps": int(base.common.get("steps", FIELDS["steps"].default)),
    }
    for name, value in values.items():
        st.session_state[key(name)] = value


def _controls(common: Mapping[str, Any], said: list[str]) -> sweeps.Sweep:
    """Show what is asked for here and return the sweep; a sentence for each entry that cannot be read."""
    cells = st.pills(
        "Cells", list(CELLS), selection_mode="multi", format_func=lambda n: CELLS[n].title, key=key("cells")
    )
    with st.container(horizontal=True, gap="medium"):
        kinds = st.pills(
            "Clipping",
            list(KIND_WORDS),
            selection_mode="multi",
            format_func=KIND_WORDS.__getitem__,
            key=key("kinds"),
            help="Off is trained once per cell and seed, the others at every threshold.",
        )
        rate = st.number_input(
            "Learning rate", value=None, step=0.001, format="%g", key=key("learning_rate"), placeholder="needed"
        )
        steps = st.number_input("Steps", value=None, step=1, key=key("steps"), placeholder="needed")
    thresholds = st.text_input("Thresholds", key=key("thresholds"), help="Several, separated by commas.")
    seeds = st.text_input("Seeds", key=key("seeds"), help="Several, separated by commas: they make the bands.")
    st.session_state[_KEPT] = {name: st.session_state[key(name)] for name in (*_ASKED, "base")}
    for name, value in (("Learning rate", rate), ("Steps", steps)):
        if value is None:
            said.append(f"{name} is empty: fill it in.")
    return sweeps.Sweep(
        thresholds=_numbers(thresholds, said),
        cells=tuple(name for name in CELLS if name in cells),
        seeds=_seeds(seeds, said),
        kinds=tuple(kind for kind in KIND_WORDS if kind in kinds),
        common={**common, "learning_rate": rate, "steps": steps},
    )


def _numbers(text: str, said: list[str]) -> tuple[float, ...]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(float(part))
        except ValueError:
            said.append(f"Thresholds must be numbers, but got {address.quoted(part)}.")
    return tuple(dict.fromkeys(found))


def _seeds(text: str, said: list[str]) -> tuple[int, ...]:
    try:
        return address.parse_list("seed", text)
    except ValueError as error:
        said.append(f"{error}.")
        return ()


def _specs(wanted: sweeps.Sweep, said: Sequence[str]) -> tuple[list[RunSpec], str]:
    """The runs that are asked for, or why not."""
    if said:
        return [], " ".join(said)
    try:
        return wanted.specs(), ""
    except Refusal as refusal:
        return [], " ".join(f"{line}." for line in dict.fromkeys(str(refusal).splitlines()))


def _start(wanted: sweeps.Sweep) -> None:
    try:
        st.session_state[PARAMETER], _ = sweeps.submit(places.queue(), wanted)
    except (Refusal, StoreError, OSError) as error:
        st.toast(f"The sweep was not started: {markdown(str(error))}.", icon=":material/error:")


# Watching


def _look(comparison: str, live: bool) -> None:
    faults = st.container()
    try:
        found = sweeps.state(places.store(), comparison)
        reading = read(places.store(), [row.id for row in found.rows])
        if found.active:
            places.queue().ensure_workers()
    except StoreError as error:
        faults.error(f"{markdown(str(error))}.", icon=":material/error:")
        return
    for fault in reading.faults:
        faults.error(markdown(fault), icon=":material/error:")
    _progress(found)
    _results(reading, found)
    if live != bool(found.active):
        st.rerun()  # once more as a whole: the looking begins, or stops


def _progress(found: sweeps.State) -> None:
    """One bar for the whole sweep, and what can be done about it."""
    ended = f"{found.done} of {len(found.rows)} runs have ended"
    time_left = left(found.seconds_left)
    if found.active:
        st.progress(found.share, text=f"{ended} · {time_left}" if time_left else ended)
    lacking = len(found.missing)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sweep-tools"):
        if found.active:
            st.button(
                "Stop all", key=key("stop"), icon=":material/stop_circle:", on_click=_stop, args=(found.comparison,)
            )
        elif lacking:
            st.markdown(f"{ended}; {lacking} broke off.")
            st.button(
                f"Resume: train the other {lacking}",
                key=key("resume"),
                icon=":material/play_arrow:",
                type="primary",
                on_click=_resume,
                args=(found.comparison,),
            )
        else:
            st.markdown(f"All {len(found.rows)} runs have ended.")
        if st.button("Open in Lab", key=key("lab"), icon=":material/science:"):
            st.session_state[address.COMPARISON] = found.comparison
            st.switch_page(LAB, query_params={address.COMPARISON: found.comparison})
        with st.popover("Export", icon=":material/download:"):
            export_panel(found.rows, f"sweep-{found.comparison}")


def _results(reading: Reading, found: sweeps.State) -> None:
    """What came of each threshold so far: in words, as curves, as a map and as a table."""
    st.session_state.setdefault(key("goal"), 100 * GOAL)
    goal = st.slider(
        "Success that counts as having learned, in %", 5.0, 100.0, step=1.0, format="%d", key=key("goal"), width=420
    ) / 100  # fmt: skip
    told = judge(reading.runs, goal)
    if any(point.ended for series in told for point in series.points):
        st.markdown("\n".join(f"- {markdown(line)}" for line in findings(told, goal)))
    version = (reading.version, tuple(row.state for row in found.rows))
    how = {"goal": goal}
    with st.container(horizontal=True, key="side-by-side-sweep"):
        for name in ("sweep", "sweep_map"):
            with st.container():
                figures.show(name, reading.runs, version, found.comparison, over_seeds=True, more=how)
    figures.forget_others(found.comparison)
    lines = [_line(series.name, point, goal) for series in told for point in series.points]
    if lines:
        with st.expander("As a table", key="sweep-table"):
            st.dataframe(lines, hide_index=True, height=min(35 * (len(lines) + 1) + 3, 600))


def _line(series: str, point: Point, goal: float) -> dict[str, Any]:
    runs = len(point.run_ids)
    off = point.rule.kind == "none"
    return {
        "Cell": series,
        "Clipping": KIND_WORDS["off" if off else point.rule.kind],
        "Threshold": None if off else point.rule.threshold,
        "Ended": f"{point.ended} of {runs}",
        "Diverged": point.diverged,
        "Success": span(point.success, percent),
        f"Reach {percent(goal)}": f"{point.reached} of {point.ended}" if point.ended else "–",
        "After steps": span(point.steps_to_goal, lambda value: "never" if value == float("inf") else number(value, 4)),
    }


def _stop(comparison: str) -> None:
    try:
        sweeps.stop(places.queue(), comparison)
    except StoreError as error:
        st.toast(f"{markdown(str(error))}.", icon=":material/error:")


def _resume(comparison: str) -> None:
    try:
        sweeps.resume(places.queue(), comparison)
    except (StoreError, OSError) as error:
        st.toast(f"The sweep was not resumed: {markdown(str(error))}.", icon=":material/error:")
