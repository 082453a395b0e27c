import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from diagnostics.measures.clipping import is_threshold
from diagnostics.measures.entry_sizes import EDGES, NOT_MEASURED, entry_sizes
from diagnostics.measures.what_if import TORCH_EPSILON, by_norm, by_value, cut_at, sizes_of, suggest
from diagnostics.records import Records
from experiments import gradient

NORMS = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1e30))
THRESHOLDS = arrays.arrays(np.float64, st.integers(1, 6), elements=st.floats(1e-12, 1e12))


def test_the_epsilon_is_that_of_training() -> None:
    assert TORCH_EPSILON == gradient.TORCH_EPSILON


@given(NORMS, THRESHOLDS)
def test_all_thresholds_at_once_are_one_after_the_other(norms: np.ndarray, thresholds: np.ndarray) -> None:
    found = by_norm(norms, thresholds)
    for i, c in enumerate(thresholds):
        factors = np.array([min(1.0, c / (n + TORCH_EPSILON)) for n in norms])
        clipped = factors[norms + TORCH_EPSILON > c]
        assert found.share[i] == len(clipped) / len(norms)
        if clipped.size:
            assert found.median_factor[i] == pytest.approx(np.median(clipped), rel=1e-12)
            assert found.least_factor[i] == pytest.approx(clipped.min(), rel=1e-12)
        else:
            assert math.isnan(found.median_factor[i])
            assert math.isnan(found.least_factor[i])


def test_torch_would_have_done_the_same() -> None:
    rng = np.random.default_rng(0)
    weights = nn.Parameter(torch.zeros(20, dtype=torch.float64))
    gradients = rng.normal(size=(30, 20)) * np.exp(rng.normal(size=(30, 1)))
    norms, factors = np.linalg.norm(gradients, axis=1), []
    for g in gradients:
        weights.grad = torch.tensor(g)
        nn.utils.clip_grad_norm_([weights], 4.0)
        factors.append(float(weights.grad.norm()) / np.linalg.norm(g))
    clipped = np.array([f for f in factors if f < 1 - 1e-12])
    found = by_norm(norms, np.array([4.0]))
    assert found.share[0] == len(clipped) / 30
    assert 0 < found.share[0] < 1
    assert found.median_factor[0] == pytest.approx(np.median(clipped), rel=1e-9)
    assert found.least_factor[0] == pytest.approx(clipped.min(), rel=1e-9)


def test_steps_without_a_finite_norm_are_counted_apart() -> None:
    found = by_norm(np.array([1.0, np.nan, 3.0, np.inf]), np.array([2.0]))
    assert (found.steps, found.broken, found.share[0]) == (2, 2, 0.5)
    nothing = by_norm(np.array([np.nan]), np.array([2.0]))
    assert (nothing.steps, nothing.broken) == (0, 1)
    assert np.isnan(nothing.share).all()


@given(arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)))
def test_cut_at_an_edge_it_is_what_cutting_gives(g: np.ndarray) -> None:
    found = by_value(entry_sizes(g)[None])
    raw = g.astype(np.float64)
    if not raw.any() or np.linalg.norm(raw) == 0:
        assert found.cosine.shape == (0, len(EDGES))
        return
    for k in range(0, len(EDGES), 3):
        cut = np.clip(g, -EDGES[k], EDGES[k]).astype(np.float64)
        assert found.share[0, k] == np.mean(np.abs(g) > EDGES[k])
        assert found.factor[0, k] == pytest.approx(np.linalg.norm(cut) / np.linalg.norm(raw), rel=1e-6)
        cosine = raw @ cut / (np.linalg.norm(raw) * np.linalg.norm(cut))
        assert found.cosine[0, k] == pytest.approx(cosine, rel=1e-6)


def test_a_closed_form_one_large_entry_among_equal_ones() -> None:
    """g = (a, 1, …, 1) with n ones, cut to 1: cos = (a + n) / √((a² + n)(1 + n)). Here a = 100 and n = 99."""
    found = by_value(entry_sizes(np.array([100.0] + [1.0] * 99, np.float32))[None])
    k = int(np.searchsorted(EDGES, 1.0))
    assert found.thresholds[k] == 1.0
    assert found.cosine[0, k] == pytest.approx(199 / math.sqrt((1e4 + 99) * 100), rel=1e-12)
    assert found.share[0, k] == 0.01
    assert found.factor[0, k] == pytest.approx(10 / math.sqrt(1e4 + 99), rel=1e-12)


