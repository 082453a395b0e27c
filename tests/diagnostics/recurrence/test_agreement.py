"""The instrumented recurrences against plain autograd: their twins, the cut network, gradcheck and torch.nn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import diagnostics.recurrence as fast
from diagnostics.recurrence import products, reference

from .cases import GATES, TOLERANCE, cut_gradients, error, problem

SHAPES = ((1, 1, 1, 1), (2, 3, 2, 4), (7, 1, 5, 3), (23, 33, 1, 2), (200, 2, 3, 8), (12, 5, 40, 64), (64, 33, 10, 64))
LOSSES = ("last", "every", "random", "final")
BIASES = ("both", "none", "ih", "hh")


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", GATES)
def test_everything_equals_the_plain_twin(cell: str, shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    at = SHAPES.index(shape)
    for k, loss in enumerate(LOSSES if at < 5 else LOSSES[at % 4 :][:1]):
        p = problem(cell, shape, dtype=dtype, biases=BIASES[(at + k) % 4], state=(at + k) % 3 > 0, loss=loss, seed=at)
        seen = []
        for module in (fast, reference):
            output, h_n, c_n, trace = p.run(module)
            gradients = torch.autograd.grad(p.loss(output, h_n, c_n), p.leaves())
            everything = {"output": output, "h_n": h_n, "h": trace.h, **trace.gates}
            everything |= {"grad_h": trace.grad_h, "grad_preactivation": trace.grad_preactivation}
            if c_n is not None:
                everything |= {"c_n": c_n, "c": trace.c, "grad_c": trace.grad_c}
            everything |= {f"gradient {n}": gradient for n, gradient in enumerate(gradients)}
            seen.append(everything)
        assert seen[0].keys() == seen[1].keys()
        for name, got in seen[0].items():
            assert got.dtype == dtype
            assert error(got, seen[1][name]) <= TOLERANCE[dtype], f"{name}, loss at {loss}"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("cell", GATES)
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


@pytest.mark.parametrize("biases", ["both", "none"])
@pytest.mark.parametrize("cell", GATES)
def test_gradcheck(cell: str, biases: str) -> None:
    p = problem(cell, (4, 2, 3, 3), biases=biases, seed=2)
    leaves = p.leaves()

    def run(*_: Tensor) -> tuple[Tensor, ...]:
        output, h_n, c_n, _ = p.run(fast)
        return (output, h_n) if c_n is None else (output, h_n, c_n)

    assert torch.autograd.gradcheck(run, leaves, fast_mode=False)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", ["tanh", "relu", "gru", "lstm"])
def test_outputs_and_gradients_equal_torch_nn(cell: str, bias: bool, dtype: torch.dtype) -> None:
    p = problem(cell, (40, 9, 6, 16), dtype=dtype, biases="both" if bias else "none", seed=7)
    options = {"bias": bias, "dtype": dtype}
    layer: nn.RNNBase
    if cell in ("tanh", "relu"):
        layer = nn.RNN(6, 16, nonlinearity=cell, **options)
    else:
        layer = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](6, 16, **options)
    parameters = [weight for weight in p.parameters if weight is not None]
    for theirs, ours in zip(layer.parameters(), parameters, strict=True):
        theirs.data.copy_(ours.data)
    assert p.h0 is not None
    state = (p.h0[None], p.c0[None]) if p.c0 is not None else p.h0[None]
    output, last = layer(p.x, state)
    h_n, c_n = (last[0][0], last[1][0]) if cell == "lstm" else (last[0], None)
    states = [s for s in (p.x, p.h0, p.c0) if s is not None]
    want = torch.autograd.grad(p.loss(output, h_n, c_n), [*states, *layer.parameters()])
    ours = p.run(fast)
    got = torch.autograd.grad(p.loss(*ours[:3]), [*states, *parameters])
    for mine, theirs in zip((ours[0], ours[1], *got), (output, h_n, *want), strict=True):
        assert error(mine, theirs) <= TOLERANCE[dtype]


@pytest.mark.parametrize("cell", GATES)
def test_the_length_of_a_block_changes_nothing(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem(cell, (13, 4, 40, 6), seed=3)
    seen = []
    for size in (1, 13 * 4 * 6 * 8 * 2, products.BLOCK_BYTES):  # one step, a few steps, all steps
        monkeypatch.setattr(products, "BLOCK_BYTES", size)
        output, h_n, c_n, trace = p.run(fast)
        gradients = torch.autograd.grad(p.loss(output, h_n, c_n), p.leaves())
        seen.append([output, h_n, trace.grad_h, trace.grad_preactivation, *gradients])
    for other in seen[1:]:
        assert all(error(a, b) <= 1e-13 for a, b in zip(other, seen[0], strict=True))


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
