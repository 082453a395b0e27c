"""exp-based functions of vectors: a few units in the last place of float64's answers, and the limits exactly."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from diagnostics.recurrence.fused import functions
from diagnostics.recurrence.fused.vectors import W, first, load, store


def over(function):
    @njit
    def run(values, results, n):
        for i in range(0, n, W):
            if i + W <= n:
                store(results + 4 * i, function(load(values + 4 * i, None)), None)
            else:
                store(results + 4 * i, function(load(values + 4 * i, first(n - i))), first(n - i))

    def of(values):
        results = np.full(len(values) + 1, -7, np.float32)
        run(values.ctypes.data, results.ctypes.data, len(values))
        assert results[-1] == -7  # nothing is written past the end
        return results[:-1]

    return of


@pytest.fixture(scope="module")
def tanh():
    return over(functions.tanh)


@pytest.fixture(scope="module")
def sigmoid():
    return over(functions.sigmoid)


def exact_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def units_in_the_last_place(found, exact):
    return np.abs(found.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize("widest", [1e-30, 1e-3, 0.3, 1.0, 3.0, 10.0, 85.0])
def test_a_few_units_in_the_last_place(tanh, sigmoid, widest):
    x = np.random.default_rng(0).uniform(-widest, widest, 20_003).astype(np.float32)
    assert units_in_the_last_place(tanh(x), np.tanh(x.astype(np.float64))).max() < 3
    assert units_in_the_last_place(sigmoid(x), exact_sigmoid(x.astype(np.float64))).max() < 3


def test_they_never_fall(tanh, sigmoid):
    x = np.linspace(-20, 20, 200_001, dtype=np.float32)
    slack = 3 * np.spacing(np.float32(1))
    assert np.diff(tanh(x)).min() > -slack
    assert np.diff(sigmoid(x)).min() > -slack


@pytest.mark.parametrize(("low", "high"), [(-90, -85), (-9.2, -8.8), (8.8, 9.2), (16, 18), (85, 90)])
def test_around_the_limits(tanh, sigmoid, low, high):
    x = np.linspace(low, high, 100_001, dtype=np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(tanh(x), np.tanh(wide), rtol=3e-7)
    np.testing.assert_allclose(sigmoid(x), exact_sigmoid(wide), rtol=3e-7, atol=5e-39)
    assert (np.abs(tanh(x[np.abs(x) > 9.011])) == 1).all()
    assert (sigmoid(x[x > 16.64]) == 1).all()
    assert (sigmoid(x[x < -88.375]) == 0).all()


def test_limits_and_not_a_number(tanh, sigmoid):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42, 9.1, -9.1, 1e30, -1e30], np.float32)
    expected = [np.nan, 1, -1, 0, -0.0, 1e-42, -1e-42, 1, -1, 1, -1]
    np.testing.assert_array_equal(tanh(x), np.array(expected, np.float32))
    assert np.signbit(tanh(x)).tolist() == np.signbit(np.array(expected)).tolist()
    expected = [np.nan, 1, 0, 0.5, 0.5, 0.5, 0.5, *exact_sigmoid(x[7:9].astype(np.float64)), 1, 0]
    np.testing.assert_allclose(sigmoid(x), np.array(expected, np.float32), rtol=3e-7, atol=0)


def test_what_is_missing_to_one_is_not_lost(tanh):
    """1 − tanh² is the factor of the gradient: where a unit saturates it must come from a rightly rounded tanh."""
    x = np.linspace(4, 9.2, 5_001, dtype=np.float32)
    missing = 1 - tanh(x).astype(np.float64)
    assert np.abs(missing - (1 - np.tanh(x.astype(np.float64)))).max() <= 1.01 * 2.0**-24
    assert (tanh(np.array([8.5], np.float32)) < 1).all()
