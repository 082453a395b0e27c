import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diagnostics.measures.saturation import saturated
from diagnostics.recurrence import Trace, gru, lstm, paths

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


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "relu", "identity"])
@given(
    values=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=40),
        elements=st.one_of(
            st.floats(width=32), st.sampled_from([0.0, 0.05, 0.5, 0.95, 0.951, -0.95, -0.96]).map(np.float32)
        ),
    )
)
def test_both_paths_count_as_numpy_does(nonlinearity: str, values: np.ndarray) -> None:
    trace = Trace("rnn")
    trace.h = torch.from_numpy(values)
    f = np.float32
    with np.errstate(invalid="ignore"):
        flags = {
            "tanh": np.abs(values) > f(0.95),
            "sigmoid": np.abs(values - f(0.5)) > f(0.45),
            "relu": values == 0,
            "identity": np.zeros_like(values, dtype=bool),
        }[nonlinearity]
    for path in ("plain", "fused"):
        with paths.use(path):
            np.testing.assert_array_equal(saturated(trace, nonlinearity), flags.mean((1, 2)))


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("H", [1, 16, 17, 40])
def test_gates_lie_side_by_side_in_one_tensor(kind: str, H: int) -> None:
    names, counted = {"gru": ("rzn", "rz"), "lstm": ("ifgo", "ifo")}[kind]
    whole = torch.rand(3, 5, len(names) * H, generator=torch.Generator().manual_seed(0))
    trace = Trace(kind)
    trace.gates = dict(zip(names, whole.split(H, 2), strict=True))
    flags = torch.cat([(trace.gates[name] - 0.5).abs() > 0.45 for name in counted], 2).double()
    for path in ("plain", "fused"):
        with paths.use(path):
            np.testing.assert_allclose(saturated(trace, ""), flags.mean((1, 2)).numpy(), rtol=1e-15)
