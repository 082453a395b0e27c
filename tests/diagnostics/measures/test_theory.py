import math

import numpy as np
import pytest

from diagnostics.measures.decay import decay
from diagnostics.measures.lyapunov import lyapunov
from diagnostics.measures.theory import eigenvalues, gamma, power_line, sigma_max, spectral_radius
from diagnostics.recurrence import reference
from tests.diagnostics.measures.trajectories import orthogonal, problem, trajectory


def test_a_scaled_rotation_has_one_size() -> None:
    W = 1.3 * orthogonal(np.random.default_rng(0), 6)
    assert sigma_max(W) == pytest.approx(1.3, rel=1e-13)
    assert spectral_radius(W) == pytest.approx(1.3, rel=1e-13)


def test_the_spectral_radius_can_be_nothing_where_the_norm_is_large() -> None:
    W = np.array([[0.0, 5.0], [0.0, 0.0]])
    assert (sigma_max(W), spectral_radius(W)) == (5.0, 0.0)


def test_the_spectral_radius_never_exceeds_the_norm() -> None:
    for seed in range(20):
        W = np.random.default_rng(seed).standard_normal((7, 7))
        assert spectral_radius(W) <= sigma_max(W)
        assert sigma_max(W) == pytest.approx(math.sqrt(np.linalg.eigvalsh(W.T @ W)[-1]), rel=1e-12)


def test_eigenvalues_are_those_of_each_block_largest_first() -> None:
    blocks = [np.diag([1.0, -3.0]), np.array([[0.0, -2.0], [2.0, 0.0]])]
    found = eigenvalues(np.concatenate(blocks))
    np.testing.assert_allclose(found[0], [[-3, 0], [1, 0]])
    np.testing.assert_allclose(np.hypot(*found[1].T), [2, 2])
    np.testing.assert_allclose(sorted(found[1, :, 1]), [-2, 2])
    with pytest.raises(ValueError, match=r"w_hh must have the shape \[G·H,H\], but got \(3, 2\)"):
        eigenvalues(np.zeros((3, 2)))


def test_what_is_not_finite_is_nan() -> None:
    W = np.array([[np.inf, 0.0], [0.0, 1.0]])
    assert math.isnan(sigma_max(W))
    assert math.isnan(spectral_radius(W))
    assert np.isnan(eigenvalues(W)).all()


def test_gamma_is_the_steepest_slope() -> None:
    a = np.linspace(-8, 8, 100001)
    sigmoid = 1 / (1 + np.exp(-a))
    assert gamma("tanh") == pytest.approx((1 - np.tanh(a) ** 2).max())
    assert gamma("sigmoid") == pytest.approx((sigmoid * (1 - sigmoid)).max())
    assert gamma("relu") == gamma("identity") == 1.0
    assert math.isnan(gamma("gru"))
    assert math.isnan(gamma("lstm"))
    with pytest.raises(ValueError, match="cell must be one of"):
        gamma("elu")


def test_lines_go_beyond_float64() -> None:
    np.testing.assert_allclose(power_line(0.5, np.arange(4)), np.log10([1, 0.5, 0.25, 0.125]))
    assert power_line(1e-3, np.array([1000]))[0] == pytest.approx(-3000)
    assert power_line(0.0, np.array([0, 1])).tolist() == [0.0, -np.inf]
    assert np.isnan(power_line(math.nan, np.array([1]))).all()
    assert power_line(math.inf, np.array([0, 2])).tolist() == [0.0, math.inf]
    with pytest.raises(ValueError, match=r"factor must be at least 0, but got -0\.5"):
        power_line(-0.5, np.array([1]))


def profile_by_lag(cell: str, T: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """State gradient norms by lag [T,B] of a loss at the last step, W_hh, and λ₁, of a random network."""
    parameters, x, state = problem(cell, T, 4, 16, seed, scale)
    leaves = [parameter.requires_grad_() for parameter in parameters]
    output, _, trace = reference.rnn(x, state, *leaves, cell)
    output[-1].pow(2).sum().backward()
    norms = trace.grad_h.norm(dim=2).numpy()[::-1]
    found = trajectory(cell, [parameter.detach() for parameter in parameters], x, state)
    return norms, found.w_hh, float(lyapunov(found).exponents[0])


@pytest.mark.parametrize("cell", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("scale", [0.5, 1.2, 2.5])
def test_no_gradient_ever_crosses_the_bound(cell: str, scale: float) -> None:
    for seed in range(3):
        norms, w_hh, _ = profile_by_lag(cell, 40, scale, seed)
        bound = norms[0] * 10.0 ** power_line(gamma(cell) * sigma_max(w_hh), np.arange(40))[:, None]
        assert (norms <= bound * (1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_leading_exponent_is_the_rate_of_the_gradient_in_the_long_run(seed: int) -> None:
    norms, w_hh, leading = profile_by_lag("tanh", 400, 1.0, seed)
    fitted = decay(np.median(norms, axis=1)).factor
    assert math.log(fitted) == pytest.approx(leading, rel=0.06)
    assert abs(math.log(spectral_radius(w_hh)) - leading) > 3 * abs(math.log(fitted) - leading)
