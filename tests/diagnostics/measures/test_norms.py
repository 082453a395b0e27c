import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diagnostics.measures.norms import sample_norms
from diagnostics.recurrence import paths


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


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=40),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True),
    )
)
def test_both_paths_are_numpy_in_float64(values: np.ndarray) -> None:
    expected = np.sqrt(np.square(values.astype(np.float64)).sum(-1))
    for path in ("plain", "fused"):
        with paths.use(path):
            np.testing.assert_allclose(sample_norms(torch.from_numpy(values)), expected, rtol=1e-14)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 32, 33, 64, 100])
def test_rows_need_not_lie_side_by_side(size: int) -> None:
    values = torch.randn(5, 4, 3 * size)[..., size : 2 * size]
    for view in (values, values.transpose(0, 1), values[1::2], values[..., ::2], values[:, :0]):
        expected = np.linalg.norm(view.double().numpy(), axis=-1)
        np.testing.assert_allclose(sample_norms(view), expected, rtol=1e-14)
        out = np.full(view.shape[:2], -1.0)
        assert sample_norms(view, out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-14)


def test_float64_keeps_its_digits() -> None:
    values = torch.full((1, 1, 2), 1 + 1e-12, dtype=torch.float64)
    assert sample_norms(values)[0, 0] == pytest.approx(math.sqrt(2) * (1 + 1e-12), rel=1e-15)
