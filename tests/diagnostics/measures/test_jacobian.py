import numpy as np
import pytest
import torch

from diagnostics.measures.jacobian import GATES, Trajectory, inspected_steps, singular_values
from tests.diagnostics.measures.trajectories import orthogonal, problem, step_function, trajectory

CELLS = pytest.mark.parametrize("cell", GATES)


@CELLS
@pytest.mark.parametrize("seed", range(3))
def test_jacobians_are_those_of_autograd(cell: str, seed: int) -> None:
    T, B, H = 5, 3, 4
    parameters, x, state = problem(cell, T, B, H, seed)
    path = trajectory(cell, parameters, x, state)
    for t in range(T):
        step = step_function(cell, parameters, x[t])
        whole = torch.autograd.functional.jacobian(step, state)  # [B,S,B,S]
        S = state.shape[1]
        expected = np.stack([whole[b, :, b].numpy() for b in range(B)])
        found = path.at(t)
        assert found.shape == (B, S, S)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
        state = step(state).detach()


@CELLS
def test_a_product_of_jacobians_is_the_jacobian_of_many_steps(cell: str) -> None:
    T, H = 6, 3
    parameters, x, state = problem(cell, T, 1, H, 7)
    path = trajectory(cell, parameters, x, state)

    def run(first: torch.Tensor) -> torch.Tensor:
        for t in range(T):
            first = step_function(cell, parameters, x[t])(first)
        return first

    expected = torch.autograd.functional.jacobian(run, state)[0, :, 0].numpy()
    product = np.linalg.multi_dot([path.at(t)[0] for t in reversed(range(T))])
    np.testing.assert_allclose(product, expected, rtol=1e-10, atol=1e-13)


@CELLS
def test_a_state_of_zeros_may_go_unsaid(cell: str) -> None:
    parameters, x, state = problem(cell, 2, 2, 3)
    path = trajectory(cell, parameters, x, torch.zeros_like(state))
    without = Trajectory(cell, path.w_hh, path.h, path.c, path.gates, path.b_hn)
    np.testing.assert_array_equal(without.at(0), path.at(0))


def test_an_lstms_direct_path_with_a_constant_forget_gate_is_its_power() -> None:
    T, H, f = 12, 4, 0.9
    gates = np.zeros((4, T, 1, H))
    gates[1] = f  # the input gate is shut: c falls by f a step
    c = 0.5 * f ** np.arange(1, T + 1)[:, None, None] * np.ones((T, 1, H))
    path = Trajectory("lstm", np.zeros((4 * H, H)), np.zeros((T, 1, H)), c, gates)
    product = np.eye(2 * H)
    for t in range(T):
        product = path.at(t)[0] @ product
    np.testing.assert_allclose(product[H:, H:], f**T * np.eye(H), rtol=1e-13)


def test_singular_values_of_a_scaled_rotation_are_its_scale() -> None:
    W = 0.8 * orthogonal(np.random.default_rng(0), 5)
    path = Trajectory("identity", W, np.zeros((4, 2, 5)))
    np.testing.assert_allclose(singular_values(path, [1, 3]), np.full((2, 2, 5), 0.8), rtol=1e-13)


@pytest.mark.parametrize(("cell", "gamma"), [("tanh", 1.0), ("relu", 1.0), ("sigmoid", 0.25)])
def test_no_jacobian_is_larger_than_the_bound(cell: str, gamma: float) -> None:
    for seed in range(5):
        path = trajectory(cell, *problem(cell, 8, 4, 6, seed, scale=2.0))
        largest = singular_values(path, np.arange(8)).max()
        assert largest <= gamma * np.linalg.norm(path.w_hh, 2) * (1 + 1e-12)


def test_what_is_not_finite_stays_with_its_sample() -> None:
    h = np.full((3, 2, 4), 0.5)
    h[1, 0, 2] = np.nan
    path = Trajectory("tanh", np.eye(4), h)
    found = singular_values(path, [0, 1])
    assert np.isnan(found[1, 0]).all()
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1, 1]).all()


def test_a_dead_unit_has_no_slope_and_one_that_is_nan_does_not_pass_for_dead() -> None:
    path = Trajectory("relu", np.ones((2, 2)), np.array([[[0.0, 3.0]], [[np.nan, 3.0]]]))
    np.testing.assert_array_equal(path.at(0)[0], [[0, 0], [1, 1]])
    assert np.isnan(path.at(1)[0, 0]).all()


def test_directions_that_a_dead_unit_loses_are_exactly_zero() -> None:
    rng = np.random.default_rng(0)
    h = np.maximum(rng.standard_normal((3, 2, 8)), 0)
    found = singular_values(Trajectory("relu", rng.standard_normal((8, 8)), h), range(3))
    np.testing.assert_array_equal((found == 0).sum(axis=2), (h == 0).sum(axis=2))


def test_progress_is_told_and_may_stop_it() -> None:
    path = Trajectory("identity", np.eye(2), np.zeros((5, 1, 2)))
    told: list[float] = []
    singular_values(path, range(5), told.append)
    assert told == [0.2, 0.4, 0.6, 0.8, 1.0]

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        singular_values(path, range(5), stop)


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [0]), (2, [1]), (4, [1, 2, 3]), (65, list(range(1, 65))), (200, None)]
)
def test_inspected_steps(steps: int, expected: list[int] | None) -> None:
    found = inspected_steps(steps)
    if expected is not None:
        assert found.tolist() == expected
    assert len(found) <= 64
    assert found[-1] == steps - 1


def test_what_does_not_fit_is_refused() -> None:
    h = np.zeros((3, 2, 4))
    with pytest.raises(ValueError, match="cell must be one of tanh, sigmoid, relu, identity, gru, lstm, but got 'elu'"):
        Trajectory("elu", np.eye(4), h)
    with pytest.raises(ValueError, match=r"w_hh must have the shape \(12, 4\), but got \(4, 4\)"):
        Trajectory("gru", np.eye(4), h, gates=np.zeros((3, 3, 2, 4)))
    with pytest.raises(ValueError, match="c must be given for the cell lstm"):
        Trajectory("lstm", np.zeros((16, 4)), h, gates=np.zeros((4, 3, 2, 4)))
    with pytest.raises(ValueError, match=r"h must have the shape \[T,B,H\], but got \(3, 2\)"):
        Trajectory("tanh", np.eye(4), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="t must be a timestep from 0 to 2, but got 3"):
        Trajectory("tanh", np.eye(4), h).at(3)
    with pytest.raises(ValueError, match="steps and most must be at least 1, but got 0 and 64"):
        inspected_steps(0)
