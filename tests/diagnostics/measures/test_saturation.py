import math

import pytest
import torch

from diagnostics.measures.saturation import saturated
from diagnostics.recurrence import Trace, gru, lstm

torch.set_num_threads(1)


def trace_of(h: list[float]) -> Trace:
    trace = Trace("rnn")
    trace.h = torch.tensor(h).view(1, 1, -1)
    return trace


@pytest.mark.parametrize(
    ("nonlinearity", "share"), [("tanh", 2 / 5), ("sigmoid", 4 / 5), ("relu", 1 / 5), ("identity", 0.0)]
)
def test_each_nonlinearity_is_flat_somewhere_else(nonlinearity: str, share: float) -> None:
    states = {"sigmoid": [0.01, 0.5, 0.96, 0.99, 0.04]}.get(nonlinearity, [-0.96, 0.0, 0.94, 0.99, 0.5])
    assert saturated(trace_of(states), nonlinearity).tolist() == pytest.approx([share])


def test_what_is_nan_is_not_called_saturated() -> None:
    assert saturated(trace_of([math.nan, math.inf, 1.0]), "tanh").tolist() == pytest.approx([2 / 3])


def test_gated_cells_count_their_sigmoid_gates() -> None:
    """Biases of ±9 close or open a gate for good; the candidate does not count."""
    x, H = torch.zeros(3, 2, 1), 4
    bias = torch.tensor([9.0, 0.0, 9.0, -9.0]).repeat_interleave(H)  # i open, f half, g flat, o closed
    *_, of_lstm = lstm(x, None, torch.zeros(4 * H, 1), torch.zeros(4 * H, H), bias, torch.zeros(4 * H))
    assert saturated(of_lstm, "lstm").tolist() == pytest.approx([2 / 3] * 3)
    bias = torch.tensor([0.0, 9.0, 9.0]).repeat_interleave(H)  # r half, z open, n flat
    *_, of_gru = gru(x, None, torch.zeros(3 * H, 1), torch.zeros(3 * H, H), bias, torch.zeros(3 * H))
    assert saturated(of_gru, "gru").tolist() == pytest.approx([1 / 2] * 3)