def test_profiles_without_a_gradient_to_cut_are_left_out_and_named() -> None:
    rows = np.stack([entry_sizes(np.ones(4, np.float32)), NOT_MEASURED, entry_sizes(np.zeros(4, np.float32))])
    found = by_value(rows)
    assert found.rows.tolist() == [0]
    assert found.cosine.shape == (1, len(EDGES))


def test_sizes_on_another_grid_are_as_good_as_none() -> None:
    profile = {"profile_step": np.arange(2)}
    assert sizes_of(Records(profile)) is None
    assert sizes_of(Records({**profile, "grad_sizes": np.zeros((2, 5, 3))})) is None
    assert sizes_of(Records({**profile, "grad_sizes": np.stack([NOT_MEASURED] * 2)})) is not None


def test_suggestions_are_percentiles_with_the_share_that_they_clip() -> None:
    norms = np.exp(np.random.default_rng(0).normal(size=1000))
    found = suggest(norms)
    assert [s.percentile for s in found.suggestions] == [99, 90, 50]
    for suggestion in found.suggestions:
        assert suggestion.threshold == pytest.approx(np.percentile(norms, suggestion.percentile), rel=0.05)
        assert suggestion.share == np.mean(norms + TORCH_EPSILON > suggestion.threshold)
        assert suggestion.share == pytest.approx(1 - suggestion.percentile / 100, abs=0.04)
    assert "stand far above the rest" in found.sentence


def test_norms_that_hardly_vary_are_said_to_have_no_spike() -> None:
    assert "no spike to catch" in suggest(np.linspace(1.0, 1.5, 50)).sentence


@given(arrays.arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-30, 1e30)))
def test_what_is_suggested_can_be_asked_for_and_is_said_once(norms: np.ndarray) -> None:
    found = suggest(norms)
    for one in found.suggestions:
        assert is_threshold(one.threshold)
        assert ("never have engaged" in one.reason) == (one.share == 0)
        if "ordinary ones as they are" in one.reason:
            assert one.share <= 0.2
    for values in zip(*((one.threshold, one.reason) for one in found.suggestions), strict=True):
        assert len(set(values)) == len(values)
    assert found.suggestions or "Every threshold of this scale is left out: clipping takes none below" in found.sentence


def test_thresholds_that_no_run_can_be_asked_for_are_left_out_and_said() -> None:
    found = suggest(np.full(9, 1.9e26))
    assert found.suggestions == ()
    assert found.sentence.endswith("is left out: clipping takes none below 10⁻¹² or above 10¹².")
    found = suggest(np.append(np.full(99, 1e3), np.full(2, 1e20)))
    assert [one.threshold for one in found.suggestions] == [1e3]
    assert "Some thresholds of this scale are left out" in found.sentence


def test_one_norm_alone_is_one_suggestion_and_no_statistics() -> None:
    found = suggest(np.array([0.513, np.nan, np.inf]))
    (one,) = found.suggestions
    assert one.threshold == 0.51
    assert one.reason == "Shortens the one step with such a norm, to 0.99 of its length."
    assert found.sentence == "One norm alone is finite and above 0 (0.51): nothing says whether it is a usual one."
    alike = suggest(np.full(5, 1.04))
    assert len(alike.suggestions) == 1
    assert alike.suggestions[0].reason.startswith("Shortens every step, to 0.96 of the length at the median. ")
    assert "times" not in alike.sentence


@pytest.mark.parametrize("norms", [np.empty(0), np.zeros(5), np.full(3, np.nan)])
def test_without_a_usable_norm_nothing_is_suggested(norms: np.ndarray) -> None:
    found = suggest(norms)
    assert found.suggestions == ()
    assert "nothing to choose" in found.sentence


def test_one_cut_is_that_of_numpy_at_the_nearest_edge() -> None:
    rng = np.random.default_rng(3)
    gradients = (rng.normal(size=(9, 40)) * np.exp(rng.normal(size=(9, 1)))).astype(np.float32)
    found = cut_at(by_value(np.stack([entry_sizes(g) for g in gradients])), 0.55)
    assert found.threshold == 0.5
    raw = gradients.astype(np.float64)
    cut = np.clip(raw, -0.5, 0.5)
    norms, left = np.linalg.norm(raw, axis=1), np.linalg.norm(cut, axis=1)
    cosines = (raw * cut).sum(axis=1) / (norms * left)
    assert found.share == pytest.approx(np.median((np.abs(raw) > 0.5).mean(axis=1)))
    assert found.factor == pytest.approx(np.median(left / norms))
    wanted = np.percentile(cosines, [5, 50, 95])
    assert (found.cosine_p05, found.cosine, found.cosine_p95) == pytest.approx(tuple(wanted))
