import pytest
import torch
from torch import Generator

from models.positions import mask, observed

T, B, H = 5, 3, 4


def features() -> torch.Tensor:
    return torch.randn(T, B, H, generator=Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


def test_features_pass_through_and_their_gradient_is_told() -> None:
    plain, ours = features(), features()
    weights = torch.randn(T, B, H, generator=Generator().manual_seed(1), dtype=torch.float64)
    (plain.square() * weights).sum().backward()
    shown, trace = observed(ours)
    assert torch.equal(shown, ours)
    with pytest.raises(RuntimeError, match=r"trace\.grad_h must be read after a backward pass through this positions"):
        _ = trace.grad_h
    (shown.square() * weights).sum().backward()
    assert torch.equal(ours.grad, plain.grad)
    assert torch.equal(trace.grad_h, plain.grad)
    assert (trace.kind, trace.c, dict(trace.gates)) == ("positions", None, {})
    assert torch.equal(trace.h, shown.detach())


def test_padding_is_zero_and_so_is_its_gradient_whatever_arrives() -> None:
    ours = features()
    lengths = [5, 2, 1]
    shown, trace = observed(ours, lengths)
    (shown * float("inf")).nan_to_num(1.0).sum().backward()
    for sample, length in enumerate(lengths):
        assert torch.equal(shown[:length, sample], ours[:length, sample])
        for values in (shown, ours.grad, trace.grad_h, trace.h):
            assert (values[length:, sample] == 0).all()
    assert mask(None, shown) is None
