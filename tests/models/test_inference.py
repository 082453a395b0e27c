"""The forward pass in NumPy against the torch network, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from models import inference
from models.cells import CELLS
from models.initialise import initialise
from models.network import Network

torch.set_num_threads(1)


def network(
    cell: str,
    *,
    layers: int = 1,
    embedding: int | None = 4,
    vocabulary: int = 6,
    seed: int = 0,
    learned_initial: bool = False,
) -> Network:
    made = Network(
        cell,
        input_size=6 if vocabulary else 2,
        hidden=5,
        layers=layers,
        outputs=3,
        vocabulary=vocabulary,
        embedding=embedding,
        every_step=True,
        learned_initial=learned_initial,
    ).double()
    bias = 0.7 if CELLS[cell].memory_gate else None
    initialise(made, "scaled:1.7", bias, 10, Generator().manual_seed(seed))
    return made


def weights_of(made: Network) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in made.state_dict().items()}


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("embedding", [4, None])
def test_it_is_the_torch_network_to_rounding(cell: str, layers: int, embedding: int | None) -> None:
    made = network(cell, layers=layers, embedding=embedding)
    words = torch.randint(0, 6, (9, 4), generator=Generator().manual_seed(1))
    there = made(words)
    weights = weights_of(made)
    h, carried = inference.run(cell, weights, inference.entered(weights, words.numpy()))
    assert np.abs(h - there.traces[-1].h.numpy()).max() < 1e-12
    assert np.abs(inference.scores(weights, h) - there.outputs.detach().numpy()).max() < 1e-12
    for mine, theirs in zip(carried, there.carried, strict=True):
        assert np.abs(mine[0] - theirs[0].numpy()).max() < 1e-12
        assert (mine[1] is None) == (theirs[1] is None)
        if mine[1] is not None:
            assert theirs[1] is not None
            assert np.abs(mine[1] - theirs[1].numpy()).max() < 1e-12


@pytest.mark.parametrize("cell", list(CELLS))
def test_numbers_enter_as_they_are(cell: str) -> None:
    made = network(cell, vocabulary=0, embedding=None)
    x = torch.randn(7, 3, 2, dtype=torch.float64, generator=Generator().manual_seed(2))
    h, _ = inference.run(cell, weights_of(made), x.numpy())
    assert np.abs(h - made(x).traces[-1].h.numpy()).max() < 1e-12


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 2])
def test_a_learned_initial_state_is_what_it_begins_with(cell: str, layers: int) -> None:
    made = network(cell, layers=layers, learned_initial=True)
    assert made.initial is not None
    for parameter in made.initial.parameters():
        torch.nn.init.normal_(parameter, generator=Generator().manual_seed(3))
    words = torch.randint(0, 6, (5, 3), generator=Generator().manual_seed(1))
    weights = weights_of(made)
    x = inference.entered(weights, words.numpy())
    h, _ = inference.run(cell, weights, x)
    assert np.abs(h - made(words).traces[-1].h.numpy()).max() < 1e-12
    without = {name: value for name, value in weights.items() if not name.startswith("initial")}
    assert np.abs(h - inference.run(cell, without, x)[0]).max() > 1e-3


@pytest.mark.parametrize("cell", list(CELLS))
def test_in_two_goes_with_the_state_carried_it_is_the_same_as_in_one(cell: str) -> None:
    weights = weights_of(network(cell, layers=2))
    x = inference.entered(weights, np.array([[0], [3], [5], [1]]))
    whole, _ = inference.run(cell, weights, x)
    first, carried = inference.run(cell, weights, x[:1])
    rest, _ = inference.run(cell, weights, x[1:], carried)
    assert np.array_equal(np.concatenate([first, rest]), whole)
    nothing, same = inference.run(cell, weights, x[:0], carried)
    assert nothing.shape == (0, 1, 5)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(same, carried, strict=True))


def test_one_step_is_the_equation_as_it_is_written() -> None:
    weights = weights_of(network("tanh", vocabulary=0, embedding=None))
    w_ih, w_hh, b_ih, b_hh = (
        weights[f"recurrent.layers.0.{n}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    x, before = np.array([[0.3, -2.0]]), np.array([[0.1, 0.2, -0.3, 0.4, 0.9]])
    h, c = inference.step("tanh", weights, 0, x, (before, None))
    assert c is None
    assert h[0] == pytest.approx(np.tanh(w_hh @ before[0] + b_hh + w_ih @ x[0] + b_ih), abs=1e-15)


def test_a_one_hot_word_picks_its_column_of_the_input_weights_and_an_embedding_does_the_same() -> None:
    plain = network("tanh", embedding=None)
    weights = weights_of(plain)
    W = weights["recurrent.layers.0.weight_ih"]
    one_hot = inference.entered(weights, np.arange(6)[:, None])
    for word in range(6):
        assert np.array_equal(W @ one_hot[word, 0], W[:, word])
    # an embedding table whose row k is column k of W, read through the identity, is the same network to the last bit
    looked_up = {**weights, "embedding.weight": W.T, "recurrent.layers.0.weight_ih": np.eye(5)}
    h, _ = inference.run("tanh", weights, inference.entered(weights, np.array([[1], [4], [4], [0]])))
    same, _ = inference.run("tanh", looked_up, inference.entered(looked_up, np.array([[1], [4], [4], [0]])))
    assert np.array_equal(h, same)


def test_softmax_and_its_temperature() -> None:
    s = np.array([[1.0, 2.0, 4.0], [1000.0, 1000.0, -1000.0]])
    p = inference.softmax(s)
    assert p == pytest.approx(torch.softmax(torch.from_numpy(s), -1).numpy(), abs=1e-15)
    assert inference.softmax(s, 2.0) == pytest.approx(inference.softmax(s / 2), abs=1e-15)
    assert inference.softmax(s, 1e-9)[0].tolist() == [0, 0, 1]
    assert inference.softmax(s, 1e9)[0] == pytest.approx([1 / 3] * 3, abs=1e-8)
    assert np.isnan(inference.softmax(np.array([np.inf, 1.0]))).all()
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
            inference.softmax(s, wrong)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert inference.sigmoid(np.array([-700.0, 0.0, 700.0])) == pytest.approx([0, 0.5, 1])


def test_what_a_diverged_run_kept_gives_what_it_gives_without_a_word() -> None:
    weights = weights_of(network("relu", vocabulary=0, embedding=None))
    weights["recurrent.layers.0.weight_hh"] = np.full((5, 5), 1e300)
    h, _ = inference.run("relu", weights, np.ones((6, 1, 2)))
    assert not np.isfinite(h[-1]).all()
