from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import heatmap
from diagnostics.records import COLUMNS, Records, Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of, seeds_story, story

FACTS = facts_of(45, 40)


def test_rows_are_profiles_and_columns_timesteps() -> None:
    profiles = np.vstack([powers(0.5, 44, 1), powers(0.9, 44, 1)])
    prepared = heatmap.prepare([run_of(profiles, facts=FACTS)])
    lag = 44 - np.arange(45)
    np.testing.assert_allclose(prepared.ratio, [0.5**lag, 0.9**lag], rtol=1e-12)
    np.testing.assert_array_equal(prepared.training_steps, [0, 19])
    np.testing.assert_array_equal(prepared.timesteps, np.arange(45))
    assert prepared.block == (1, 1)
    assert "each cell" not in prepared.origin.caption


def test_what_is_too_much_is_reduced_by_blocks_and_says_so() -> None:
    facts = facts_of(1300, 1200)
    rng = np.random.default_rng(0)
    profiles = np.exp(rng.normal(size=(1001, 1300)))
    prepared = heatmap.prepare([run_of(profiles, facts=facts)])
    assert prepared.ratio.shape[0] <= 400
    assert prepared.ratio.shape[1] <= 600
    assert prepared.block == (3, 3)
    assert "each cell the median of 3 profiles × 3 timesteps" in prepared.origin.caption
    ratio = (profiles / profiles[:, :1])[:, ::-1]
    assert prepared.ratio[5, 7] == pytest.approx(np.median(ratio[15:18, 21:24]))
    assert prepared.timesteps[7] == 22


def test_zeros_infinities_and_nan_are_drawn_apart_and_counted() -> None:
    profiles = powers(0.9, 44, 10)
    profiles[:, 40:], profiles[3, 10], profiles[4, 10] = 0.0, np.inf, np.nan
    prepared = heatmap.prepare([run_of(profiles, facts=FACTS)])
    figure = heatmap.draw(prepared)
    legend = {trace.name for trace in figure.data if trace.showlegend}
    assert legend == {
        "exactly 0 (11 % of the cells)",
        "infinite (0.2 % of the cells)",
        "not a number (0.2 % of the cells)",
    }
    values, *special = (np.asarray(trace.z) for trace in figure.data if trace.type == "heatmap")
    covered = np.isfinite(values).astype(int) + sum(np.isfinite(z).astype(int) for z in special)
    assert (covered == 1).all()


def test_a_zero_at_the_loss_is_zero_and_makes_the_rest_incomparable() -> None:
    profiles = powers(0.9, 44, 2)
    profiles[1, 0] = 0.0
    prepared = heatmap.prepare([run_of(profiles, facts=FACTS)])
    assert prepared.ratio[1, 44] == 0.0
    assert np.isnan(prepared.ratio[1, :44]).all()


def test_the_colours_are_the_same_for_every_run() -> None:
    axes = [heatmap.draw(heatmap.prepare([run])).layout.coloraxis for run in story()]
    assert len({(axis.cmin, axis.cmax, str(axis.colorscale)) for axis in axes}) == 1


def test_it_takes_exactly_one_run() -> None:
    with pytest.raises(
        ValueError, match="runs must be one run, or differ only in their seed, for a heatmap, but got 4"
    ):
        heatmap.prepare(story())


def test_one_profile_is_enough() -> None:
    figure = heatmap.draw(heatmap.prepare([run_of(powers(0.9, 44, 1), facts=FACTS)]))
    low, high = figure.layout.yaxis.range
    assert low < high


def test_before_the_first_profile_it_waits() -> None:
    figure = heatmap.draw(heatmap.prepare([run_of(np.empty((0, 45)), facts=FACTS, loss=np.empty(0), state="running")]))
    assert "Waiting" in figure.layout.annotations[0].text


def test_one_profile_is_counted_as_one() -> None:
    caption = heatmap.prepare([run_of(powers(0.9, 44, 1), facts=FACTS)]).origin
    assert caption.caption.endswith("1 profile, training step 0")
    assert caption.facts["reduction"] == "median over the batch"


def seeds(*profiles: np.ndarray) -> list[Run]:
    """Runs that differ in their seed alone, with the same number of profiles each."""
    return [
        run_of(rows, facts=FACTS, run_id=f"r-{n}", name=f"tanh · seed {n}", spec={"cell": "tanh", "seed": n})
        for n, rows in enumerate(profiles)
    ]


def cut(run: Run, profiles: int) -> Run:
    """The run as if it had ended after so many profiles."""
    kept = {n: v[:profiles] if COLUMNS[n].stream == "profile" else v for n, v in run.records.items()}
    return replace(run, records=Records(kept))


def test_over_seeds_each_cell_is_the_median_of_theirs_and_it_says_so() -> None:
    runs = seeds_story()[:3]
    prepared = heatmap.prepare(runs)
    alone = np.stack([heatmap.prepare([run]).ratio for run in runs])
    np.testing.assert_array_equal(prepared.ratio, np.median(alone, axis=0))
    assert prepared.title == "Every timestep, through training: tanh · 3 seeds"
    assert "median over the batch, then over 3 seeds · pre-clip" in prepared.origin.caption
    assert prepared.origin.run_ids == tuple(run.id for run in runs)
    assert heatmap.prepare(runs[:1]).origin.revision() != prepared.origin.revision()


def test_a_seed_that_ended_counts_as_far_as_it_came() -> None:
    first, *others = seeds(*(powers(rate, 44, 4) for rate in (0.5, 0.6, 0.8)))
    prepared = heatmap.prepare([cut(first, 2), *others])
    lag = 44 - np.arange(45)
    np.testing.assert_array_equal(prepared.training_steps, [0, 13, 26, 39])
    np.testing.assert_allclose(prepared.ratio[:2], [0.6**lag] * 2, rtol=1e-12)
    np.testing.assert_allclose(prepared.ratio[2:], [(0.6**lag + 0.8**lag) / 2] * 2, rtol=1e-12)
    assert "then over 3 seeds, of which the first ends at step 13 · pre-clip" in prepared.origin.caption


def test_a_seed_without_a_gradient_at_the_loss_counts_for_nothing_then_and_nan_in_one_that_counts_is_nan() -> None:
    one, two, three = (powers(rate, 44, 3) for rate in (0.5, 0.7, 0.9))
    one[0, 0] = np.nan  # at the loss: nothing can be compared
    two[1, 10] = np.nan
    for rows in (one, two, three):
        rows[2, 0] = 0.0  # of no seed
    prepared = heatmap.prepare(seeds(one, two, three))
    lag = 44 - np.arange(45)
    np.testing.assert_allclose(prepared.ratio[0], (0.7**lag + 0.9**lag) / 2, rtol=1e-12)
    assert np.flatnonzero(np.isnan(prepared.ratio[1])).tolist() == [34]
    assert prepared.ratio[2, 44] == 0.0
    assert np.isnan(prepared.ratio[2, :44]).all()


def test_seeds_that_have_recorded_nothing_yet_are_counted_apart() -> None:
    *told, last = seeds(*(powers(rate, 44, 2) for rate in (0.5, 0.6, 0.7)))
    prepared = heatmap.prepare([*told, replace(cut(last, 0), state="running")])
    assert "then over 2 of 3 seeds" in prepared.origin.caption
