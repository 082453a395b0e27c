import numpy as np
import pytest

from diagnostics.charts.series import (
    INFINITE,
    NAN,
    VALUE,
    ZERO,
    absent,
    kinds,
    log10,
    moment,
    ratios,
    received,
    snapshot,
)
from diagnostics.records import Run
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


def broken(state: str, value: float = np.nan, good: int = 14, name: str = "x") -> Run:
    profile = powers(1.3, 8, 20)
    profile[good:] = value
    return run_of(profile, facts=FACTS, state=state, steps=20, name=name, run_id=f"r-{name}")


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (np.nan, "the last with a finite gradient; nan from step 14"),
        (np.inf, "the last with a finite gradient; infinite from step 14"),
        (0.0, "the last with a gradient at the loss above 0; exactly 0 from step 14"),
    ],
)
def test_the_newest_of_a_run_that_ended_is_the_last_with_a_gradient_to_show(value: float, note: str) -> None:
    shot = snapshot(broken("diverged", value), None)
    assert shot is not None
    assert (shot.training_step, shot.note) == (13, note)
    np.testing.assert_allclose(shot.median, 0.1 * 1.3 ** np.arange(9))
    assert moment([("x", shot)]) == f"training step 13, {note}"


@pytest.mark.parametrize(("state", "at_step"), [("running", None), ("diverged", 19)])
def test_what_is_asked_for_and_what_still_runs_is_shown_as_it_is(state: str, at_step: int | None) -> None:
    shot = snapshot(broken(state), at_step)
    assert shot is not None
    assert (shot.training_step, shot.note) == (19, "")
    assert np.isnan(shot.median).all()


def test_a_run_that_never_had_a_gradient_shows_its_newest() -> None:
    shot = snapshot(broken("diverged", good=0), None)
    assert shot is not None
    assert (shot.training_step, shot.note) == (19, "")


def test_of_several_runs_each_exception_is_named() -> None:
    runs = [broken("diverged", name="a"), broken("finished", good=20, name="b"), broken("diverged", good=9, name="c")]
    shots = [(run.name, shot) for run in runs if (shot := snapshot(run, None)) is not None]
    assert moment(shots[:2]) == (
        "training steps 13 to 19; a at step 13, the last with a finite gradient; nan from step 14"
    )
    assert "c at step 8, the last with a finite gradient; nan from step 9" in moment(shots)
    assert moment([shots[0]] * 3) == (
        "training step 13, of 3 runs the last with a gradient at the loss that is finite and above 0"
    )
    assert moment([]) == "no profile recorded"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], "Waiting for the first gradient profile…"),
        (["stopped", "running"], "Waiting for the first gradient profile…"),
        (["stopped"], "This run was stopped before its first gradient profile."),
        (["interrupted"], "This run was interrupted before its first gradient profile."),
        (["failed"], "This run failed before its first gradient profile."),
        (["diverged"], "This run ended before its first gradient profile."),
        (["stopped", "failed"], "These runs ended before their first gradient profile."),
    ],
)
def test_nothing_is_waited_for_that_will_not_come(states: list[str], words: str) -> None:
    runs = [run_of(np.empty((0, 9)), facts=FACTS, loss=np.empty(0), state=state) for state in states]
    assert absent(runs, "gradient profile") == words
