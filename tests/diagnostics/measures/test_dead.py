import numpy as np
import pytest

from diagnostics.measures.dead import dead, never_on


def test_a_unit_is_dead_at_a_step_where_it_is_zero_for_every_sample():
    h = np.array([[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]])  # [T=2, B=2, H=3]
    np.testing.assert_array_equal(dead(h), [2 / 3, 0.0])
    assert never_on(h) == 0.0
    assert never_on(h[:1]) == pytest.approx(2 / 3)


def test_nan_and_a_negative_zero():
    h = np.array([[[np.nan, -0.0, np.inf, -1.0]]])
    np.testing.assert_array_equal(dead(h), [0.25])
    assert never_on(h) == 0.25


def test_against_the_definition_unit_by_unit():
    h = np.maximum(np.random.default_rng(0).normal(-1.0, 1.0, (6, 3, 20)), 0)
    for t in range(6):
        assert dead(h)[t] == np.mean([all(h[t, b, u] == 0 for b in range(3)) for u in range(20)])
    assert never_on(h) == np.mean([not h[:, :, u].any() for u in range(20)])


@pytest.mark.parametrize("shape", [(3,), (2, 0, 4), (0, 1, 1)])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"h must be states \[T, B, H\]"):
        dead(np.zeros(shape))
