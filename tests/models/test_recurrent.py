from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.cells import CELLS
from models.recurrent import Recurrent

torch.set_num_threads(1)

TWINS = {
    "tanh": partial(nn.RNN, nonlinearity="tanh"),
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


# As in tests/diagnostics/recurrence/cases.py: a few roundings u per step add up like a random walk over T steps; here a
# layer more is as many steps more.
TOLERANCE = {dtype: 32 * torch.finfo(dtype).eps / 2 for dtype in (torch.float64, torch.float32)}


def close(got: Tensor, want: Tensor, tolerance: float) -> None:
    assert got.shape == want.shape
    assert (got.double() - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize(
    ("path", "dtype"),
    [("plain", torch.float64), ("plain", torch.float32), ("fused", torch.float32)],
    ids=["plain-float64", "plain-float32", "fused-float32"],
    indirect=["path"],
)
@pytest.mark.parametrize("lengths", [None, [9, 3, 9, 1, 6]], ids=["whole", "mixed"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", TWINS)
def test_states_and_gradients_equal_those_of_torch_nn(
    cell: str, layers: int, bidirectional: bool, lengths: list[int] | None, path: str, dtype: torch.dtype
) -> None:
    """torch.nn in float64, on the same float32 numbers."""
    torch.manual_seed(0)
    T, B, size, hidden, directions = 9, 5, 3, 10, 1 + bidirectional
    twin = TWINS[cell](size, hidden, layers, bidirectional=bidirectional).double()
    ours = Recurrent(cell, size, hidden, layers, bidirectional).to(dtype)
    with torch.no_grad():
        for parameter, theirs in zip(ours.parameters(), twin.parameters(), strict=True):
            parameter.copy_(theirs.uniform_(-0.4, 0.4).copy_(theirs.float()))
    x = torch.randn(T, B, size).double().requires_grad_()
    weights = torch.randn(T, B, directions * hidden).double()
    if lengths is None:
        expected, _ = twin(x)
    else:
        packed, _ = twin(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False))
        expected, _ = pad_packed_sequence(packed, total_length=T)
    (expected.sin() * weights).sum().backward()
    mine = x.detach().to(dtype).requires_grad_()
    output, traces = ours(mine, lengths)
    (output.sin() * weights.to(dtype)).sum().backward()

    tolerance = TOLERANCE[dtype] * (T * layers) ** 0.5
    close(output, expected, tolerance)
    close(mine.grad, x.grad, tolerance)
    for parameter, theirs in zip(ours.parameters(), twin.parameters(), strict=True):
        close(parameter.grad, theirs.grad, tolerance)
    assert [trace.reverse for trace in traces] == [False, True][:directions] * layers
    assert torch.equal(torch.cat([trace.h for trace in traces[-directions:]], 2), output)
    if lengths is not None:
        padding = torch.arange(T)[:, None] >= torch.tensor(lengths)
        assert not output[padding].any()
        assert not mine.grad[padding].any()


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
