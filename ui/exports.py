"""Taking figures and data away. Everything is computed on the click, from what is recorded by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from experiments.watched import is_watched
from ui import look
from ui.words import filename, markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

Source = Callable[[], Sequence["Run"]]
"""Reads the runs as they are at the moment of the click."""

MIME = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf", "html": "text/html", "csv": "text/csv"}


def figure_exports(
    names: Mapping[str, str],
    source: Source,
    chosen: Mapping[str, int | None],
    scope: str,
    specs: Sequence[Mapping[str, Any]],
    seeds: Mapping[tuple[str, ...], str] | None = None,
) -> None:
    """A figure as an image from the server or as a page that works offline.

    ``names`` maps the runs' ids to their names, ``seeds`` those of runs that differ only in their seed to the name that
    they have together, and ``specs`` are the runs'; ``chosen`` holds what the page shows, looked up on the click: the
    training step of the slider under ``at_step``, and under ``over_seeds`` whether seeds are drawn as one.
    """
    from diagnostics.charts.gallery import FIGURES

    watched = all(map(is_watched, specs))
    offered = [info for info in FIGURES.values() if info.offered(specs)]
    info = st.selectbox("Figure", offered, format_func=lambda i: i.words(watched)[0], key=f"export-figure-{scope}")
    which: tuple[str, ...] = ()
    choices: dict[tuple[str, ...], str] = {}
    if info.per_run:
        choices |= seeds or {}
        choices |= {(run_id,): name for run_id, name in names.items()}
        which = st.selectbox("Run", list(choices), format_func=choices.__getitem__, key=f"export-run-{scope}")
    theme, size = look.theme(), look.size()

    def make() -> go.Figure:
        from ui.figures import drawing

        runs = [run for run in source() if not which or run.id in which]
        return drawing(info, runs, chosen.get("at_step"), theme, size, bool(chosen.get("over_seeds")))[0]

    name = filename("-".join(["gradreach", info.key, *([choices[which]] if which else [])]))
    figure_files(name, make, *info.words(watched), scope)


def figure_files(name: str, make: Callable[[], go.Figure], title: str, note: str, scope: str) -> None:
    """A button for each kind of file that the figure can be had as; ``note`` says how to read it."""
    reason = no_images()
    with st.container(horizontal=True, gap="small"):
        for kind in ("html", *(() if reason else ("png", "svg", "pdf"))):
            made = partial(_figure_file, kind, make, title, note)
            button(kind.upper(), made, f"{name}.{kind}", MIME[kind], f"export-{kind}-{scope}")
    st.caption(reason or "HTML works offline. PNG and SVG are also under each figure, drawn by your browser.")


def data_exports(names: Mapping[str, str], source: Source, scope: str, seeds: bool = False) -> None:
    """The records of one run, or one line per run, as CSV; with ``seeds`` also one line per group of seeds."""
    from diagnostics.export import tables

    run_id = st.selectbox("Run", list(names), format_func=lambda i: names[i], key=f"csv-run-{scope}")

    def one(make: Callable[[Run], str]) -> Callable[[], bytes]:
        return lambda: make(next(run for run in source() if run.id == run_id)).encode()

    name = filename(names[run_id])
    with st.container(horizontal=True, gap="small"):
        button("Steps", one(tables.steps_csv), f"{name}-steps.csv", MIME["csv"], f"csv-steps-{scope}")
        button("Profiles", one(tables.profiles_csv), f"{name}-profiles.csv", MIME["csv"], f"csv-profiles-{scope}")
        button("Summary", lambda: tables.summary_csv(source()).encode(), "summary.csv", MIME["csv"], f"csv-sum-{scope}")
        if seeds:
            button("Seeds", lambda: tables.seeds_csv(source()).encode(), "seeds.csv", MIME["csv"], f"csv-seeds-{scope}")
    st.caption(
        "Steps: loss, norms and clipping. Profiles: the gradient at every timestep. Summary: all runs."
        + (" Seeds: runs that differ only in their seed, together." if seeds else "")
    )


def comparison_exports(
    title: str,
    report: Callable[[], bytes],
    bundle: Callable[[], bytes] | None,
    scope: str,
    *,
    stored: bool = True,
    inspected: bool = True,
) -> None:
    """The whole: a report to read, and a bundle to keep, to import elsewhere, and to run again.

    ``bundle`` is None for as long as runs grow, or where none are ``stored`` at all; ``inspected`` says whether the
    report holds what Inspect has found.
    """
    name = filename(title)
    with st.container(horizontal=True, gap="small"):
        button("Report", report, f"{name}.html", "text/html", f"report-{scope}")
        if bundle is not None:
            button("Bundle", bundle, f"{name}.zip", "application/zip", f"bundle-{scope}")
    said = ["The report is one page that works offline" + "; what Inspect has found in these runs is in it" * inspected]
    if bundle is not None:
        said.append("The bundle holds it with every figure, table, spec and run file; it can be imported under Runs")
    elif stored:
        said.append("A bundle can be made once every run has ended")
    st.caption(" ".join(f"{sentence}." for sentence in said))


def button(label: str, make: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    """A file that is made on the click."""
    st.download_button(
        markdown(label), make, file_name=name, mime=mime, key=key, on_click="ignore", icon=":material/download:"
    )


@st.cache_data(ttl=60, show_spinner=False)
def no_images() -> str:
    """Why the server can make no images; empty where it can."""
    from diagnostics.export.images import unavailable

    return unavailable()


def _figure_file(kind: str, make: Callable[[], go.Figure], title: str, note: str) -> bytes:
    from diagnostics.export.html import figure_html
    from diagnostics.export.images import to_image

    figure = make()
    if kind == "html":
        return figure_html(figure, title, note=note).encode()
    return to_image(figure, kind, scale=2.0 if kind == "png" else 1.0)  # type: ignore[arg-type]
