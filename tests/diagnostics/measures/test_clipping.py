import math

import numpy as np
import pytest

from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST, clipped_share, is_threshold
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
