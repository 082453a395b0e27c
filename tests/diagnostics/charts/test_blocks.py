import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.charts.blocks import block_edges, block_mean, block_median, block_peak, block_size


@given(st.integers(0, 3000), st.integers(1, 400))
def test_blocks_cover_everything_once_and_are_few(length: int, most: int) -> None:
    edges = block_edges(length, most)
    assert edges[-1] == length
    assert len(edges) - 1 <= most
    if length:
        assert edges[0] == 0
        sizes = np.diff(edges)
        assert (sizes[:-1] == block_size(length, most)).all()
        assert 0 < sizes[-1] <= block_size(length, most)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_cell_is_the_median_of_its_block(
    rows: int, columns: int, most_rows: int, most_columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(rows, columns))
    values[rng.random(values.shape) < 0.2] = 0.0
    values[rng.random(values.shape) < 0.02] = np.inf
    values[rng.random(values.shape) < 0.02] = np.nan
    reduced = block_median(values, most_rows, most_columns)
    high, wide = block_edges(rows, most_rows), block_edges(columns, most_columns)
    assert reduced.shape == (len(high) - 1, len(wide) - 1)
    for i, j in np.ndindex(reduced.shape):
        block = values[high[i] : high[i + 1], wide[j] : wide[j + 1]]
        if np.isnan(block).any():
            assert np.isnan(reduced[i, j])
        elif np.isinf(block).any():
            assert np.isinf(reduced[i, j])
        else:
            assert reduced[i, j] == pytest.approx(np.median(block), rel=1e-15)


def test_nothing_is_touched_where_nothing_needs_reducing() -> None:
    values = np.array([[0.0, np.inf], [np.nan, 1e-300]])
    np.testing.assert_array_equal(block_median(values, 400, 600), values)


def test_a_block_that_is_mostly_zero_is_exactly_zero() -> None:
    assert block_median(np.array([[0.0, 0.0, 3.0]]), 1, 1)[0, 0] == 0.0


def test_peaks_and_means_of_blocks() -> None:
    values = np.array([1.0, 9.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(block_peak(values, 3), [9.0, 3.0, 4.0])
    np.testing.assert_array_equal(block_mean(values, 3), [5.0, 2.5, 4.0])
    assert np.isnan(block_mean(np.array([1.0, np.nan]), 1)[0])
    assert block_peak(np.empty(0), 3).size == block_mean(np.empty(0), 3).size == 0


def test_no_blocks_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="most must be at least 1, but got 0"):
        block_edges(10, 0)
