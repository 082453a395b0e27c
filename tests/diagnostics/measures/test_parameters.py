import math

import numpy as np
import pytest

from diagnostics.measures.parameters import MOST_DECADES, histogram, norm, update_ratio


def test_every_entry_is_counted_once() -> None:
    rng = np.random.default_rng(0)
    tensors = [10.0 ** rng.uniform(-8, 3, size=shape) * rng.choice([-1, 1], size=shape) for shape in [(4, 5), (7,)]]
    tensors[0][0, :3] = [0, np.inf, np.nan]
    tensors[1][:2] = [-np.inf, -0.0]
    found = histogram(tensors)
    total = found.counts.sum(axis=1) + found.zeros + found.infs + found.nans
    assert total.tolist() == [20, 7]
    assert (found.zeros.tolist(), found.infs.tolist(), found.nans.tolist()) == ([1, 1], [1, 1], [1, 0])
    for row, values in zip(found.counts, tensors, strict=True):
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        np.testing.assert_array_equal(row, np.histogram(np.log10(sizes), found.edges)[0])


def test_edges_are_whole_and_half_powers_of_ten() -> None:
    found = histogram([np.array([0.2, 1.0, 5.0, 1e-3])])
    np.testing.assert_array_equal(found.edges, np.arange(-3, 1.5, 0.5))
    assert found.counts.tolist() == [[1, 0, 0, 0, 1, 0, 1, 1]]


def test_nothing_to_bin_is_one_empty_bin() -> None:
    found = histogram([np.zeros(3), np.array([np.nan])])
    assert found.counts.tolist() == [[0], [0]]
    assert found.edges.tolist() == [0, 0.5]


def test_a_span_that_nobody_can_read_is_cut_and_nothing_is_dropped() -> None:
    found = histogram([np.array([5e-324, 1e-200, 1.0, 1e300])])
    assert len(found.edges) == 2 * MOST_DECADES + 1
    assert found.counts.sum() == 4
    assert found.counts[0, 0] == 3


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_norms_keep_their_range(size: float) -> None:
    assert norm(size * np.array([[3.0, 4.0]])) == pytest.approx(5 * size, rel=1e-14)


def test_norms_of_what_is_not_finite() -> None:
    assert norm(np.array([1.0, -np.inf])) == math.inf
    assert math.isnan(norm(np.array([1.0, np.nan, np.inf])))
    assert norm(np.zeros(2)) == norm(np.empty(0)) == 0


def test_the_update_beside_the_parameter() -> None:
    before = np.array([3.0, 4.0], np.float32)
    assert update_ratio(before, before + np.array([0.0, 0.5], np.float32)) == pytest.approx(0.1)
    assert math.isnan(update_ratio(np.zeros(2), np.ones(2)))
