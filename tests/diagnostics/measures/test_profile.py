import numpy as np
import pytest

from diagnostics.measures.profile import bands_by_lag, middle, profile_column, typical_profile
from diagnostics.records import Records


def records(median: np.ndarray, **more: np.ndarray) -> Records:
    """Profiles ``[P, T]`` over time in the top layer of two; the bottom layer holds something else."""
    top = np.stack([median * 0.5, median, median * 2], axis=-1)
    return Records({"profile_step": np.arange(len(median)) * 5, "state_grad": np.stack([top + 9, top], axis=1), **more})


def test_lag_runs_back_from_the_loss_in_the_top_layer() -> None:
    over_time = np.arange(14.0).reshape(2, 7)
    band = bands_by_lag(records(over_time), loss_step=4)
    np.testing.assert_array_equal(band.median, over_time[:, [4, 3, 2, 1, 0]])
    np.testing.assert_array_equal(band.p05, 0.5 * band.median)
    np.testing.assert_array_equal(band.p95, 2 * band.median)


def test_the_answers_own_gradient_is_taken_where_there_is_one() -> None:
    over_time = np.ones((3, 4))
    answer = np.full((3, 2, 4, 3), 7.0)
    both = records(over_time, answer_grad=answer)
    assert profile_column(both) == "answer_grad"
    assert (bands_by_lag(both, 3).median == 7).all()


def test_no_profiles_give_no_rows() -> None:
    assert bands_by_lag(Records.empty(), 4).median.shape == (0, 5)
    assert typical_profile(Records.empty(), 4).values.size == 0


def test_a_loss_step_that_was_not_recorded_is_refused() -> None:
    with pytest.raises(ValueError, match="loss_step must be a recorded timestep below 4, but got 4"):
        bands_by_lag(records(np.ones((1, 4))), 4)


def test_the_typical_profile_is_the_median_over_the_last_tenth() -> None:
    rng = np.random.default_rng(0)
    over_time = np.exp(rng.normal(size=(45, 6)))
    found = typical_profile(records(over_time), 5)
    np.testing.assert_allclose(found.values, np.median(over_time[-5:], axis=0)[::-1], rtol=1e-15)
    np.testing.assert_array_equal(found.steps, [200, 205, 210, 215, 220])
    assert found.at_end


def test_records_without_a_gradient_at_the_loss_are_passed_over() -> None:
    over_time = np.ones((20, 3))
    over_time[-1, -1] = 0.0
    over_time[-2] = 5.0
    found = typical_profile(records(over_time), 2)
    np.testing.assert_array_equal(found.values, [5.0, 5.0, 5.0])
    assert found.at_end


def test_where_the_last_tenth_has_none_the_newest_usable_stand_in() -> None:
    over_time = np.tile(np.arange(1.0, 21.0)[:, None], (1, 3))
    over_time[-4:, -1] = 0.0
    found = typical_profile(records(over_time), 2)
    np.testing.assert_array_equal(found.values, [15.5, 15.5, 15.5])  # the 15th and 16th of 20
    assert not found.at_end


@pytest.mark.parametrize("at_loss", [0.0, np.nan, np.inf])
def test_without_any_gradient_at_the_loss_there_is_no_typical_profile(at_loss: float) -> None:
    over_time = np.ones((20, 3))
    over_time[:, -1] = at_loss
    assert typical_profile(records(over_time), 2).values.size == 0


def test_the_median_keeps_infinities_and_nan() -> None:
    rows = np.array([[1.0, 1.0, np.inf, 2.0], [2.0, np.inf, np.inf, np.nan], [3.0, np.inf, 0.0, 1.0]])
    np.testing.assert_array_equal(middle(rows), [2.0, np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(middle(rows[:2]), [1.5, np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(middle(np.full((2, 1), 1.7e308)), [1.7e308])
    assert np.isnan(middle(np.array([[np.inf], [-np.inf]]))).all()  # between opposite ends there is no middle
