"""Seeds and sweeps in what leaves the page: the report, the tables and the drawings."""

from __future__ import annotations

import csv
import io

from diagnostics.export.gallery import drawings
from diagnostics.export.report import report_html
from diagnostics.export.tables import seeds_csv
from tests.diagnostics.charts.samples import seeds_story, story
from tests.diagnostics.measures.test_sweep import FAILS, LEARNS, grid


def test_a_report_says_first_what_the_seeds_say_together() -> None:
    page = report_html(seeds_story())
    assert page.index("<h2>Over seeds</h2>") < page.index("<h2>Verdicts</h2>")
    assert "tanh · 3 seeds — Vanishing in 3 of 3" in page
    assert "× 0.68 (0.66 to 0.7) per step" in page
    assert "median over the batch, then over the seeds" in page
    assert "Over seeds" not in report_html(story())


def test_a_report_can_keep_each_run_apart() -> None:
    page = report_html(seeds_story(), over_seeds=False)
    assert "median over the batch, then over the seeds" not in page
    assert "<h2>Over seeds</h2>" in page


def test_a_report_of_a_sweep_says_what_came_of_the_thresholds() -> None:
    page = report_html(grid({"none": [FAILS] * 2, "norm:1.0": [LEARNS] * 2, "norm:0.1": [FAILS] * 2}))
    assert "What comes of a threshold" in page
    assert "clipping is needed" in page


def test_figures_are_drawn_over_seeds_where_there_are_some() -> None:
    together, each = (drawings(seeds_story(), over_seeds=how) for how in (None, False))
    keys = [[drawing.key for drawing in drawn] for drawn in (together, each)]
    maps = ["heatmap-r-tanh0", "heatmap-r-lstm0"]  # a map of each cell's seeds, under the first one's id
    assert [key for key in keys[0] if key.startswith("heatmap")] == maps
    assert len([key for key in keys[1] if key.startswith("heatmap")]) == 6
    assert set(keys[0]) <= set(keys[1])
    assert next(drawing.title for drawing in together if drawing.key == maps[0]).endswith(" — tanh · 3 seeds")
    assert together[1].figure.layout.meta["over_seeds"] is True
    assert each[1].figure.layout.meta["over_seeds"] is False
    assert drawings(story())[1].figure.layout.meta["over_seeds"] is False


def test_the_table_of_seeds_has_a_line_per_group_with_exact_numbers() -> None:
    tanh, lstm = csv.DictReader(io.StringIO(seeds_csv(seeds_story())))
    assert (tanh["group"], tanh["seeds"], tanh["vanishing"], tanh["reaches"]) == ("tanh · 3 seeds", "0 1 2", "3", "0")
    assert [float(tanh[f"success_{part} [share]"]) for part in ("low", "median", "high")] == [0.7, 0.7 + 0.1, 0.7 + 0.2]
    assert abs(float(tanh["decay_median [factor per step]"]) - 0.68) < 1e-12
    assert lstm["runs"] == "r-lstm0 r-lstm1 r-lstm2"
