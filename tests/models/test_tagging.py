"""A sentence in NumPy, in one direction and in two, against torch and its instrumented backward, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from models.cells import CELLS
from models.recurrent import Recurrent
from models.tagging import directions, heard, tag
from models.trail import back, end, trail

T, READ, H, C, V = 7, 3, 4, 3, 6


class Whole(nn.Module):
    """What the weights of a network look like, with numbers of any size in all of them."""

    def __init__(self, cell: str, layers: int, bidirectional: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(V, READ)
        self.recurrent = Recurrent(cell, READ, H, layers, bidirectional)
        self.head = nn.Linear(H * (2 if bidirectional else 1), C)
        for parameter in self.recurrent.parameters():
            nn.init.uniform_(parameter, -0.8, 0.8)
        self.double()

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self.state_dict().items()}


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("at", [0, 3, T - 1])
def test_answers_and_the_gradient_of_one_agree_with_torch(cell: str, layers: int, bidirectional: bool, at: int) -> None:
    network, words, target = Whole(cell, layers, bidirectional), np.array([1, 5, 2, 2, 0, 4, 3]), 2
    states, traces = network.recurrent(network.embedding(torch.from_numpy(words)[:, None]))
    outputs = network.head(states)[:, 0]
    functional.cross_entropy(outputs[at][None], torch.tensor([target])).backward()
    tagged = tag(cell, network.weights(), words)
    assert directions(network.weights()) == 1 + bidirectional
    np.testing.assert_allclose(tagged.probabilities, outputs.softmax(1).detach().numpy(), atol=1e-12)

    def norm(trace) -> np.ndarray:
        parts = [trace.grad_h] if trace.grad_c is None else [trace.grad_h, trace.grad_c]
        return torch.cat(parts, 2).norm(dim=2)[:, 0].numpy()

    past, future = heard(tagged, network.weights(), at, target)
    forward = norm(traces[-2 if bidirectional else -1])
    np.testing.assert_allclose(past, forward[: at + 1], atol=1e-12)
    assert (forward[at + 1 :] == 0).all()
    assert (future is not None) == bidirectional
    if future is not None:
        backward = norm(traces[-1])
        np.testing.assert_allclose(future, backward[at:], atol=1e-12)
        assert (backward[:at] == 0).all()
        assert past[at] > 0
        assert future[0] > 0


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_way_that_is_gone_in_two_parts_is_the_whole_way(cell: str) -> None:
    weights = {f"way.{name}": value for name, value in _layer(cell).items()}
    x, arriving = np.random.default_rng(0).normal(size=(9, READ)), np.arange(1.0, H + 1)
    whole = trail(cell, weights, "way", x)
    first = trail(cell, weights, "way", x[:4])
    second = trail(cell, weights, "way", x[4:], end(first))
    norms, _ = back(whole, 8, arriving)
    later, over = back(second, 4, arriving)
    earlier, _ = back(first, 3, over)
    np.testing.assert_allclose(np.concatenate([earlier, later]), norms, rtol=1e-12)
    nowhere = end(trail(cell, weights, "way", x[:0], end(first)))
    np.testing.assert_array_equal(nowhere[0], end(first)[0])


def _layer(cell: str) -> dict[str, np.ndarray]:
    rng, rows = np.random.default_rng(1), CELLS[cell].gates * H
    shapes = {"weight_ih": (rows, READ), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}
    return {name: rng.uniform(-0.8, 0.8, shape) for name, shape in shapes.items()}


def test_a_word_that_is_not_in_the_vocabulary_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        tag("tanh", Whole("tanh", 1, True).weights(), np.array([1, V]))
