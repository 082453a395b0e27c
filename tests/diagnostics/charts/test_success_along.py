"""Success against a quantity that runs differ in: what is prepared, and that it is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.charts import success_along
from diagnostics.charts.success_along import WAITING, Prepared, describe, draw, prepare
from diagnostics.records import Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of


def run(cell: str, gap: int, share: float | None, seed: int = 0, state: str = "finished") -> Run:
    measured = () if share is None else (0.5, share)
    spec = {"cell": cell, "gap": gap, "seed": seed}
    made = run_of(powers(0.9, 12, count=2), facts=facts_of(13, 12), run_id=f"r-{cell}{gap}{seed}", spec=spec)
    return replace(
        made, state=state, records=run_of(powers(0.9, 12, 2), facts=facts_of(13, 12), success=measured).records
    )


def along_gap(runs: list[Run]) -> Prepared:
    return prepare(
        runs, lambda one: one.spec["gap"], lambda one: str(one.spec["cell"]), title="T", axis="gap", unit="back"
    )


def test_each_kind_has_its_line_in_order_and_seeds_are_taken_together() -> None:
    runs = [run("tanh", 20, 0.6), run("tanh", 5, 0.9), run("lstm", 5, 1.0)]
    runs += [run("tanh", 20, share, seed) for seed, share in ((1, 0.7), (2, 0.5))]
    tanh, lstm = along_gap(runs).lines
    assert (tanh.label, lstm.label) == ("tanh", "lstm")
    np.testing.assert_array_equal(tanh.along, [5, 20])
    np.testing.assert_allclose(tanh.success, [0.9, 0.6])
    np.testing.assert_allclose((tanh.low, tanh.high), [[0.9, 0.5], [0.9, 0.7]])
    assert tanh.style.colour != lstm.style.colour
    assert along_gap(runs).chance == (0.5,)


def test_what_was_not_measured_is_left_out_and_what_broke_is_marked() -> None:
    prepared = along_gap([run("tanh", 5, None), run("tanh", 10, 0.4, state="diverged"), run("lstm", 5, None)])
    [line] = prepared.lines
    np.testing.assert_array_equal(line.broke, [True])
    assert list(draw(prepared).data[0].marker.symbol) == ["x"]
    assert describe(prepared) == "T. tanh: 40 % at 10 back (diverged)."


def test_without_a_measurement_it_says_so() -> None:
    prepared = along_gap([run("tanh", 5, None)])
    assert WAITING in describe(prepared)
    assert "measured" in draw(prepared).layout.annotations[0].text


def test_it_is_drawn_in_both_themes_and_sizes_with_a_tick_at_every_place() -> None:
    prepared = along_gap([run("tanh", 5, 0.9), run("tanh", 40, 0.5)])
    for theme in ("light", "dark"):
        for size in ("page", "projector"):
            figure = draw(prepared, theme=theme, size=size)  # type: ignore[arg-type]
            assert list(figure.layout.xaxis.tickvals) == [5, 40]
            assert figure.layout.meta["figure"] == "success_along"


def test_numbers_below_places_that_are_close_do_not_touch() -> None:
    assert success_along._apart([10.0, 20.0, 21.0, 40.0, 80.0]) == ["10", "", "21", "40", "80"]
    assert success_along._apart([4.0, 10.0, 20.0, 40.0]) == ["4", "10", "20", "40"]
    assert success_along._apart([7.0]) == ["7"]
