import numpy as np
import pytest

from diagnostics.measures.timescale import distribution, time_scale


def test_the_time_scale_of_a_gate() -> None:
    np.testing.assert_allclose(time_scale(np.array([0.0, 0.5, 0.9])), [1, 2, 10])
    assert time_scale(np.array([1 / (1 + np.exp(-1))]))[0] == pytest.approx(3.718, abs=1e-3)  # forget bias 1
    assert np.isinf(time_scale(np.array([1.0]))[0])


def test_it_is_the_sum_of_what_is_left() -> None:
    f = 0.97
    assert time_scale(np.array(f)) == pytest.approx(sum(f**k for k in range(2000)))


@pytest.mark.parametrize("seed", range(5))
def test_every_value_is_counted_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate = 1 - 10 ** rng.uniform(-9, 0, (4, 50))
    gate[0, :3], gate[1, 0] = 1.0, np.nan
    found = distribution(gate)
    assert found.counts.sum() + found.forever + found.not_finite == gate.size
    assert (found.forever, found.not_finite) == (3, 1)
    tau = 1 / (1 - gate[np.isfinite(gate) & (gate < 1)])
    for low, high, count in zip(found.edges[:-1], found.edges[1:], found.counts, strict=True):
        assert count == ((tau >= low) & (tau < high)).sum()
    assert found.median == pytest.approx(np.median(np.append(tau, [np.inf] * 3)))


def test_bins_are_even_on_a_log_axis() -> None:
    found = distribution(np.array([0.5, 0.999]), per_decade=4)
    np.testing.assert_allclose(np.diff(np.log10(found.edges)), 0.25)
    assert found.edges[0] == 1.0
    assert found.edges[-1] >= 1000


def test_only_ones_and_nothing_at_all() -> None:
    only = distribution(np.ones(5))
    assert (only.forever, only.counts.sum(), only.median) == (5, 0, np.inf)
    none = distribution(np.array([np.nan]))
    assert (none.forever, none.not_finite) == (0, 1)
    assert np.isnan(none.median)


def test_what_is_no_gate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gate must lie within 0 to 1, but got 1\.5"):
        distribution(np.array([0.5, 1.5]))
