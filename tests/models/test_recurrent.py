import pytest
import torch
from torch import nn

from models.cells import CELLS
from models.recurrent import Recurrent

torch.set_num_threads(1)

TWINS = {
    "tanh": lambda *sizes: nn.RNN(*sizes, nonlinearity="tanh"),
    "relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


@pytest.mark.parametrize("cell", TWINS)
@pytest.mark.parametrize("layers", [1, 3])
def test_states_and_parameter_gradients_equal_those_of_torch_nn(cell: str, layers: int) -> None:
    torch.manual_seed(0)
    T, B, size, hidden = 9, 4, 3, 5
    twin = TWINS[cell](size, hidden, layers).double()
    ours = Recurrent(cell, size, hidden, layers).double()
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            for name, parameter in layer.named_parameters():
                parameter.copy_(getattr(twin, f"{name}_l{number}"))
    x = torch.randn(T, B, size, dtype=torch.float64)
    weights = torch.randn(T, B, hidden, dtype=torch.float64)
    output, traces = ours(x)
    expected, _ = twin(x)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    assert len(traces) == layers
    for number, layer in enumerate(ours.layers):
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(parameter.grad, getattr(twin, f"{name}_l{number}").grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_trace_per_layer_bottom_first_with_the_gradients_of_that_layer(cell: str) -> None:
    network = Recurrent(cell, 3, 5, 2)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4)
    output, (bottom, top) = network(torch.randn(6, 2, 3))
    output[-1].sum().backward()
    torch.testing.assert_close(top.h, output.detach())
    torch.testing.assert_close(top.grad_h[-1], torch.ones(2, 5))
    assert bottom.grad_h.abs().max() > 0
    assert not torch.equal(bottom.h, top.h)


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(KeyError, match="lsmt"):
        Recurrent("lsmt", 3, 5)
