import math

import numpy as np
import pytest

from diagnostics.measures.jacobian import Trajectory
from diagnostics.measures.lyapunov import lyapunov, starts_of, warm_up_of
from tests.diagnostics.measures.trajectories import linear, orthogonal, problem, trajectory


@pytest.mark.parametrize("alpha", [0.01, 0.7, 1.0, 1.5])
def test_every_exponent_of_a_scaled_rotation_is_the_logarithm_of_its_scale(alpha: float) -> None:
    W = alpha * orthogonal(np.random.default_rng(0), 7)
    found = lyapunov(Trajectory("identity", W, np.zeros((50, 2, 7))))
    np.testing.assert_allclose(found.exponents, np.full(7, math.log(alpha)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.error, 0, atol=1e-13)


def test_tanh_at_rest() -> None:
    """tanh at h = 0 without input, W = gQ: exponents ln g."""
    W = 0.6 * orthogonal(np.random.default_rng(1), 5)
    found = lyapunov(Trajectory("tanh", W, np.zeros((30, 1, 5))))
    np.testing.assert_allclose(found.exponents, np.full(5, math.log(0.6)), rtol=1e-12)


def test_an_lstm_that_only_forgets() -> None:
    H, f = 3, 0.8
    gates = np.zeros((4, 40, 1, H))
    gates[1], gates[3] = f, 0.5
    zeros = np.zeros((40, 1, H))
    found = lyapunov(Trajectory("lstm", np.zeros((4 * H, H)), zeros, zeros, gates))
    np.testing.assert_allclose(found.exponents[:H], math.log(f), rtol=1e-9)
    assert (found.exponents[H:] == -np.inf).all()  # h is made anew from c at every step
    assert np.isnan(found.error[H:]).all()


def test_their_sum_is_the_mean_growth_of_volume() -> None:
    for cell in ("tanh", "gru", "lstm"):
        path = trajectory(cell, *problem(cell, 40, 2, 4, 5))
        found = lyapunov(path, warm_up=0)
        volume = np.mean([np.linalg.slogdet(path.at(t))[1] for t in range(1, 40)])
        assert found.exponents.sum() == pytest.approx(volume, rel=1e-9)


def test_triangular_steps_settle_on_their_diagonal() -> None:
    rng = np.random.default_rng(2)
    logs = np.array([0.2, -0.5, -2.0]) + 0.1 * rng.standard_normal((4000, 1, 3))
    steps = np.exp(logs)[..., None] * np.eye(3) + np.triu(0.2 * rng.standard_normal((4000, 1, 3, 3)), 1)
    found = lyapunov(linear(steps))
    np.testing.assert_allclose(found.exponents, logs[101:].mean(axis=(0, 1)), atol=2e-3)
    assert (found.steps, found.warm_up) == (3899, 100)


def test_the_error_is_as_large_as_the_exponents_scatter() -> None:
    """Independent growth of standard deviation σ: the error must be σ/√N, and the truth within a few errors."""
    sigma, T, B = 0.3, 400, 4
    errors, off = [], []
    for seed in range(24):
        logs = -0.4 + sigma * np.random.default_rng(seed).standard_normal((T, B, 1))
        found = lyapunov(linear(np.exp(logs)[..., None]), warm_up=0)
        errors.append(found.error[0])
        off.append(abs(found.exponents[0] + 0.4) / found.error[0])
    assert np.mean(errors) == pytest.approx(sigma / np.sqrt((T - 1) * B), rel=0.1)
    assert np.mean(np.array(off) < 2) > 0.85


@pytest.mark.parametrize("samples", [1, 2, 4, 8])
def test_the_error_holds_how_much_the_start_decides(samples: int) -> None:
    """Short, and alike at every step and for every sample: only the start makes a difference, and it stays."""
    J = np.diag(np.exp(np.linspace(0.0, -0.3, 6)))
    path = linear(np.broadcast_to(J, (25, samples, 6, 6)))
    found = [lyapunov(path, seed=seed) for seed in range(40)]
    first, error = np.array([(one.exponents[0], one.error[0]) for one in found]).T
    assert 0.9 < np.sqrt((error**2).mean()) / first.std(ddof=1) < 1.5  # the largest of several estimates
    assert np.mean(np.abs(first - first.mean()) < 2 * error) > 0.8


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("samples", [1, 4])
def test_twice_the_error_spans_what_other_starts_would_have_given(cell: str, samples: int) -> None:
    path = trajectory(cell, *problem(cell, 25, samples, 8, 5))
    found = [lyapunov(path, seed=seed) for seed in range(16)]
    first, error = np.array([(one.exponents[0], one.error[0]) for one in found]).T
    assert (np.abs(first - first.mean()) < 2 * error).all()
    again = lyapunov(path)
    np.testing.assert_array_equal(again.exponents, found[0].exponents)
    np.testing.assert_array_equal(again.error, found[0].error)


def test_few_samples_have_several_starts_each() -> None:
    assert [starts_of(samples) for samples in (1, 2, 3, 4, 64)] == [4, 2, 1, 1, 1]


def test_only_the_way_to_the_loss_counts() -> None:
    steps = np.full((60, 1, 1, 1), 0.5)
    steps[31:] = 9.0
    assert lyapunov(linear(steps), last=30).exponents[0] == pytest.approx(math.log(0.5))


def test_what_is_not_finite_is_nan() -> None:
    h = np.full((20, 1, 3), 0.5)
    h[10] = np.nan
    assert np.isnan(lyapunov(Trajectory("tanh", np.eye(3), h)).exponents).all()


def test_without_a_step_there_is_no_exponent() -> None:
    found = lyapunov(Trajectory("identity", np.eye(2), np.zeros((5, 1, 2))), last=0)
    assert np.isnan(found.exponents).all()
    assert found.steps == 0


def test_progress_and_refusals() -> None:
    path = Trajectory("identity", np.eye(2), np.zeros((5, 1, 2)))
    told: list[float] = []
    assert lyapunov(path, progress=told.append).steps == 4
    assert told == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ValueError, match="warm_up must be at least 0 and below the 4 steps that there are, but got 4"):
        lyapunov(path, warm_up=4)
    with pytest.raises(ValueError, match="last must be a timestep from 0 to 4, but got 5"):
        lyapunov(path, last=5)
    assert [warm_up_of(steps) for steps in (3, 40, 1000)] == [0, 8, 100]
