import numpy as np
import pytest

from diagnostics.charts import profile
from diagnostics.charts.rails import rails_of
from tests.diagnostics.charts.samples import facts_of, powers, run_of, story

FACTS = facts_of(45, 40)


def test_ratios_and_bands_are_to_the_median_at_the_loss() -> None:
    (line,) = profile.prepare([run_of(powers(0.8, 44), facts=FACTS, band=(0.5, 3.0))]).lines
    k = np.arange(45)
    np.testing.assert_allclose(line.median, 0.8**k, rtol=1e-12)
    np.testing.assert_allclose(line.low, 0.5 * 0.8**k, rtol=1e-12)
    np.testing.assert_allclose(line.high, 3.0 * 0.8**k, rtol=1e-12)
    np.testing.assert_allclose(line.gradient, 0.1 * 0.8**k, rtol=1e-12)
    assert (line.word, line.distance) == ("“E”", 40)


def test_without_normalising_values_are_norms() -> None:
    prepared = profile.prepare([run_of(powers(0.8, 44), facts=FACTS)], normalise=False)
    np.testing.assert_allclose(prepared.lines[0].median, 0.1 * 0.8 ** np.arange(45), rtol=1e-12)
    assert prepared.origin.facts["unit"] == "l2"
    assert "l2 norm" in prepared.origin.caption


@pytest.mark.parametrize("normalise", [True, False])
def test_what_a_log_axis_cannot_show_stands_on_rails(normalise: bool) -> None:
    values = powers(0.9, 44, 1)
    values[0, 10:13], values[0, 20], values[0, 30:32] = 0.0, np.inf, np.nan
    prepared = profile.prepare([run_of(values, facts=FACTS)], normalise=normalise)
    rails = prepared.lines[0].rails
    assert [list(part) for part in rails] == [[10, 11, 12], [20], [30, 31]]
    drawn = {trace.name.split(": ")[1]: list(trace.x) for trace in profile.draw(prepared).data if trace.yaxis}
    assert {name: xs for name, xs in drawn.items() if xs} == {
        "exactly 0": [10, 11, 12],
        "infinite": [20],
        "not a number": [30, 31],
    }


def test_every_value_is_drawn_exactly_once() -> None:
    rng = np.random.default_rng(0)
    values = powers(0.9, 44, 1)
    values[0, 1:] = np.where(rng.random(44) < 0.3, rng.choice([0.0, np.inf, np.nan], 44), values[0, 1:])
    figure = profile.draw(profile.prepare([run_of(values, facts=FACTS)]))
    curve = next(trace for trace in figure.data if trace.mode == "lines+markers")
    on_axis = [int(x) for x, y in zip(curve.x, curve.y, strict=True) if np.isfinite(y)]
    on_rails = [int(x) for trace in figure.data if trace.mode == "markers" for x in trace.x]
    assert sorted(on_axis + on_rails) == list(range(45))


def test_rails_are_sorted_by_kind() -> None:
    rails = rails_of(np.arange(4), np.array([0.0, 1.0, np.inf, np.nan]))
    assert [list(part) for part in rails] == [[0], [2], [3]]


def test_the_axis_holds_every_value() -> None:
    prepared = profile.prepare([run_of(powers(0.3, 44), facts=FACTS), run_of(powers(1.2, 44), facts=FACTS)])
    low, high = prepared.decades
    assert 10.0**low <= 0.3**44
    assert 10.0**high >= 2.2 * 1.2**44


def test_values_below_float32_are_not_lost() -> None:
    figure = profile.draw(profile.prepare([run_of(powers(0.01, 44), facts=FACTS)]))
    curve = next(trace for trace in figure.data if trace.mode == "lines+markers")
    assert curve.y[44] == pytest.approx(1e-88)


def test_no_band_is_drawn_through_what_is_missing() -> None:
    values = powers(0.9, 44, 1)
    values[0, 20] = np.nan
    figure = profile.draw(profile.prepare([run_of(values, facts=FACTS)]))
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert [(min(band.x), max(band.x)) for band in bands] == [(0, 19), (21, 44)]


def test_texts_of_near_informative_steps_stand_in_different_rows() -> None:
    runs = [run_of(powers(0.9, 100), facts=facts_of(101, d), run_id=f"r-{d}") for d in (100, 42, 40, 39)]
    rows = {distance: row for distance, _, row in profile._places(profile.prepare(runs))}
    assert len({rows[39], rows[40], rows[42]}) == 3
    assert rows[100] == rows[39] == 0


def test_runs_of_one_task_share_one_mark() -> None:
    assert len(profile._places(profile.prepare(story()))) == 1


def test_it_is_said_in_words() -> None:
    said = profile.describe(profile.prepare([run_of(powers(0.61, 44), facts=FACTS, name="tanh <1>")]))
    assert "tanh <1>: falls below 1 % after 10 of 44 steps, “E” receives 2.6·10⁻⁹ of the gradient at the loss." in said
    assert "stays above 1 % for all 44 steps" in profile.describe(profile.prepare([run_of(powers(1, 44), facts=FACTS)]))
    dead = run_of(np.zeros((2, 45)), facts=FACTS)
    assert "the gradient at the loss is 0" in profile.describe(profile.prepare([dead]))


def test_the_explosion_of_a_run_that_broke_is_seen() -> None:
    recorded = powers(1.3, 44, 20)
    recorded[14:] = np.nan
    prepared = profile.prepare([run_of(recorded, facts=facts_of(45, 40), state="diverged", steps=20)])
    np.testing.assert_allclose(prepared.lines[0].median, 1.3 ** np.arange(45), rtol=1e-12)
    assert prepared.origin.facts["training_steps"] == {"r-000001": 13}
    assert prepared.origin.caption.endswith("training step 13, the last with a finite gradient; nan from step 14")
