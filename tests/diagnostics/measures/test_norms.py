import math

import numpy as np
import pytest
import torch

from diagnostics.measures.norms import sample_norms


def test_the_norm_of_each_sample_at_each_timestep() -> None:
    values = torch.randn(4, 3, 5)
    np.testing.assert_allclose(sample_norms(values), np.linalg.norm(values.double().numpy(), axis=-1), rtol=1e-14)


@pytest.mark.parametrize("size", [1e-30, 1e-44, 1e25, 3e38])
def test_neither_underflow_nor_overflow(size: float) -> None:
    """The squares of these leave float32; the norms do not."""
    values = torch.full((1, 1, 4), size)
    assert sample_norms(values)[0, 0] == pytest.approx(2 * float(values[0, 0, 0]), rel=1e-12)


def test_what_is_not_a_number_stays_so() -> None:
    norms = sample_norms(torch.tensor([[[math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0]]]))
    np.testing.assert_array_equal(norms, [[math.nan, math.inf, 0.0]])
