"""What can be taken along from a stop: its report, and of stored runs everything that the Lab gives too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import streamlit as st

from diagnostics.store import RunRow
from ui import exports, places
from ui.header import export_panel
from ui.learn import examples, kept, path
from ui.learn.panels import Chart, charts_of
from ui.learn.results import WHOLE, scope
from ui.learn.stop import Stop, Values
from ui.naming import together

if TYPE_CHECKING:
    from diagnostics.export.gallery import Drawing
    from diagnostics.records import Run


def export(stop: Stop, values: Values, rows: Sequence[RunRow]) -> None:
    """The popover."""
    mine = kept.of(stop.slug)
    store = places.store()
    charts = charts_of(stop.slug)
    asked = mine.values if rows else stop.usual if stop.specs(stop.usual) else values
    predicted = mine.predicted.get(kept.name_of(asked or {}))

    def runs() -> tuple[Run, ...]:
        if rows:
            return together([store.read(row.id) for row in rows])
        return tuple(one.run for one in examples.seen(stop.slug))

    def report() -> bytes:
        return page(stop, asked, predicted, runs(), charts).encode()

    with st.popover("Export", icon=":material/download:"):
        if rows:
            export_panel(rows, scope(stop), report)
        else:
            name = f"gradreach-learn-{stop.slug}"
            exports.comparison_exports(name, report, None, scope(stop), stored=False, inspected=False)


def page(
    stop: Stop, values: Values | None, predicted: int | None, runs: Sequence[Run], charts: Mapping[str, Chart]
) -> str:
    """The report of a stop as HTML; ``values`` None: nobody knows of which controls the runs are."""
    from diagnostics.export.story import Story, story_html

    outcome, seen = _told(stop, values, predicted, runs)
    story = Story(
        f"{path.number(stop.slug)} · {stop.title}", stop.question, stop.text, stop.equation, stop.letters, outcome, seen
    )
    return story_html(story, runs, _drawings(stop, runs, charts, "light"), _drawings(stop, runs, charts, "dark"))


def _told(
    stop: Stop, values: Values | None, predicted: int | None, runs: Sequence[Run]
) -> tuple[list[str], Sequence[str]]:
    said = stop.prediction
    if values is None or any(run.state not in WHOLE for run in runs):
        return [], []
    came = said.options[said.answer(values, runs)]
    outcome = [said.question]
    if predicted is not None:
        outcome.append(f"Predicted: **{said.options[predicted]}**.")
    outcome.append(f"It came out: **{came}**. {said.why(values, runs)}")
    return outcome, stop.seen(values, runs)


def _drawings(
    stop: Stop, runs: Sequence[Run], charts: Mapping[str, Chart], theme: Literal["light", "dark"]
) -> list[Drawing]:
    from diagnostics.export.gallery import Drawing, chosen

    drawn = []
    for chart in charts.values():
        figure, words = chart.make(theme, "page")
        drawn.append(Drawing(f"own-{chart.key}", chart.key, chart.title, words, chart.how_to_read, figure))
    if any(run.records.rows("step") for run in runs):
        drawn += chosen(stop.figures, runs, theme)
    return drawn
