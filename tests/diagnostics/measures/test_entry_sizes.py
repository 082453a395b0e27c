import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diagnostics.measures.entry_sizes import BINS, EDGES, NOT_MEASURED, entry_sizes

FINITE = st.floats(-(2.0**127), 2.0**127, width=32)
GRADIENTS = arrays.arrays(np.float32, st.integers(0, 50), elements=FINITE | st.sampled_from([*EDGES.tolist(), 0.0]))


def searched(values: np.ndarray) -> np.ndarray:
    """The same sums by a search for every entry, one edge after the other."""
    size = np.abs(values).astype(np.float64)
    lows = [-1.0, *EDGES.astype(np.float64)]
    highs = [*EDGES.astype(np.float64), np.inf]
    inside = [size[(low < size) & (size <= high)] for low, high in zip(lows, highs, strict=True)]
    return np.array([[len(part), part.sum(), (part**2).sum()] for part in inside])


@given(GRADIENTS)
def test_every_entry_is_in_the_bin_that_a_search_finds(values: np.ndarray) -> None:
    np.testing.assert_allclose(entry_sizes(values), searched(values), rtol=1e-12)


def test_many_entries_of_any_shape_over_all_sizes() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(3, 7001)) * 10.0 ** rng.uniform(-44, 38, (3, 7001))).astype(np.float32)
    found = entry_sizes(values)
    assert found.shape == (BINS, 3)
    np.testing.assert_allclose(found, searched(values.ravel()), rtol=1e-9)
    assert found[:, 0].sum() == values.size


@pytest.mark.parametrize("edge", EDGES)
def test_an_entry_at_an_edge_is_below_it_and_its_neighbour_is_not(edge: np.float32) -> None:
    at, above = entry_sizes(np.array([-edge])), entry_sizes(np.array([np.nextafter(edge, np.float32(np.inf))]))
    k = int(np.flatnonzero(edge == EDGES)[0])
    assert at[k, 0] == above[k + 1, 0] == 1


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 9000])
def test_one_entry_that_is_not_finite_says_that_nothing_is_known(odd: float, place: int) -> None:
    values = np.ones(10_000, np.float32)
    values[place] = odd
    assert np.isnan(entry_sizes(values)).all()


def test_what_stands_for_nothing_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        NOT_MEASURED[0, 0] = 1.0
