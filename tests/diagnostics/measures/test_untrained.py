"""The state gradient before training, against the torch twins, and beginnings against those of real networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diagnostics.measures.untrained import (
    ANSWERS,
    INPUTS,
    Layer,
    Way,
    begin,
    described,
    forward,
    state_gradient,
    untrained,
)
from diagnostics.recurrence import reference
from models.initialise import initialise
from models.network import Network

CELLS = ("tanh", "sigmoid", "relu", "identity", "gru", "lstm")
TIMESTEPS, B, H = 7, 3, 6
HUGE = 1000


def twin(layer: Layer, x: np.ndarray, direct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h [T,B,H] and the norm of the state gradient [T,B], from plain autograd in float64."""
    tensors = [torch.from_numpy(value).requires_grad_() for value in layer[1:]]
    if layer.cell == "lstm":
        h, _, trace = reference.lstm(torch.from_numpy(x), None, *tensors)
    elif layer.cell == "gru":
        h, _, trace = reference.gru(torch.from_numpy(x), None, *tensors)
    else:
        h, _, trace = reference.rnn(torch.from_numpy(x), None, *tensors, layer.cell)
    (h[-1] * torch.from_numpy(direct)).sum().backward()
    squared = trace.grad_h.square().sum(2)
    if trace.grad_c is not None:
        squared = squared + trace.grad_c.square().sum(2)
    return h.detach().numpy(), squared.sqrt().numpy()


