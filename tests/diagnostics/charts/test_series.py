import numpy as np
import pytest

from diagnostics.charts.series import INFINITE, NAN, VALUE, ZERO, kinds, log10, ratios, received, snapshot
from tests.diagnostics.charts.samples import facts_of, powers, run_of

FACTS = facts_of(9, 6)


def test_every_number_is_of_one_kind() -> None:
    values = np.array([0.0, -0.0, 1e-320, 1.0, np.inf, np.nan])
    np.testing.assert_array_equal(kinds(values), [ZERO, ZERO, VALUE, VALUE, INFINITE, NAN])
    np.testing.assert_array_equal(np.isnan(log10(values)), [True, True, False, False, True, True])


@pytest.mark.parametrize(("at_step", "found"), [(None, 199), (0, 0), (94, 94), (100, 104), (10**9, 199), (-5, 0)])
def test_the_nearest_recorded_profile_is_shown(at_step: int | None, found: int) -> None:
    run = run_of(powers(0.9, 8, 20), facts=FACTS)  # recorded at 0, 10, 20, … as integers of linspace(0, 199, 20)
    shot = snapshot(run, at_step)
    assert shot is not None
    assert shot.training_step == found
    assert found in run.records["profile_step"]


def test_before_the_first_profile_there_is_nothing() -> None:
    assert snapshot(run_of(np.empty((0, 9)), facts=FACTS, loss=np.empty(0)), None) is None


def test_ratios_need_a_value_at_the_loss() -> None:
    values = np.array([0.0, 2.0, np.inf, np.nan])
    np.testing.assert_array_equal(ratios(values, 4.0), [0.0, 0.5, np.inf, np.nan])
    assert 0 < ratios(np.array([1e-300]), 1e300)[0] < np.inf
    assert 0 < ratios(np.array([1e300]), 1e-300)[0] < np.inf
    for at_loss in (0.0, np.inf, np.nan):
        assert np.isnan(ratios(values, at_loss)).all()


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.013, "0.013 of the gradient at the loss"),
        (1700.0, "1700 times the gradient at the loss"),
        (0.0, "exactly 0"),
        (np.inf, "an infinite gradient"),
        (np.nan, "a gradient that is not a number"),
    ],
)
def test_what_is_received_is_said_in_words(ratio: float, words: str) -> None:
    assert received(ratio) == words
