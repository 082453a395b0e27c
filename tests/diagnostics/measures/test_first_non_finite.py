import math
from collections.abc import Iterator

import numpy as np
import pytest

from diagnostics.measures.first_non_finite import Found, Stage, first_non_finite, in_words, what_went_before


def states(*broken: tuple[str, int], T: int = 6, value: float = np.inf) -> dict[str, np.ndarray]:
    tensors = {name: np.ones((T, 2, 3)) for name in ("gate r", "gate z", "state h")}
    for name, t in broken:
        tensors[name][t, 1, 2] = value
    return tensors


def test_nothing_is_found_where_everything_is_finite() -> None:
    assert first_non_finite([Stage({"the loss": np.array(1e308)}), Stage(states(), 0)]) is None
    assert first_non_finite([]) is None


def test_forward_the_earliest_timestep_counts_and_then_the_order_of_the_tensors() -> None:
    found = first_non_finite([Stage(states(("state h", 2), ("gate z", 3), ("gate r", 3)), 0)])
    assert found == Found("state h", 0, 2, "infinite", 1, 6)
    found = first_non_finite([Stage(states(("state h", 2), ("gate z", 2)), 0)])
    assert found is not None
    assert found.tensor == "gate z"


def test_backward_the_latest_timestep_counts() -> None:
    found = first_non_finite([Stage(states(("state h", 2), ("gate z", 4), value=np.nan), 1, backward=True)])
    assert found == Found("gate z", 1, 4, "nan", 1, 6)


def test_what_comes_later_is_not_asked_for() -> None:
    def stages() -> Iterator[Stage]:
        yield Stage({"the loss": np.array(np.nan)})
        raise AssertionError

    assert first_non_finite(stages()) == Found("the loss", None, None, "nan", 1, 1)


@pytest.mark.parametrize("t", range(6))
def test_a_value_planted_anywhere_is_found_there(t: int) -> None:
    rng = np.random.default_rng(t)
    name = ["gate r", "gate z", "state h"][int(rng.integers(3))]
    for backward in (False, True):
        found = first_non_finite([Stage(states(), 0), Stage(states((name, t)), 1, backward=backward)])
        assert found is not None
        assert (found.tensor, found.layer, found.timestep) == (name, 1, t)


def test_it_says_where_in_a_sentence() -> None:
    assert (
        Found("the state h", 1, 17, "infinite", 3, 256).sentence(2)
        == "the first value that was not finite: 3 of 256 entries of the state h, layer 2 of 2, timestep 17 (infinite)"
    )
    assert (
        Found("the loss", None, None, "nan", 1, 1).sentence() == "the first value that was not finite: the loss (nan)"
    )
    tensor = np.array([np.nan, -np.inf, 1.0])
    found = first_non_finite([Stage({"head.bias": tensor})])
    assert found is not None
    assert (found.value, found.entries, found.of) == ("nan and infinite", 2, 3)


def test_what_the_norms_did_before() -> None:
    assert what_went_before([]) == what_went_before([math.nan]) == ""
    assert what_went_before([2.0]) == "in the step before the gradient's norm (pre-clip) was 2"
    assert what_went_before([1.0, 1.2, 1.0, 1.1, 1.3, 500.0]) == (
        "in the 5 steps before the gradient's norm (pre-clip) grew: 1.2, 1, 1.1, 1.3, 500"
    )
    assert what_went_before([1.0, 1.2, 1.0]) == (
        "in the 3 steps before the gradient's norm (pre-clip) gave no warning: 1, 1.2, 1"
    )


def test_it_is_found_again_in_how_a_run_ended() -> None:
    said = Found("the loss", None, None, "nan", 1, 1).sentence()
    assert in_words(f"diverged at step 3: the loss is nan; {said}; in the step before the norm was 2") == (
        "The first value that was not finite: the loss (nan); in the step before the norm was 2."
    )
    assert in_words("diverged at step 3: the loss is nan") == in_words("") == ""
