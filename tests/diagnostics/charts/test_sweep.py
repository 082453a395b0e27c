import json

import numpy as np
import pytest

from diagnostics.charts import sweep, sweep_map
from diagnostics.export.gallery import drawings
from tests.diagnostics.charts.samples import story
from tests.diagnostics.charts.test_gallery import odd_runs
from tests.diagnostics.measures.test_sweep import FAILS, LEARNS, SLOWLY, grid, tried

OUTCOMES = {
    "none": [FAILS, FAILS],
    "norm:0.1": [LEARNS, SLOWLY],
    "norm:1.0": [LEARNS, FAILS],
    "value:0.1": [LEARNS] * 2,
}
BOTH = pytest.mark.parametrize("chart", [sweep, sweep_map], ids=["curves", "map"])


def test_lines_hold_the_outcomes_and_no_clipping_stands_at_the_right_end() -> None:
    prepared = sweep.prepare(grid(OUTCOMES))
    norm, _, off = prepared.lines
    assert [line.label for line in prepared.lines] == ["tanh, by norm", "tanh, by value", "tanh, no clipping"]
    np.testing.assert_array_equal(norm.threshold, [0.1, 1.0])
    np.testing.assert_array_equal(norm.success.median, [1.0, 0.75])
    np.testing.assert_array_equal(norm.success.low, [1.0, 0.5])
    np.testing.assert_array_equal(norm.steps.median, [30.0, np.inf])
    assert norm.reached == ("2 of 2", "1 of 2")
    assert np.isinf(off.threshold).all()
    assert prepared.off_at > max(prepared.thresholds) == 1.0
    never = [trace for trace in sweep.draw(prepared).data if trace.yaxis == "y4"]
    assert [list(trace.x) for trace in never] == [[1.0], [prepared.off_at]]


def test_the_map_has_a_row_per_cell_and_kind_and_no_clipping_in_each() -> None:
    prepared = sweep_map.prepare([*grid(OUTCOMES), *grid({"none": [LEARNS], "norm:1.0": [FAILS]}, "gru")])
    assert prepared.rows == ("tanh, by norm", "tanh, by value", "gru, by norm")
    assert prepared.columns == (0.1, 1.0, np.inf)
    np.testing.assert_array_equal(prepared.success, [[1, 0.75, 0.5], [1, np.nan, 0.5], [np.nan, 0.5, 1]])
    texts = [note.text for note in sweep_map.draw(prepared).layout.annotations]
    assert "<b>75 %</b><br>1 of 2" in texts
    assert len(texts) == 7


def test_diverged_and_waiting_runs_are_marked() -> None:
    runs = [tried("none", state="diverged", success=(0.2,)), tried("norm:1.0", state="running"), tried("norm:2.0")]
    texts = [note.text for note in sweep_map.draw(sweep_map.prepare(runs)).layout.annotations]
    assert texts == ["…", "<b>100 %</b><br>1 of 1", "<b>20 %</b><br>0 of 1 · ✕ 1"]
    caption = sweep.prepare(runs).origin.caption
    assert "2 runs, 1 still to come or broken off" in caption


@BOTH
def test_until_a_run_has_ended_the_figure_waits(chart) -> None:
    for runs in ([], [tried("none", state="running"), tried("norm:1.0", state="queued")]):
        assert chart.draw(chart.prepare(runs)).layout.annotations[0].text == "Waiting for the first run to end…"


@BOTH
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_any_records_can_be_drawn(chart, theme: str) -> None:
    for runs in (
        odd_runs(),
        story(),
        [*grid(OUTCOMES), *odd_runs()],
        grid({f"norm:{i}": [LEARNS] for i in range(1, 16)}),
    ):
        prepared = chart.prepare(runs)
        text = chart.draw(prepared, theme=theme).to_json()
        json.loads(text)
        assert "Infinity" not in text
        assert chart.describe(prepared)


@BOTH
def test_the_finding_is_told_to_those_who_listen(chart) -> None:
    assert "clipping is needed" in chart.describe(chart.prepare(grid(OUTCOMES)))


def test_a_report_has_the_sweep_only_where_there_is_one() -> None:
    keys = [{drawing.key for drawing in drawings(runs)} for runs in (story(), grid(OUTCOMES))]
    assert not {"sweep", "sweep_map"} & keys[0]
    assert {"sweep", "sweep_map"} <= keys[1]
