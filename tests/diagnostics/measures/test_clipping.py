import math

import numpy as np
import pytest

from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST, clipped_share, is_threshold, parse_rule
from experiments.spec import Refusal, RunSpec


def test_the_share_counts_steps_that_clipping_changed() -> None:
    assert clipped_share(np.array([1.0, 0.5, 0.1, 1.0])) == 0.5
    assert clipped_share(np.ones(3)) == 0.0


def test_a_step_without_a_number_is_not_clipped() -> None:
    assert clipped_share(np.array([np.nan, 0.5])) == 0.5


def test_no_steps_have_no_share() -> None:
    assert math.isnan(clipped_share(np.empty(0)))


@pytest.mark.parametrize("kind", ["norm", "value"])
def test_a_threshold_is_what_a_run_can_be_asked_for(kind: str) -> None:
    for value in (THRESHOLD_LEAST, 1.0, THRESHOLD_MOST):
        assert is_threshold(value)
        RunSpec.make(clip=f"{kind}:{value!r}")
    for value in (THRESHOLD_LEAST / 1.01, THRESHOLD_MOST * 1.01, -1.0, math.inf, math.nan):
        assert not is_threshold(value)
        with pytest.raises(Refusal, match="threshold"):
            RunSpec.make(clip=f"{kind}:{value!r}")


@pytest.mark.parametrize(
    ("text", "rule"),
    [("none", ("none", math.inf)), ("norm:1.0", ("norm", 1.0)), ("value:0.5", ("value", 0.5))],
)
def test_a_rule_is_a_kind_and_a_threshold(text: str, rule: tuple[str, float]) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", "norm", "norm:", "norm:x", "norm:nan", "none:1", "1.0", "soft:1", 1.0, None])
def test_what_is_no_rule_is_a_sentence(text: object) -> None:
    with pytest.raises(ValueError, match=r'clip must be "none", "norm:THRESHOLD" or "value:THRESHOLD", but got '):
        parse_rule(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["norm:0", "value:-1", "norm:inf", "norm:1e13"])
def test_a_threshold_outside_of_its_limits_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"clip must have a threshold from 1e-12 to 1e\+12, but got"):
        parse_rule(text)