@pytest.mark.parametrize("way", [("torch", None), ("orthogonal", 2.0), ("identity", "chrono"), ("scaled:2.5", -1.0)])
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_are_those_of_plain_autograd(cell: str, way: tuple[str, float | str | None]) -> None:
    layer = begin(Way(cell, *way), H, 5, TIMESTEPS, seed=4)
    rng = np.random.default_rng(1)
    x, direct = rng.standard_normal((TIMESTEPS, B, 5)), rng.standard_normal((B, H))
    h, kept = forward(layer, x)
    wanted_h, wanted = twin(layer, x, direct)
    np.testing.assert_allclose(h, wanted_h, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(state_gradient(layer, h, kept, direct), wanted, rtol=1e-11)


def torch_layer(way: Way, hidden: int, horizon: int, seed: int) -> Layer:
    """The bottom layer of a network that ``models.initialise`` filled."""
    about = {"input_size": INPUTS, "hidden": hidden, "layers": 1, "outputs": ANSWERS, "vocabulary": 0}
    network = Network(way.cell, **about, embedding=None, every_step=False)
    initialise(network, way.init, way.gate_bias, horizon, torch.Generator().manual_seed(seed))
    made = network.recurrent.layers[0]
    parts = (made.weight_ih, made.weight_hh, made.bias_ih, made.bias_hh)
    return Layer(way.cell, *(part.detach().double().numpy() for part in parts))


@pytest.mark.parametrize("gate_bias", [None, 1.5, "chrono"])
@pytest.mark.parametrize("init", ["torch", "orthogonal", "identity", "scaled:1.7"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_begins_as_those_of_real_networks_do(cell: str, init: str, gate_bias: float | str | None) -> None:
    """What is settled is equal; what is drawn has the same bounds, mean and spread in every block."""
    way, hidden, horizon = Way(cell, init, gate_bias), 64, 50
    ours, theirs = begin(way, hidden, INPUTS, horizon), torch_layer(way, hidden, horizon, 0)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert mine.shape == other.shape
        for own, its in zip(np.split(mine, len(mine) // hidden), np.split(other, len(other) // hidden), strict=True):
            error = own.std() / math.sqrt(own.size) + its.std() / math.sqrt(its.size)
            assert abs(own.mean() - its.mean()) <= 4 * error + 1e-7
            assert own.std() == pytest.approx(its.std(), rel=0.3, abs=1e-7)
            assert abs(own).max() == pytest.approx(abs(its).max(), rel=0.35, abs=1e-7)
    if init == "orthogonal":
        for block in np.split(ours.w_hh, len(ours.w_hh) // hidden):
            np.testing.assert_allclose(block @ block.T, np.eye(hidden), atol=1e-12)
    if init == "identity":
        np.testing.assert_array_equal(ours.w_hh, theirs.w_hh)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_chrono_has_the_same_distribution_and_the_input_gate_its_opposite(cell: str) -> None:
    way = Way(cell, "torch", "chrono")
    ours, theirs = (layer.b_ih + layer.b_hh for layer in (begin(way, HUGE, 1, 101), torch_layer(way, 64, 101, 3)))
    mine = np.exp(ours[HUGE : 2 * HUGE])
    assert mine.min() >= 1
    assert mine.max() <= 100
    assert mine.mean() == pytest.approx(50.5, abs=4.0)  # standard error 0.9
    assert np.exp(theirs[64:128]).max() <= 100
    if cell == "lstm":
        np.testing.assert_array_equal(ours[:HUGE], -ours[HUGE : 2 * HUGE])


@pytest.mark.parametrize("way", [Way("tanh"), Way("relu", "identity"), Way("gru"), Way("lstm", "orthogonal", 2.0)])
def test_the_profile_is_that_of_a_network_that_torch_began(way: Way) -> None:
    """Medians over seeds of the factor per step, from weights that the two rooms drew each by itself."""

    def rate(norms: np.ndarray) -> float:
        median = np.median(norms, axis=1)
        return float((median[-21] / median[-1]) ** (1 / 20))

    def ours(seed: int) -> float:
        median = untrained(way, 64, 30, seed).median
        return float((median[20] / median[0]) ** (1 / 20))

    def theirs(seed: int) -> float:
        rng = np.random.default_rng(seed)
        layer = torch_layer(way, 64, 30, seed)
        h, kept = forward(layer, rng.standard_normal((30, 16, INPUTS)))
        return rate(state_gradient(layer, h, kept, rng.standard_normal((16, 64))))

    assert np.median([ours(seed) for seed in range(7)]) == pytest.approx(
        np.median([theirs(seed) for seed in range(7)]), rel=0.05
    )


def test_a_linear_orthogonal_layer_keeps_every_gradient_as_it_is() -> None:
    found = untrained(Way("identity", "orthogonal"), 32, 80)
    np.testing.assert_allclose(found.median, found.median[0], rtol=1e-10)


def test_a_linear_layer_answers_to_its_scale_step_by_step() -> None:
    """∂h_{T−1−k} = (g W)ᵀ^k ∂h_{T−1}: the head's error apart, halving g halves the gradient at every step back."""
    one, half = (begin(Way("identity", f"scaled:{g}"), 16, 4, 40) for g in (1.0, 0.5))
    h, direct = np.zeros((40, 2, 16)), np.random.default_rng(0).standard_normal((2, 16))
    whole, halved = (state_gradient(layer, h, {}, direct)[::-1] for layer in (one, half))
    np.testing.assert_allclose(halved, whole * 0.5 ** np.arange(40)[:, None], rtol=1e-12)


def test_what_overflows_is_kept_as_infinite_or_not_a_number() -> None:
    found = untrained(Way("identity", "scaled:1e12"), 16, 60)
    assert not np.isfinite(found.median[-1])
    assert not (found.median == 0).any()


def test_the_same_seed_draws_the_same_numbers_whatever_the_way() -> None:
    one, other = (
        begin(Way("lstm", init, bias), H, 5, TIMESTEPS, 1) for init, bias in (("torch", None), ("scaled:2", 3.0))
    )
    np.testing.assert_array_equal(one.w_ih, other.w_ih)
    np.testing.assert_array_equal(2 * one.w_hh, other.w_hh)


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="cell must be one of"):
        begin(Way("elman"), H, 5, TIMESTEPS)
    with pytest.raises(ValueError, match=r"init must be one of .* but got 'xavier'"):
        begin(Way("tanh", "xavier"), H, 5, TIMESTEPS)


def test_ways_are_said_in_words() -> None:
    assert described(Way("tanh", "torch", 1.0)) == "torch’s default"
    assert described(Way("lstm", "scaled:1.5", "chrono")) == "scaled by 1.5, chrono"
    assert described(Way("gru", "orthogonal", 2.0)) == "orthogonal, gate bias 2"
