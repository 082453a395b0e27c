import numpy as np
import pytest

from diagnostics.measures.noise import signal_to_noise


def by_definition(delta: np.ndarray, states: np.ndarray) -> np.ndarray:
    """From every sample's own gradient and the covariance of all their entries."""
    T, B = states.shape[:2]
    each = B * np.einsum("tbgi,tbj->tbgij", delta, states).reshape(T, B, -1)
    mean = each.mean(axis=1)
    trace = each.var(axis=1, ddof=1).sum(axis=1)
    return (mean**2).sum(axis=1) / (trace / B)


@pytest.mark.parametrize(("B", "G", "H"), [(2, 1, 8), (5, 3, 12), (9, 4, 3)])
def test_it_is_the_mean_beside_the_covariance_of_the_samples_gradients(B: int, G: int, H: int) -> None:
    rng = np.random.default_rng(1)
    delta, states = rng.normal(size=(6, B, G, H)), rng.normal(size=(6, B, H))
    np.testing.assert_allclose(signal_to_noise(delta, states), by_definition(delta, states), rtol=1e-10)
    np.testing.assert_allclose(signal_to_noise(1e-180 * delta, states), by_definition(delta, states), rtol=1e-10)
    np.testing.assert_allclose(signal_to_noise(1e180 * delta, states), by_definition(delta, states), rtol=1e-10)


def test_samples_with_nothing_in_common_give_about_one() -> None:
    rng = np.random.default_rng(2)
    found = signal_to_noise(rng.normal(size=(200, 16, 1, 20)), rng.normal(size=(200, 16, 20)))
    assert abs(found.mean() - 1) < 0.02


def test_samples_that_agree_to_rounding_have_no_noise() -> None:
    rng = np.random.default_rng(3)
    delta = np.repeat(rng.normal(size=(2, 1, 1, 6)), 3, axis=1)
    states = np.repeat(rng.normal(size=(2, 1, 6)), 3, axis=1)
    np.testing.assert_array_equal(signal_to_noise(delta, states), [np.inf, np.inf])


def test_nothing_to_compare_is_not_a_number() -> None:
    delta, states = np.ones((3, 2, 1, 4)), np.ones((3, 2, 4))
    states[0] = 0
    delta[1, 0, 0, 0] = np.nan
    delta[2, 0, 0, 0] = np.inf
    assert np.isnan(signal_to_noise(delta, states)).all()
    assert np.isnan(signal_to_noise(delta[:, :1], states[:, :1])).all()
