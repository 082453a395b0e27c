import numpy as np
import pytest

from diagnostics.measures.jacobian import GATES, Trajectory
from diagnostics.measures.products import product_lags, product_singular_values
from tests.diagnostics.measures.trajectories import linear, orthogonal, problem, trajectory


def chained(rng: np.random.Generator, sizes: np.ndarray) -> np.ndarray:
    """[T,1,S,S]: J_t = Q_t D(sizes_t) Q_{t−1}ᵀ, so that every product has the products of sizes as singular values."""
    T, S = sizes.shape
    turns = [orthogonal(rng, S) for _ in range(T + 1)]
    return np.stack([turns[t + 1] @ np.diag(sizes[t]) @ turns[t].T for t in range(T)])[:, None]


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("seed", range(3))
def test_short_products_have_the_singular_values_of_the_product(cell: str, seed: int) -> None:
    T, B = 7, 2
    path = trajectory(cell, *problem(cell, T, B, 5, seed))
    lags = [1, 2, 3, 6]
    found = product_singular_values(path, 6, lags)
    for at, k in enumerate(lags):
        for b in range(B):
            product = np.linalg.multi_dot([np.eye(path.size), *(path.at(t)[b] for t in range(6, 6 - k, -1))])
            expected = np.linalg.svd(product, compute_uv=False)
            told = expected > 1e-12 * expected[0]  # what the direct product itself still knows
            np.testing.assert_allclose(10.0 ** found[at, b][told], expected[told], rtol=1e-3)
            np.testing.assert_allclose(10.0 ** found[at, b][:2], expected[:2], rtol=1e-9, atol=1e-15 * expected[0])


@pytest.mark.parametrize("alpha", [1e-3, 0.5, 1.0, 1.1, 1e3])
def test_a_scaled_rotation_to_any_power(alpha: float) -> None:
    W = alpha * orthogonal(np.random.default_rng(1), 6)
    path = Trajectory("identity", W, np.zeros((1001, 1, 6)))
    lags = product_lags(1000)
    found = product_singular_values(path, 1000, lags)[:, 0]
    np.testing.assert_allclose(found, np.log10(alpha) * lags[:, None] * np.ones(6), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("spread", [0.01, 0.3, 3.0, 12.0])
@pytest.mark.parametrize("seed", range(4))
def test_products_far_beyond_float64_are_known_to_the_smallest(spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    T, S = 300, 12
    log10 = -np.sort(-rng.uniform(-spread / 2, spread / 2, (T, S)), axis=1)
    path = linear(chained(rng, 10.0**log10))
    lags = product_lags(T - 1)
    found = product_singular_values(path, T - 1, lags)[:, 0]
    expected = np.stack([log10[T - k :].sum(axis=0) for k in lags])
    # One step can tell singular values apart to 2⁻⁵² of its largest; what it loses adds up over the steps.
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * 10**spread + 1e-9)


def test_singular_values_in_any_order_of_the_steps() -> None:
    """Directions that grow at one time and shrink at another, so that the largest is not the same throughout.

    Within 16 decades: what a product of rounded steps has lost in between, later growth cannot bring back.
    """
    rng = np.random.default_rng(3)
    log10 = rng.uniform(-0.7, 0.7, (64, 8))
    path = linear(chained(rng, 10.0**log10))
    found = product_singular_values(path, 63, [1, 8, 63])[:, 0]
    expected = [-np.sort(-log10[64 - k :].sum(axis=0)) for k in (1, 8, 63)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_direction_that_is_lost_is_exactly_zero_from_then_on() -> None:
    rng = np.random.default_rng(0)
    sizes = np.ones((20, 5))
    sizes[12, 4] = 0.0  # seven steps before the loss, at 19
    path = linear(chained(rng, sizes))
    found = product_singular_values(path, 19, [4, 7, 8, 19])[:, 0]
    np.testing.assert_allclose(found[:2], 0, atol=1e-12)
    np.testing.assert_allclose(found[2:, :4], 0, atol=1e-12)
    assert (found[2:, 4] == -np.inf).all()


def test_a_network_that_is_dead_has_no_finite_value() -> None:
    path = Trajectory("relu", np.eye(3), np.zeros((10, 1, 3)))
    assert (product_singular_values(path, 9, [1, 8]) == -np.inf).all()


def test_what_is_not_finite_is_nan_from_there_on_and_only_there() -> None:
    h = np.full((10, 2, 3), 0.5)
    h[5, 0] = np.nan
    found = product_singular_values(Trajectory("tanh", np.eye(3), h), 9, [1, 4, 5, 8])
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2:, 0]).all()
    np.testing.assert_allclose(found[:, 1, 0], [k * np.log10(0.75) for k in (1, 4, 5, 8)], rtol=1e-12)


@pytest.mark.parametrize(("loss_step", "lags"), [(0, []), (1, [1]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])])
def test_product_lags(loss_step: int, lags: list[int]) -> None:
    assert product_lags(loss_step).tolist() == lags


def test_a_loss_at_the_first_step_has_no_product() -> None:
    path = Trajectory("identity", np.eye(2), np.zeros((1, 1, 2)))
    assert product_singular_values(path, 0, product_lags(0)).shape == (0, 1, 2)


def test_what_does_not_fit_is_refused() -> None:
    path = Trajectory("identity", np.eye(2), np.zeros((5, 1, 2)))
    with pytest.raises(ValueError, match=r"lags must ascend within 1 to 4, but got \[2, 1\]"):
        product_singular_values(path, 4, [2, 1])
    with pytest.raises(ValueError, match="loss_step must be a timestep below 5, but got 5"):
        product_singular_values(path, 5, [1])
    with pytest.raises(ValueError, match="loss_step must be at least 0, but got -1"):
        product_lags(-1)
