import math
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import what_if
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from diagnostics.measures.entry_sizes import EDGES, entry_sizes
from diagnostics.measures.what_if import by_norm, by_value
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of, story

FACTS = facts_of(9, 6)


def run(pre: np.ndarray, seed: int = 0, **more: object) -> Run:
    more = {"spec": {"seed": seed, "clip": "none"}, "run_id": f"r-{seed}", **more}
    return run_of(powers(0.9, 8, 3), facts=FACTS, loss=np.full(len(pre), 2.0), pre=pre, **more)  # type: ignore[arg-type]


def without_sizes(one: Run) -> Run:
    return replace(one, records=Records({k: v for k, v in one.records.items() if k != "grad_sizes"}))


def test_every_threshold_is_answered_from_the_norms_of_the_run() -> None:
    pre = np.exp(np.random.default_rng(0).normal(size=200))
    found = what_if.prepare_norm([run(pre)])
    (line,) = found.lines
    answer = by_norm(pre, found.thresholds)
    np.testing.assert_array_equal(line.engaged.median, answer.share)
    np.testing.assert_array_equal(line.left.median, answer.median_factor)
    np.testing.assert_array_equal(line.least, answer.least_factor)
    assert line.engaged.median[0] == 1.0
    assert line.engaged.median[-1] == 0.0
    assert [percentile for percentile, _ in found.percentiles] == [99, 90, 50]


def test_several_runs_share_their_thresholds_and_have_no_percentiles_drawn() -> None:
    found = what_if.prepare_norm([run(np.full(5, 0.1), 0, spec={"cell": "gru"}), run(np.full(5, 100.0), 1)])
    assert found.thresholds[0] <= 0.1 <= 100 <= found.thresholds[-1]
    assert [line.engaged.median[0] for line in found.lines] == [1.0, 1.0]
    assert found.percentiles == ()


def test_over_seeds_it_is_the_median_in_a_band_from_the_lowest_to_the_highest() -> None:
    runs = [run(np.full(4, norm), seed) for seed, norm in enumerate((1.0, 3.0, 9.0))]
    found = what_if.prepare_norm(runs, over_seeds=True)
    (line,) = found.lines
    k = int(np.argmin(np.abs(found.thresholds - 2.0)))
    assert (line.engaged.low[k], line.engaged.median[k], line.engaged.high[k]) == (0.0, 1.0, 1.0)
    assert "over the seeds" in found.origin.caption


def test_a_threshold_beyond_all_norms_is_on_the_axis_and_marked() -> None:
    found = what_if.prepare_norm([run(np.array([0.5, 1.0]))], at=500.0)
    assert found.thresholds[-1] >= 500
    figure = what_if.draw(found)
    assert next(shape.x0 for shape in figure.layout.shapes) == 500.0
    assert "<b>500</b>" in [annotation.text for annotation in figure.layout.annotations]


@pytest.mark.parametrize("pre", [np.zeros(3), np.array([1e-300, 1e300, 0.0]), np.array([np.inf, np.nan, 2.0])])
def test_odd_norms_make_a_figure(pre: np.ndarray) -> None:
    found = what_if.prepare_norm([run(pre)])
    assert len(found.lines) == 1
    assert len(found.thresholds) <= 24 * 24 + 1
    what_if.draw(found)
    assert "steps" in what_if.describe(found)


def test_by_value_is_exact_at_the_edges_and_shows_where_something_happens() -> None:
    one = run(np.ones(30))
    found = what_if.prepare_value([one])
    (line,) = found.lines
    answer = by_value(one.records["grad_sizes"])
    places = np.searchsorted(EDGES.astype(float), found.thresholds)
    np.testing.assert_allclose(line.left.median, np.median(answer.cosine, axis=0)[places])
    np.testing.assert_allclose(line.engaged.median, np.median(answer.share, axis=0)[places])
    assert line.engaged.high[-1] == 0.0
    assert line.engaged.high[-3] > 0.0
    assert (line.left.low <= line.left.median).all()


def test_a_run_without_the_sizes_says_so_and_by_norm_still_works() -> None:
    old = without_sizes(run(np.ones(3)))
    found = what_if.prepare_value([old])
    assert found.lines == ()
    text = what_if.draw(found).layout.annotations[0].text.replace("<br>", " ")
    assert text.startswith("This run was recorded without the sizes of the gradient's entries")
    assert len(what_if.prepare_norm([old]).lines) == 1


def test_beside_a_newer_run_an_old_one_is_named_as_lacking() -> None:
    old, new = replace(without_sizes(run(np.ones(3))), name="old"), replace(run(np.ones(3), 1), name="new")
    found = what_if.prepare_value([old, new])
    assert [line.label for line in found.lines] == ["new"]
    assert found.lacking == ("old",)
    assert "old: nothing recorded" in what_if.describe(found)


def test_a_gradient_of_zeros_has_nothing_to_cut() -> None:
    one = run(np.ones(3))
    zeros = np.stack([entry_sizes(np.zeros(4, np.float32))] * 3)
    found = what_if.prepare_value([replace(one, records=Records({**one.records, "grad_sizes": zeros}))])
    assert found.nothing == "No recorded gradient is finite and above 0: there is nothing to cut."
    assert found.lines == ()


@pytest.mark.parametrize("norm", [1e26, 1e-26, 5e11])
def test_the_axis_ends_where_no_run_can_be_asked(norm: float) -> None:
    found = what_if.prepare_norm([run(np.full(4, norm))])
    assert found.thresholds[0] >= THRESHOLD_LEAST * (1 - 1e-9)
    assert found.thresholds[-1] <= THRESHOLD_MOST * (1 + 1e-9)
    what_if.draw(found)


def test_what_is_said_is_what_is_drawn() -> None:
    found = what_if.prepare_norm([run(np.array([0.5, 2.0, 4.0, 8.0]))], at=1.0)
    assert "at 1, 75 % of the steps, norm after ÷ before 0.25" in what_if.describe(found)


def test_a_story_in_both_kinds() -> None:
    for prepare in (what_if.prepare_norm, what_if.prepare_value):
        found = prepare(story(count=10))
        assert len(found.lines) == 4
        assert math.isnan(found.at)
