import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.measures.cliff import (
    TARGET,
    descend,
    growth_at_half,
    loss,
    loss_and_gradient,
    most_growth,
    sigmoid,
    wall,
)

PLACES = [(5.0, -2.2), (6.0, -3.1), (4.0, 1.0), (-3.0, 2.0), (0.0, 0.0), (8.0, -4.4)]


def by_autograd(w: float, b: float, T: int) -> tuple[float, float, float]:
    """The same unit in torch, float64, differentiated backwards."""
    parameters = torch.tensor([w, b], dtype=torch.float64, requires_grad=True)
    x = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(T):
        x = parameters[0] * torch.sigmoid(x) + parameters[1]
    E = (torch.sigmoid(x) - 0.7) ** 2
    (gradient,) = torch.autograd.grad(E, parameters)
    return float(E.detach()), float(gradient[0]), float(gradient[1])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("T", [1, 2, 10, 50])
def test_loss_and_gradient_are_those_of_autograd(place: tuple[float, float], T: int) -> None:
    found = loss_and_gradient(*place, T)
    np.testing.assert_allclose(found, by_autograd(*place, T), rtol=1e-9, atol=1e-300)
    assert loss(np.array(place[0]), np.array(place[1]), T) == pytest.approx(found[0], rel=1e-9)


@pytest.mark.parametrize("w", [4.0, 4.5, 5.0, 6.0, 8.0, -3.0, -4.5, -6.0, -20.0])
@pytest.mark.parametrize("T", [1, 5, 20, 50])
def test_at_the_wall_the_gradient_has_its_closed_form(w: float, T: int) -> None:
    """The state stays at ½, so ∂E/∂b = 2 (σ − 0.7) σ′ (m^T − 1) / (m − 1) and ∂E/∂w is σ(½) times that.

    Off the fixed point by one rounding, the state is off by m^T of it after T steps: the tolerance grows with m^T.
    """
    s = 1 / (1 + math.exp(-0.5))
    m = growth_at_half(w)
    assert m == pytest.approx(w * s * (1 - s))
    total = (m**T - 1) / (m - 1)
    closed = 2 * (s - TARGET) * s * (1 - s) * total
    _, dw, db = loss_and_gradient(w, float(wall(np.array(w))), T)
    tolerance = 1e-12 + 1e-14 * abs(m) ** T
    assert db == pytest.approx(closed, rel=tolerance)
    assert dw == pytest.approx(s * closed, rel=tolerance)


def test_no_wall_where_the_growth_is_below_one() -> None:
    assert growth_at_half(4.0) < 1 < growth_at_half(4.5)
    assert growth_at_half(-4.5) < -1 < growth_at_half(-4.0)


def test_a_negative_weight_has_a_wall_as_well() -> None:
    b = float(wall(np.array(-20.0)))
    assert b == pytest.approx(12.949, abs=1e-3)
    assert growth_at_half(-20.0) == pytest.approx(-4.7, abs=1e-3)
    _, dw, db = loss_and_gradient(-20.0, b, 50)
    assert (dw, db) == (pytest.approx(1.6e31, rel=0.01), pytest.approx(2.6e31, rel=0.01))
    assert abs(loss(np.array(-20.0), np.array(b - 0.01), 50) - loss(np.array(-20.0), np.array(b + 0.01), 50)) > 0.3


def test_off_the_line_a_step_grows_more_than_on_it_but_never_more_than_a_quarter_of_the_weight() -> None:
    """w = 4.2 and b = −4.2 σ(½): the first step comes to 0, where σ′ is greatest, so the second grows most."""
    w = 4.2
    b = -w / (1 + math.exp(-0.5))
    assert growth_at_half(w) == pytest.approx(0.987, abs=1e-3)
    xs = [0.5, w / (1 + math.exp(-0.5)) + b]
    slopes = [w * s * (1 - s) for s in (1 / (1 + math.exp(-x)) for x in xs)]
    assert slopes == [pytest.approx(growth_at_half(w)), pytest.approx(1.05)]
    assert most_growth(w) == most_growth(-w) == pytest.approx(1.05)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_no_step_grows_more_than_a_quarter_of_the_weight(w: float, x: float) -> None:
    s = float(sigmoid(np.array(x)))
    assert abs(w * s * (1 - s)) <= most_growth(w) * (1 + 1e-12)
    assert abs(growth_at_half(w)) <= most_growth(w)


@given(st.floats(-800, 800))
def test_sigmoid_is_sigmoid_and_never_overflows(x: float) -> None:
    expected = 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
    assert float(sigmoid(np.array(x))) == pytest.approx(expected, abs=1e-15)


def test_a_grid_is_its_points() -> None:
    w, b = np.meshgrid(np.linspace(3, 7, 5), np.linspace(-4, 0, 4))
    grid = loss(w, b, 30)
    assert grid.shape == (4, 5)
    assert grid[2, 3] == loss(w[2, 3], b[2, 3], 30)
    assert (loss(w[:1], b[:, :1], 30) == grid).all()


def test_descent_is_one_update_after_the_other() -> None:
    raw, clipped = descend(5.0, -2.2, step_size=0.5, threshold=0.1, T=50, updates=40)
    for descent, limit in ((raw, math.inf), (clipped, 0.1)):
        place = np.array([5.0, -2.2])
        for k in range(41):
            np.testing.assert_allclose([descent.w[k], descent.b[k]], place, rtol=1e-6)
            E, dw, db = by_autograd(descent.w[k], descent.b[k], 50)
            assert descent.loss[k] == pytest.approx(E, rel=1e-6)
            norm = math.hypot(dw, db)
            assert descent.norm[k] == pytest.approx(norm, rel=1e-6)
            place = np.array([descent.w[k], descent.b[k]]) - 0.5 * min(1.0, limit / norm) * np.array([dw, db])


def test_the_default_start_shows_the_cliff() -> None:
    """Unclipped is thrown off the wall and does not come back; clipped goes down it and arrives."""
    raw, clipped = descend(5.0, -2.2, step_size=0.5, threshold=0.1, T=50, updates=60)
    assert raw.longest[1] > 2
    assert raw.loss[-1] > 0.05
    assert clipped.longest[1] <= 0.05 * (1 + 1e-9)
    assert clipped.loss[-1] < 0.001
    assert (raw.clipped, clipped.clipped) == (0, int((clipped.norm[:-1] > 0.1).sum()))


def test_without_a_gradient_nothing_moves() -> None:
    raw, clipped = descend(0.0, 700.0, step_size=1.0, threshold=1.0, T=3, updates=2)
    assert raw.b.tolist() == clipped.b.tolist() == [700.0] * 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"T": 0}, "T must be from 1 to 100, but got 0"),
        ({"T": 101}, "T must be from 1 to 100, but got 101"),
        ({"updates": 201}, "updates must be from 1 to 200, but got 201"),
        ({"step_size": 0.0}, "step_size must be a finite number above 0, but got 0.0"),
        ({"threshold": math.nan}, "threshold must be a finite number above 0, but got nan"),
        ({"w": math.inf}, "w must be a finite number, but got inf"),
    ],
)
def test_what_cannot_be_descended_is_said(changed: dict[str, float], message: str) -> None:
    asked = {"w": 5.0, "b": -2.2, "step_size": 0.5, "threshold": 0.1, "T": 50, "updates": 60} | changed
    with pytest.raises(ValueError, match=message):
        descend(**asked)  # type: ignore[arg-type]
