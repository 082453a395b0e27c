import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diagnostics.measures.band import PERCENTILES, band


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=1, max_dims=3, max_side=7), elements=st.floats(0, 1e12)))
def test_numbers_have_the_percentiles_of_numpy(samples: np.ndarray) -> None:
    expected = np.moveaxis(np.percentile(samples, [5, 50, 95], axis=-1), 0, -1)
    np.testing.assert_allclose(band(samples), expected, rtol=1e-12, atol=1e-12)


def test_a_nan_among_the_samples_is_never_left_out() -> None:
    result = band(np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]]))
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1]).all()


def test_infinities_are_ordered_like_numbers() -> None:
    low, middle, high = band(np.array([1.0, 2.0, 3.0, np.inf, np.inf]))
    assert low == pytest.approx(1.2)
    assert middle == 3.0
    assert high == np.inf
    assert band(np.full(4, np.inf)).tolist() == [np.inf] * 3


@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=1, max_dims=2, max_side=70),
        elements=st.one_of(st.floats(0, 1e300), st.sampled_from([0.0, 1.0, np.inf])),
    )
)
def test_each_percentile_is_interpolated_between_its_two_neighbours(samples: np.ndarray) -> None:
    """The definition, one number at a time."""
    for row, found in zip(np.atleast_2d(samples), np.atleast_2d(band(samples)), strict=True):
        ordered = sorted(row.tolist())
        for share, value in zip(PERCENTILES, found, strict=True):
            place = share * (len(ordered) - 1)
            low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
            part = place - int(place)
            expected = low if part == 0 or low == high else (1 - part) * low + part * high
            assert value == expected or value == pytest.approx(expected, rel=1e-15, abs=1e-322)


def test_samples_are_left_as_they_are_unless_they_may_be_overwritten() -> None:
    samples = np.array([[3.0, 1.0, 2.0], [5.0, 4.0, 6.0]])
    kept = samples.copy()
    expected = band(samples)
    assert (samples == kept).all()
    assert (band(samples, overwrite=True) == expected).all()
    assert (samples == np.sort(kept, axis=-1)).all()
