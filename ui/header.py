"""The line above a comparison: what it is, and what can be done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from diagnostics.measures.seeds import SEPARATOR, shared_name
from diagnostics.records import Run
from diagnostics.store import ENDED, RunRow
from experiments.cost import duration
from experiments.inspection.kept import kept
from experiments.seeds import SEEDS_AT_MOST, more_seeds
from experiments.spec import Refusal, predict
from ui import exports, places
from ui.controls import SETTINGS, fill
from ui.inspect.asked import LINES_AT_MOST, OTHERS_AT_MOST, look_at
from ui.live import CHOSEN
from ui.naming import labels, title, together, understood
from ui.running import start
from ui.settings import asked_for
from ui.shell import INSPECT, RUNS
from ui.table import CHOSEN_RUNS, FIRST_RUNS
from ui.words import markdown


def comparison_header(rows: Sequence[RunRow]) -> None:
    """Name, export, and the way to the other runs."""
    name, tools = st.columns([4, 3], vertical_alignment="center")
    with name:
        st.subheader(markdown(title(rows)), anchor=False)
    with tools, st.container(horizontal=True, horizontal_alignment="right", gap="small", key="tools"):
        if (asked := asked_for([row.spec for row in rows])) is not None and asked != st.session_state.get(SETTINGS):
            st.button(
                "Change and run again",
                icon=":material/tune:",
                key="reuse",
                help="Bring the controls to what these runs were asked for.",
                on_click=fill,
                args=(asked,),
            )
        if any(understood(row.spec) is not None for row in rows):
            with st.popover("Seeds", icon=":material/casino:"):
                _seeds_panel(rows)
        with st.popover("Export", icon=":material/download:"):
            export_panel(rows, rows[0].comparison)
        if st.button("Inspect", icon=":material/search:", key="open-in-inspect", help=_inspect_help(rows)):
            st.switch_page(INSPECT, query_params=look_at(_side_by_side(rows)))
        if st.button("Open in Runs", icon=":material/list_alt:", key="open-in-runs"):
            ids = [row.id for row in rows]
            st.session_state[CHOSEN_RUNS] = st.session_state[FIRST_RUNS] = ids
            st.switch_page(RUNS, query_params={CHOSEN_RUNS: ",".join(ids)})


def _inspect_help(rows: Sequence[RunRow]) -> str:
    shown, runs = len(_side_by_side(rows)), len(rows)
    which = "" if runs == 1 else " These runs side by side." if shown == runs else f" {shown} of these {runs} runs."
    return f"Why does the gradient die?{which}"


def _side_by_side(rows: Sequence[RunRow]) -> list[str]:
    """As many of the runs as can be shown, in the order in which they are worth a place beside each other.

    Seeds of one come after what else differs.
    """
    lines = list(dict.fromkeys(map(_but_seed, rows)))[:LINES_AT_MOST]
    kept = [row for row in rows if _but_seed(row) in lines]
    seen: Counter[str] = Counter()
    turns = []
    for row in kept:
        turns.append(seen[_but_seed(row)])
        seen[_but_seed(row)] += 1
    return [row.id for _, row in sorted(zip(turns, kept, strict=True), key=lambda one: one[0])][: OTHERS_AT_MOST + 1]


def _seeds_panel(rows: Sequence[RunRow]) -> None:
    """Every run of the comparison again with other seeds, so that luck can be told from what holds."""
    specs = [spec for row in rows if (spec := understood(row.spec)) is not None]
    seeds = st.number_input(
        "Seeds of each run",
        1,
        SEEDS_AT_MOST,
        value=5,
        key="seeds-wanted",
        help="Runs that differ only in their seed are shown as one: the median, from the lowest to the highest.",
    )
    try:
        missing = more_seeds(specs, seeds)
    except Refusal as refusal:
        st.error(f"{markdown(str(refusal))}.")
        return
    if not missing:
        st.caption(f"Every run has {seeds} seeds or more already.")
        return
    st.caption(f"Predicted: about {duration(sum(predict(spec).seconds for spec in missing))} if this machine is idle.")
    st.button(
        f"Repeat over {seeds} seeds: {len(missing)} more",
        icon=":material/add:",
        key="add-seeds",
        on_click=start,
        args=(missing, rows[0].comparison),
    )


def _but_seed(row: RunRow) -> str:
    """What a run was asked for, but for its seed."""
    return repr({**row.spec, "seed": None})


def _seeds_of(rows: Sequence[RunRow], names: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """The runs that differ only in their seed, by their ids, with the name that they have together."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(_but_seed(row), []).append(row.id)
    return {
        tuple(ids): SEPARATOR.join(filter(None, [shared_name([names[run_id] for run_id in ids]), f"{len(ids)} seeds"]))
        for ids in found.values()
        if len(ids) > 1
    }


def export_panel(rows: Sequence[RunRow], scope: str, report: Callable[[], bytes] | None = None) -> None:
    """Everything that can be taken away of these runs; ``report`` makes another one than that of a comparison."""
    store = places.store()
    ids = [row.id for row in rows]
    names = dict(zip(ids, labels(rows), strict=True))
    name = title(rows)

    def source() -> tuple[Run, ...]:
        return together([store.read(run_id) for run_id in ids])

    def usual() -> bytes:
        from diagnostics.export.report import report_html

        return report_html(source(), title=name, inspections=kept(store, ids)).encode()

    def bundle() -> bytes:
        from diagnostics.export.bundle import bundle_bytes

        return bundle_bytes(store, ids, title=name, inspections=kept(store, ids))

    ended = all(row.state in ENDED for row in rows)
    st.markdown("**A figure**")
    chosen, specs = st.session_state.setdefault(CHOSEN, {}), [row.spec for row in rows]
    exports.figure_exports(names, source, chosen, scope, specs, _seeds_of(rows, names))
    st.markdown("**Data** (CSV)")
    exports.data_exports(names, source, scope, seeds=len({_but_seed(row) for row in rows}) < len(rows))
    st.markdown("**Everything**")
    exports.comparison_exports(name, report or usual, bundle if ended else None, scope, inspected=report is None)
