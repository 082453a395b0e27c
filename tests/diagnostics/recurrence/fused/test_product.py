"""Products tile by tile are products, for every shape of the edges, and write nothing else."""

from __future__ import annotations

import pytest
import torch
from numba import njit

from diagnostics.recurrence import paths, rnn
from diagnostics.recurrence.fused.pack import pack
from diagnostics.recurrence.fused.product import product
from diagnostics.recurrence.fused.vectors import W


@njit
def multiply(*arguments):
    product(*arguments)


@pytest.mark.parametrize("M", [1, 3, 4, 9])
@pytest.mark.parametrize("K", [1, 7, 32])
@pytest.mark.parametrize("N", [1, W - 1, W, W + 3, 3 * W, 4 * W, 7 * W + 5])
@pytest.mark.parametrize("packed", [True, False])
def test_product(M, K, N, packed):
    generator = torch.Generator().manual_seed(0)
    a, b, start = (torch.randn(shape, generator=generator) for shape in ((M, K), (K, N), (M, N)))
    into = torch.full((M * N + W,), -7.0)
    p, strides = (pack(b.t().contiguous()), (4 * W, 4 * W * K)) if packed else (b.clone(), (4 * N, 4 * W))
    places = into.data_ptr(), 4 * N, start.data_ptr(), 4 * N, a.data_ptr(), 4 * K, 4
    multiply(*places, p.data_ptr(), *strides, K, M, N)
    exact = start.double() + a.double() @ b.double()
    assert (into[: M * N].view(M, N) - exact).abs().max() < 1e-6 * K
    assert (into[M * N :] == -7).all()


def test_a_transposed_factor():
    """δᵀ h: a stride for every direction of A."""
    delta, h = torch.randn(50, 6), torch.randn(50, W + 2)
    into = torch.zeros(6, W + 2)
    wide = 4 * (W + 2)
    places = into.data_ptr(), wide, into.data_ptr(), wide, delta.data_ptr(), 4, 24
    multiply(*places, h.data_ptr(), wide, 4 * W, 50, 6, W + 2)
    assert (into - delta.double().t() @ h.double()).abs().max() < 1e-5


def test_a_long_sum_of_equal_terms_keeps_its_precision():
    """Rounding errors of equal terms do not cancel: one by one, 32,000 of them would be off by 2e-4."""
    weights = torch.ones(1, 1), torch.zeros(1, 1)
    bias = torch.zeros(1, requires_grad=True)
    with paths.use("fused"):
        output, _, _ = rnn(torch.ones(1000, 32, 1), None, *weights, bias, None, "identity")
    output.backward(torch.full_like(output, 0.1))
    assert bias.grad.item() == pytest.approx(32_000 * float(torch.tensor(0.1)), rel=2e-5)


@pytest.mark.parametrize("gates", [1, 3])
@pytest.mark.parametrize("H", [1, W, W + 1])
def test_packed_weights_hold_every_weight_once_and_zeros_else(gates, H):
    w = torch.arange(1.0, gates * H * 5 + 1).view(gates * H, 5)
    packed = pack(w, gates)
    assert packed.shape == (-(-H // W), gates, 5, W)
    assert packed.sum() == w.sum()
    unit = H - 1
    assert packed[unit // W, gates - 1, 2, unit % W] == w[-1, 2]
