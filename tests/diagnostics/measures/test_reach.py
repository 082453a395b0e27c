import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.measures.reach import reach

profiles = st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.61, 0.9, 0.97])
def test_a_geometric_profile_reaches_as_far_as_the_closed_form_says(alpha: float) -> None:
    expected = int(np.floor(np.log(0.01) / np.log(alpha))) + 1  # the first k with α^k < 0.01
    assert reach(0.3 * alpha ** np.arange(400.0)) == expected


def test_a_profile_that_stays_up_reaches_all_the_way() -> None:
    assert reach(np.ones(45)) == 44
    assert reach(1.1 ** np.arange(45.0)) == 44


def test_the_value_of_exactly_the_threshold_is_not_below_it() -> None:
    assert reach(np.array([1.0, 0.01, 0.0099, 1.0])) == 2


def test_a_dip_ends_the_reach_even_where_the_gradient_comes_back() -> None:
    assert reach(np.array([1.0, 0.5, 0.0, 0.5, 0.5])) == 2


def test_nan_is_not_below_and_infinity_is_above() -> None:
    assert reach(np.array([1.0, np.nan, np.inf, 0.001])) == 3


def test_a_single_step_has_nowhere_to_go() -> None:
    assert reach(np.array([0.2])) == 0


@given(profiles, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(profile: np.ndarray, scale: float) -> None:
    # A power of two keeps the comparison exact; any other scale may round a value onto the threshold.
    assert reach(profile * 2.0 ** np.round(np.log2(scale))) == reach(profile)


@given(profiles, st.floats(1e-6, 1.0), st.floats(1e-6, 1.0))
def test_a_lower_threshold_never_shortens_the_reach(profile: np.ndarray, one: float, other: float) -> None:
    assert reach(profile, min(one, other)) >= reach(profile, max(one, other))


@pytest.mark.parametrize("at_loss", [0.0, np.nan, np.inf])
def test_a_profile_without_a_value_at_the_loss_is_refused(at_loss: float) -> None:
    with pytest.raises(ValueError, match="must begin with a finite positive value at the loss, but got"):
        reach(np.array([at_loss, 1.0]))


def test_an_empty_profile_and_an_absurd_threshold_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one row of at least one value, but got the shape"):
        reach(np.empty(0))
    with pytest.raises(ValueError, match="threshold must be above 0 and at most 1, but got 2"):
        reach(np.ones(3), 2.0)
