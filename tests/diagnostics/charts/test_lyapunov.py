import numpy as np

from diagnostics.charts import lyapunov
from tests.diagnostics.charts.inspections import inspection_of

EXPONENTS = np.array([[0.1, -0.5, -1.0, -np.inf, -np.inf]])
ERRORS = np.array([[0.01, 0.02, 0.03, np.nan, np.nan]])


def test_dots_bars_and_what_is_lost() -> None:
    prepared = lyapunov.prepare(inspection_of(lyapunov=EXPONENTS, lyapunov_error=ERRORS))
    dots, rail = lyapunov.draw(prepared).data
    np.testing.assert_array_equal(dots.x, [1, 2, 3])
    np.testing.assert_allclose(dots.y, [0.1, -0.5, -1.0])
    np.testing.assert_allclose(dots.error_y.array, [0.02, 0.04, 0.06])
    np.testing.assert_array_equal(rail.x, [4, 5])
    said = lyapunov.describe(prepared)
    assert "λ₁ = 0.1 ± 0.02: × 1.11 a step" in said
    assert "1 of 5 exponents are above 0, and 2 directions are lost altogether" in said


def test_zero_is_always_on_the_axis_and_so_is_every_bar() -> None:
    for exponents in (np.linspace(-1, -3, 5), np.linspace(4, 1, 5)):
        prepared = lyapunov.prepare(inspection_of(lyapunov=exponents[None]))
        low, high = lyapunov.draw(prepared).layout.yaxis.range
        assert low <= min(0, exponents.min() - 0.1)
        assert max(0, exponents.max() + 0.1) <= high


def test_an_exponent_within_its_error_of_zero_is_not_said_to_be_above_it() -> None:
    prepared = lyapunov.prepare(inspection_of(lyapunov=np.array([[0.05, -1, -2, -3, -4]])))
    assert "None of 5 exponents is clearly above 0" in lyapunov.describe(prepared)


def test_everything_lost() -> None:
    prepared = lyapunov.prepare(inspection_of("relu", lyapunov=np.full((1, 5), -np.inf)))
    assert "Every direction is lost" in lyapunov.describe(prepared)
    assert lyapunov.draw(prepared).data
