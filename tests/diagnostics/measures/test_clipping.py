import math

import numpy as np

from diagnostics.measures.clipping import clipped_share


def test_the_share_counts_steps_that_clipping_changed() -> None:
    assert clipped_share(np.array([1.0, 0.5, 0.1, 1.0])) == 0.5
    assert clipped_share(np.ones(3)) == 0.0


def test_a_step_without_a_number_is_not_clipped() -> None:
    assert clipped_share(np.array([np.nan, 0.5])) == 0.5


def test_no_steps_have_no_share() -> None:
    assert math.isnan(clipped_share(np.empty(0)))
