import numpy as np
import pytest

from diagnostics.measures.weight_gradient import (
    before,
    cancellation,
    recurrent_delta,
    share_norms,
    share_sum,
    sum_error,
)
from tests.diagnostics.measures.recurrent_cases import CELLS, case


def formed(delta: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Every G_k by the definition: [T,G,H,H]."""
    return np.einsum("tbgi,tbj->tgij", delta, states)


def made(T: int, B: int, G: int, H: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, B, G, H)), rng.normal(size=(T, B, H))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("B", "H"), [(1, 5), (2, 6), (6, 4)])
def test_the_shares_are_the_gradient_of_the_recurrent_weights(cell: str, B: int, H: int) -> None:
    found = case(cell, B=B, H=H, layers=2)
    (found.output**2).mean(dim=1).sum().backward()
    for layer, trace in enumerate(found.traces):
        delta = recurrent_delta(trace.kind, trace.grad_preactivation.numpy(), found.gates(layer))
        states = before(trace.h.numpy())
        shares = formed(delta, states)
        norms = share_norms(delta, states)
        np.testing.assert_allclose(norms[:, :-1], np.linalg.norm(shares, axis=(2, 3)), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(norms[:, -1] ** 2, (shares**2).sum(axis=(1, 2, 3)), rtol=1e-12, atol=1e-28)
        gradient = found.recurrent.layers[layer].weight_hh.grad.numpy()
        summed = share_sum(delta, states)
        np.testing.assert_allclose(summed, shares.sum(axis=0).reshape(summed.shape), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(summed, gradient, rtol=1e-11, atol=1e-13)
        assert sum_error(summed, gradient) < 1e-13


def test_a_gru_without_its_reset_gate_is_refused_since_the_sum_would_be_another() -> None:
    found = case("gru")
    found.output.sum().backward()
    with pytest.raises(ValueError, match="gates must be given for a gru"):
        recurrent_delta("gru", found.traces[0].grad_preactivation.numpy())
    with pytest.raises(ValueError, match="kind must be one of rnn, gru, lstm, but got 'tanh'"):
        recurrent_delta("tanh", np.zeros((1, 1, 1)))
    wrong = found.traces[0].grad_preactivation.numpy().reshape(7, 3, 3, 5)
    states = before(found.traces[0].h.numpy())
    assert sum_error(share_sum(wrong, states), found.recurrent.layers[0].weight_hh.grad.numpy()) > 1e-3


def test_samples_that_cancel_keep_their_digits() -> None:
    delta, states = made(3, 2, 1, 20)
    delta[:, 1], states[:, 1] = -delta[:, 0], states[:, 0] * (1 + 1e-9)
    exact = np.linalg.norm(formed(delta, states), axis=(2, 3))
    assert exact.max() < 1e-7
    np.testing.assert_allclose(share_norms(delta, states)[:, :1], exact, rtol=1e-7)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_neither_squares_nor_products_leave_the_range(size: float) -> None:
    delta, states = made(4, 2, 3, 12)
    np.testing.assert_allclose(share_norms(delta * size, states), size * share_norms(delta, states), rtol=1e-12)
    small = share_norms(delta * size, states)
    summed = share_sum(delta * size, states)
    np.testing.assert_allclose(
        cancellation(small, summed), cancellation(share_norms(delta, states), share_sum(delta, states)), rtol=1e-12
    )


def test_what_is_not_finite_stays_so_at_its_timestep_alone() -> None:
    delta, states = made(4, 2, 1, 12)
    whole = share_norms(delta, states)
    delta[1, 0, 0, 3], delta[2, 0, 0, 3] = np.inf, np.nan
    norms = share_norms(delta, states)
    np.testing.assert_array_equal(norms[1], [np.inf, np.inf])
    assert np.isnan(norms[2]).all()
    np.testing.assert_array_equal(norms[[0, 3]], whole[[0, 3]])


def test_shares_of_one_direction_do_not_cancel_and_opposite_ones_do() -> None:
    delta, states = made(1, 2, 2, 3)
    same = np.repeat(delta, 5, axis=0) * np.arange(1, 6).reshape(5, 1, 1, 1)
    all_states = np.repeat(states, 5, axis=0)
    np.testing.assert_allclose(cancellation(share_norms(same, all_states), share_sum(same, all_states)), 1, rtol=1e-12)
    signs = np.array([1, -1, 1, -1, 1]).reshape(5, 1, 1, 1)
    found = cancellation(share_norms(signs * same, all_states), share_sum(signs * same, all_states))
    np.testing.assert_allclose(found, 3 / 15, rtol=1e-12)


def test_no_gradient_has_no_cancellation_to_speak_of() -> None:
    delta, states = np.zeros((3, 2, 1, 4)), np.ones((3, 2, 4))
    norms = share_norms(delta, states)
    assert not norms.any()
    assert np.isnan(cancellation(norms, share_sum(delta, states))).all()
    assert sum_error(np.zeros((2, 2)), np.zeros((2, 2))) == 0
    assert sum_error(np.ones((2, 2)), np.zeros((2, 2))) == np.inf


def test_formed_in_parts_or_at_once_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    delta, states = made(9, 8, 2, 4)
    whole = share_norms(delta, states)
    monkeypatch.setattr("diagnostics.measures.weight_gradient._BLOCK_BYTES", 3 * 8 * 2 * 16)
    np.testing.assert_array_equal(share_norms(delta, states), whole)
