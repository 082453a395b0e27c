import math

import pytest
import torch
from torch import Generator, Tensor, nn

from models.initialise import chrono, initialise
from models.network import Network
from models.recurrent import Layer

torch.set_num_threads(1)
H = 16


def made(cell: str, init: str = "torch", gate_bias: float | str | None = None, seed: int = 0) -> Network:
    network = Network(cell, input_size=7, hidden=H, layers=2, outputs=3, vocabulary=7, embedding=4, every_step=False)
    initialise(network, init, gate_bias, 50, Generator().manual_seed(seed))
    return network


def bottom(network: Network) -> Layer:
    layer = network.recurrent.layers[0]
    assert isinstance(layer, Layer)
    return layer


def test_torch_draws_what_torch_nn_draws() -> None:
    twin = nn.LSTM(4, H)
    generator = Generator().manual_seed(3)
    network = made("lstm", seed=3)
    torch.empty(7, 4).normal_(generator=generator)  # the embedding comes first
    for ours, theirs in zip(bottom(network).parameters(), twin.parameters(), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, torch.empty_like(ours).uniform_(-1 / 4, 1 / 4, generator=generator))
        assert theirs.abs().max() <= 1 / 4  # the bound 1/√H, from torch itself
    assert network.head.weight.abs().max() <= 1 / 4


def test_the_seed_alone_decides() -> None:
    first, again, other = made("gru", seed=1), made("gru", seed=1), made("gru", seed=2)
    torch.manual_seed(99)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("cell", "gates"), [("tanh", 1), ("gru", 3), ("lstm", 4)])
def test_orthogonal_and_identity_act_on_each_gate(cell: str, gates: int) -> None:
    for block in bottom(made(cell, "orthogonal")).weight_hh.split(H):
        torch.testing.assert_close(block @ block.T, torch.eye(H), rtol=0, atol=1e-5)
    layer = bottom(made(cell, "identity"))
    assert torch.equal(layer.weight_hh, torch.eye(H).repeat(gates, 1))
    assert not layer.bias_ih.any()
    assert not layer.bias_hh.any()


def test_scaled_multiplies_the_recurrent_weights_alone() -> None:
    plain, scaled = bottom(made("tanh")), bottom(made("tanh", "scaled:1.5"))
    torch.testing.assert_close(scaled.weight_hh, 1.5 * plain.weight_hh)
    assert torch.equal(scaled.weight_ih, plain.weight_ih)


def test_an_unknown_initialisation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"init must be one of .* but got 'xavier'"):
        made("tanh", "xavier")


def blocks(layer: Layer) -> list[Tensor]:
    """The whole bias of each gate."""
    return list((layer.bias_ih + layer.bias_hh).detach().split(H))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_gate_bias_is_the_whole_bias_of_the_memory_gate_and_of_no_other(cell: str) -> None:
    usual, opened = blocks(bottom(made(cell))), blocks(bottom(made(cell, gate_bias=2.5)))
    assert torch.equal(opened[1], torch.full((H,), 2.5))
    assert all(torch.equal(a, b) for i, (a, b) in enumerate(zip(usual, opened, strict=True)) if i != 1)


def test_an_open_gate_remembers() -> None:
    """Which row block is the memory gate, tested by what it does: an input long ago is still felt."""
    for cell in ("gru", "lstm"):
        felt = {}
        for bias in (-6.0, 6.0):
            network = made(cell, gate_bias=bias)
            run = network(torch.zeros(30, 1, dtype=torch.int64), keep_input_grad=True)
            run.outputs.sum().backward()
            felt[bias] = float(run.x.grad[0].norm() / run.x.grad[-1].norm())
        assert felt[6.0] > 0.05
        assert felt[-6.0] < 1e-6


def test_chrono_spreads_the_time_scales_up_to_the_horizon() -> None:
    drawn = chrono(20_000, 101, Generator().manual_seed(0)).exp()
    assert drawn.min() >= 1
    assert drawn.max() <= 100
    # U[1, 100]: mean 50.5, standard error 28.6 / √20000 = 0.2; a quarter lies below 25.75
    assert float(drawn.mean()) == pytest.approx(50.5, abs=1.0)
    assert float((drawn < 25.75).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert chrono(5, 2, Generator().manual_seed(0)).tolist() == [0.0] * 5


def test_chrono_closes_the_input_gate_of_an_lstm_as_far_as_it_opens_the_forget_gate() -> None:
    lstm = blocks(bottom(made("lstm", gate_bias="chrono")))
    assert torch.equal(lstm[0], -lstm[1])
    assert 0 <= lstm[1].min() <= lstm[1].max() <= math.log(49)
    usual, gru = blocks(bottom(made("gru"))), blocks(bottom(made("gru", gate_bias="chrono")))
    assert gru[1].min() >= 0
    assert torch.equal(gru[0], usual[0])
