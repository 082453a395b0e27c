import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.measures.decay import decay, half_life


@pytest.mark.parametrize("alpha", [0.25, 0.61, 0.999, 1.0, 1.3])
def test_a_geometric_profile_gives_its_own_factor(alpha: float) -> None:
    fit = decay(0.07 * alpha ** np.arange(120.0))
    assert fit.factor == pytest.approx(alpha, rel=1e-12)
    assert (fit.used, fit.zeros, fit.non_finite) == (120, 0, 0)


def test_the_slope_is_numpys_least_squares_slope() -> None:
    rng = np.random.default_rng(0)
    phi = np.exp(rng.normal(0, 2, 50))
    assert math.log(decay(phi).factor) == pytest.approx(np.polyfit(np.arange(50), np.log(phi), 1)[0], rel=1e-10)


def test_what_has_no_logarithm_is_left_out_and_counted() -> None:
    phi = 0.5 ** np.arange(10.0)
    phi[[3, 7]], phi[4], phi[5] = 0.0, np.nan, np.inf
    fit = decay(phi)
    assert fit.factor == pytest.approx(0.5, rel=1e-12)
    assert (fit.used, fit.zeros, fit.non_finite) == (6, 2, 2)


@pytest.mark.parametrize("phi", [[], [1.0], [0.0, 0.0], [1.0, np.nan, 0.0]])
def test_fewer_than_two_values_give_no_factor(phi: list[float]) -> None:
    assert math.isnan(decay(np.array(phi)).factor)


def test_a_slope_beyond_float64_is_infinite_not_an_error() -> None:
    assert decay(np.array([1e-308, 1e308])).factor == math.inf


@given(st.lists(st.floats(1e-20, 1e20), min_size=2, max_size=40), st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(values: list[float], scale: float) -> None:
    phi = np.array(values)
    assert math.log(decay(phi * scale).factor) == pytest.approx(math.log(decay(phi).factor), rel=1e-6, abs=1e-9)


@given(st.floats(0.01, 0.999))
def test_after_a_half_life_half_is_left(factor: float) -> None:
    assert factor ** half_life(factor) == pytest.approx(0.5, rel=1e-9)


def test_the_ends_of_the_half_life() -> None:
    assert half_life(0.5) == 1.0
    assert half_life(0.0) == 0.0
    assert half_life(1.0) == half_life(1.7) == math.inf
    assert math.isnan(half_life(math.nan))
    with pytest.raises(ValueError, match=r"factor must be at least 0, but got -0.1"):
        half_life(-0.1)


def test_what_is_no_profile_of_norms_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold norms, which are at least 0, but got -1"):
        decay(np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be one row, but got the shape"):
        decay(np.ones((2, 2)))
