"""The figures with runs that differ only in their seed drawn as one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import clipping, learning, profile, ribbon
from diagnostics.charts.bands import stretches
from diagnostics.charts.gallery import FIGURES
from diagnostics.charts.series import NAN
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of, seeds_story
from tests.diagnostics.charts.test_gallery import odd_runs

TOGETHER = [FIGURES[key] for key in ("ribbon", "profile", "learning", "clipping")]
EACH = pytest.mark.parametrize("figure", TOGETHER, ids=[figure.key for figure in TOGETHER])


@EACH
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_draws_groups_and_names_all_their_runs(figure, theme: str) -> None:
    runs = seeds_story()
    prepared = figure.prepare(runs, over_seeds=True)
    found = figure.draw(prepared, theme=theme)
    assert found.layout.meta["runs"] == [run.id for run in runs]
    assert found.layout.meta["over_seeds"] is True
    said = figure.accessible_name(prepared)
    assert "tanh · 3 seeds" in said
    assert "lstm · 3 seeds" in said
    assert "seed 1" not in found.to_json()
    names = {trace.name for trace in found.data if trace.showlegend is not False and trace.name}
    if figure.key in ("profile", "learning"):
        assert names == {"tanh · 3 seeds", "lstm · 3 seeds"}


@EACH
def test_a_zoom_is_let_go_where_other_lines_are_drawn(figure) -> None:
    runs = seeds_story()
    each, together = (figure.draw(figure.prepare(runs, over_seeds=how)).layout.uirevision for how in (False, True))
    assert each != together


@EACH
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 2], [1, 4], [3]])
def test_seeds_with_everything_wrong_break_no_figure(figure, order: list[int]) -> None:
    wrong = [replace(run, spec={"cell": "tanh", "seed": i}) for i, run in enumerate(odd_runs())]
    prepared = figure.prepare([wrong[i] for i in order], over_seeds=True)
    text = figure.draw(prepared).to_json()
    json.loads(text)
    assert "Infinity" not in text
    assert figure.accessible_name(prepared)


@EACH
def test_one_seed_of_each_says_what_each_run_said(figure) -> None:
    runs = seeds_story((0,))
    together, each = (figure.accessible_name(figure.prepare(runs, over_seeds=how)) for how in (True, False))
    for run in runs:
        assert run.name in together
    assert len(together) >= len(each)


def test_a_profile_is_the_median_of_ratios_between_the_least_and_the_greatest() -> None:
    tanh = profile.prepare(seeds_story(), over_seeds=True).lines[0]
    k = np.arange(len(tanh.median))
    np.testing.assert_allclose(tanh.median, 0.68**k, rtol=1e-12)
    np.testing.assert_allclose(tanh.low, 0.66**k, rtol=1e-12)
    np.testing.assert_allclose(tanh.high, 0.70**k, rtol=1e-12)


def test_each_seed_is_divided_by_its_own_value_at_the_loss() -> None:
    facts = facts_of(9, 6)
    runs = [run_of(powers(0.5, 8, 2, scale), facts=facts, run_id=f"r-{scale}", spec={"seed": i})
            for i, scale in enumerate((1e-3, 1.0, 1e3))]  # fmt: skip
    line = profile.prepare(runs, over_seeds=True).lines[0]
    np.testing.assert_allclose(line.low, line.high, rtol=1e-12)
    raw = profile.prepare(runs, normalise=False, over_seeds=True).lines[0]
    assert (raw.low[0], raw.median[0], raw.high[0]) == (1e-3, 1.0, 1e3)


def test_a_seed_without_a_gradient_at_the_loss_is_left_out_and_said() -> None:
    facts = facts_of(9, 6)
    good = [run_of(powers(0.5, 8, 2), facts=facts, name=f"tanh · seed {i}", run_id=f"r-{i}", spec={"seed": i})
            for i in (0, 1)]  # fmt: skip
    bad = run_of(np.full((2, 9), np.nan), facts=facts, name="tanh · seed 2", run_id="r-2", spec={"seed": 2})
    waiting = Run("r-3", "tanh · seed 3", "queued", {**good[0].spec, "seed": 3}, None, Records.empty())
    prepared = profile.prepare([*good, bad, waiting], over_seeds=True)
    assert "1 of 4 left out, with no finite gradient at the loss" in prepared.origin.caption
    assert "1 of 4 without a profile yet" in prepared.origin.caption
    np.testing.assert_allclose(prepared.lines[0].median, 0.5 ** np.arange(9), rtol=1e-12)
    assert list(prepared.origin.facts["training_steps"]) == ["r-0", "r-1"]


def test_nan_in_one_seed_is_a_mark_and_zeros_in_most_are_zeros() -> None:
    facts = facts_of(9, 6)
    rows = [powers(0.5, 8, 1) for _ in range(3)]
    rows[0][0, 4] = np.nan
    rows[0][0, 6] = rows[1][0, 6] = 0.0
    runs = [run_of(row, facts=facts, run_id=f"r-{i}", spec={"seed": i}) for i, row in enumerate(rows)]
    line = profile.prepare(runs, over_seeds=True).lines[0]
    assert [list(part) for part in line.rails] == [[6], [], [4]]


def test_the_ribbon_is_the_median_over_seeds() -> None:
    found = ribbon.prepare(seeds_story(), over_seeds=True).ribbons
    assert len(found) == 2
    np.testing.assert_allclose(found[0].ratio[::-1], 0.68 ** np.arange(49), rtol=1e-12)


def test_learning_goes_on_with_the_seeds_that_came_so_far() -> None:
    facts = facts_of(9, 6)
    short = run_of(powers(0.5, 8, 2), facts=facts, run_id="r-0", spec={"seed": 0, "steps": 9}, name="tanh · seed 0",
                   loss=np.array([2.0, 1.0, np.nan]), success=(0.25,), state="diverged")  # fmt: skip
    long = run_of(powers(0.5, 8, 2), facts=facts, run_id="r-1", spec={"seed": 1, "steps": 9}, name="tanh · seed 1",
                  loss=np.linspace(4, 0, 9), success=(0.75, 0.5, 1.0))  # fmt: skip
    prepared = learning.prepare([short, long], over_seeds=True)
    curve = prepared.curves[0]
    np.testing.assert_allclose(curve.loss, [3.0, 2.25, *np.linspace(4, 0, 9)[2:]])
    np.testing.assert_array_equal(curve.eval_step, [0, 4, 8])
    np.testing.assert_array_equal(curve.eval_success.median, [0.5, 0.5, 1.0])
    np.testing.assert_array_equal(curve.eval_success.seeds, [2, 1, 1])
    assert curve.broken == ((2, NAN, "seed 0"),)
    assert "tanh · 2 seeds: 1 of 2 came to step 9" in prepared.origin.caption
    assert "seed 0 loss not a number at training step 2" in learning.describe(prepared)
    assert "success 100 %" in learning.describe(prepared)


def test_clipping_is_told_over_seeds() -> None:
    facts = facts_of(9, 6)
    norms = ([0.5, 2.0, 4.0, 1.0], [0.5, 0.5, 4.0, 0.0], [2.0, 2.0])
    runs = [
        run_of(
            powers(0.5, 8, 2),
            facts=facts,
            run_id=f"r-{i}",
            spec={"seed": i, "steps": 4},
            loss=np.ones(len(pre)),
            pre=np.array(pre),
        )
        for i, pre in enumerate(norms)
    ]
    panel = clipping.prepare(runs, over_seeds=True).panels[0]
    np.testing.assert_array_equal(panel.pre, [0.5, 2.0, 4.0, 1.0])
    assert panel.pre_range is not None
    np.testing.assert_array_equal(panel.pre_range.low, [0.5, 0.5, 4.0, 1.0])
    np.testing.assert_array_equal(panel.pre_range.high, [2.0, 2.0, 4.0, 1.0])
    assert list(panel.rails.zeros) == [3]
    assert panel.remark == "clipped on 50 % (25 % to 100 %) of the steps, by norm at 1"


def test_stretches_are_the_runs_of_true() -> None:
    assert stretches(np.array([True, True, False, True, False, True, True, True])) == [slice(0, 2), slice(5, 8)]
