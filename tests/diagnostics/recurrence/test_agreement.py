"""The instrumented recurrences against plain autograd: their twins, the cut network, gradcheck and torch.nn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diagnostics.recurrence as fast
from diagnostics.recurrence import products

from .cases import CELLS, WALKS, WAYS, cut_gradients, error, of_twin, problem, tolerance

# Every odd size alone and with others: B and H next to the widths of vectors and tiles, one and none beyond them.
SHAPES = (
    (1, 1, 1, 1),
    (2, 3, 2, 4),
    (7, 1, 5, 3),
    (23, 33, 1, 2),
    (200, 2, 3, 8),
    (12, 5, 40, 64),
    (2, 17, 64, 10),
    (9, 17, 3, 33),
    (6, 5, 64, 100),
    (11, 3, 3, 1),
    (5, 16, 1, 7),
    (3, 1, 1, 16),
    (64, 33, 10, 64),
)
LOSSES = ("last", "every", "random", "final")
BIASES = ("both", "none", "ih", "hh")


@WAYS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("walk", WALKS)
@CELLS
def test_everything_equals_the_plain_twin(
    cell: str, walk: str, shape: tuple[int, int, int, int], path: str, dtype: torch.dtype
) -> None:
    at = SHAPES.index(shape) + list(WALKS).index(walk)
    if cell == "relu" and shape[1] == 33:
        shape = (shape[0], 4, *shape[2:])  # or one of many units lies so near its kink that rounding decides its slope
    for k, loss in enumerate(LOSSES if shape[0] * shape[1] <= 100 else LOSSES[at % 4 :][:1]):
        how: dict[str, Any] = {"biases": BIASES[(at + k) % 4], "state": (at + k) % 3 > 0, "loss": loss, "seed": at}
        want, scales = of_twin(cell, shape, **how, **WALKS[walk])
        got = problem(cell, shape, dtype=dtype, **how, **WALKS[walk]).everything(fast)
        assert got.keys() == want.keys()
        for name, value in got.items():
            assert value.dtype == dtype
            assert error(value, want[name], scales[name]) <= tolerance(dtype, shape[0]), f"{name}, loss at {loss}"


@pytest.mark.parametrize("loss", LOSSES)
@CELLS
def test_state_gradients_are_those_of_the_cut_network(cell: str, loss: str) -> None:
    p = problem(cell, (17, 3, 2, 5), loss=loss, seed=5)
    output, h_n, c_n, trace = p.run(fast)
    p.loss(output, h_n, c_n).backward()
    of_h, of_c = cut_gradients(p)
    for t, (want_h, want_c) in enumerate(zip(of_h, of_c, strict=True)):
        assert error(trace.grad_h[t], want_h) <= 1e-10, t
        if cell == "lstm":
            assert error(trace.grad_c[t], want_c) <= 1e-10, t
    if cell != "lstm":
        assert trace.grad_c is None


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("biases", ["both", "none"])
@CELLS
def test_gradcheck(cell: str, biases: str, walk: str) -> None:
    p = problem(cell, (4, 2, 2, 2), biases=biases, seed=2, **WALKS[walk])
    leaves = p.leaves()

    def run(*_: Tensor) -> tuple[Tensor, ...]:
        output, h_n, c_n, _ = p.run(fast)
        return (output, h_n) if c_n is None else (output, h_n, c_n)

    assert torch.autograd.gradcheck(run, leaves, fast_mode=False)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("cell", ["tanh", "relu", "gru", "lstm"])
@WAYS
def test_outputs_and_gradients_equal_torch_nn(cell: str, bias: bool, path: str, dtype: torch.dtype) -> None:
    """Both directions, samples of different lengths; torch.nn in float64."""
    p = problem(cell, (40, 9, 6, 16), lengths="mixed", biases="both" if bias else "none", seed=7)
    q = problem(cell, (40, 9, 6, 16), lengths="mixed", reverse=True, biases="both" if bias else "none", seed=8)
    q.x, q.lengths = p.x, p.lengths
    options: dict[str, Any] = {"bias": bias, "dtype": torch.float64, "bidirectional": True}
    layer: nn.RNNBase
    if cell in ("tanh", "relu"):
        layer = nn.RNN(6, 16, nonlinearity=cell, **options)
    else:
        layer = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](6, 16, **options)
    parameters = [weight for direction in (p, q) for weight in direction.parameters if weight is not None]
    for theirs, ours in zip(layer.parameters(), parameters, strict=True):
        theirs.data.copy_(ours.data)
    state: Any = torch.stack((p.h0, q.h0))
    if cell == "lstm":
        state = state, torch.stack((p.c0, q.c0))
    packed, last = layer(nn.utils.rnn.pack_padded_sequence(p.x, p.lengths, enforce_sorted=False), state)
    output, _ = nn.utils.rnn.pad_packed_sequence(packed, total_length=40)
    h_n, c_n = last if cell == "lstm" else (last, [None, None])
    loss = p.loss(output[..., :16], h_n[0], c_n[0]) + q.loss(output[..., 16:], h_n[1], c_n[1])
    of_theirs = torch.autograd.grad(loss, [p.x, *layer.parameters()])
    want = [output[..., :16], output[..., 16:], h_n[0], h_n[1], *of_theirs]

    for direction in (p, q):
        direction.to(dtype)
    q.x = p.x
    parameters = [weight for direction in (p, q) for weight in direction.parameters if weight is not None]
    ours = [direction.run(fast) for direction in (p, q)]
    loss = p.loss(*ours[0][:3]) + q.loss(*ours[1][:3])
    of_ours = torch.autograd.grad(loss, [p.x, *parameters])
    got = [ours[0][0], ours[1][0], ours[0][1], ours[1][1], *of_ours]
    for mine, theirs in zip(got, want, strict=True):
        assert error(mine, theirs) <= tolerance(dtype, 40)
    assert not of_ours[0][p.padding()].any()


@CELLS
@WAYS
def test_the_length_of_a_block_changes_nothing(
    cell: str, path: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    for walk in WALKS.values():
        p = problem(cell, (13, 4, 40, 6), dtype=dtype, seed=3, **walk)
        seen = []
        for size in (1, 13 * 4 * 6 * 8 * 2, products.BLOCK_BYTES):  # one step, a few steps, all steps
            monkeypatch.setattr(products, "BLOCK_BYTES", size)
            seen.append(p.everything(fast))
        for other in seen[1:]:
            assert all(error(value, seen[0][name]) <= tolerance(dtype, 13) for name, value in other.items())


@pytest.mark.parametrize("alpha", [0.9, 1.0, 1.1])
def test_a_scaled_rotation_changes_the_gradient_by_its_scale_per_step(alpha: float) -> None:
    """science: with W = αQ, Q orthogonal and h = W h + U x, ‖∂L/∂h_t‖ changes by exactly α a step."""
    p = problem("identity", (60, 4, 3, 8), loss="last", seed=11)
    rotation = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0]
    p.parameters[1] = alpha * rotation
    output, h_n, _, trace = p.run(fast)
    p.loss(output, h_n, None).backward()
    norms = trace.grad_h.norm(dim=2)
    torch.testing.assert_close(norms[:-1] / norms[1:], torch.full((59, 4), alpha, dtype=torch.float64))


def test_a_constant_forget_gate_passes_the_cell_gradient_by_its_power() -> None:
    """science: LSTM with constant f and a loss on the final c: the direct path is f to the number of steps."""
    T, B, H = 50, 3, 4
    w_ih, w_hh = torch.zeros(4 * H, 2, dtype=torch.float64), torch.zeros(4 * H, H, dtype=torch.float64)
    bias = torch.zeros(4 * H, dtype=torch.float64)
    bias[H : 2 * H] = torch.linspace(-1.0, 3.0, H)
    x = torch.randn(T, B, 2, dtype=torch.float64, requires_grad=True)
    _, (_, c_n), trace = fast.lstm(x, None, w_ih, w_hh, bias, None)
    c_n.sum().backward()
    f = torch.sigmoid(bias[H : 2 * H])
    want = f ** torch.arange(T - 1, -1, -1, dtype=torch.float64)[:, None]
    torch.testing.assert_close(trace.grad_c, want[:, None, :].expand(T, B, H))
    assert not trace.grad_h.any()
