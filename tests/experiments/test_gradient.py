import math

import pytest
import torch
from torch import nn

from experiments.gradient import Flat

torch.set_num_threads(1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def with_gradient(scale: float = 1.0) -> tuple[nn.Module, Flat, nn.Module]:
    """A network with its flat parameters, and a twin with the same gradient for torch to clip."""
    ours, twin = network(), network()
    flat = Flat(ours)
    generator = torch.Generator().manual_seed(1)
    for parameter, other in zip(ours.parameters(), twin.parameters(), strict=True):
        gradient = scale * torch.randn(parameter.shape, generator=generator)
        assert parameter.grad is not None
        parameter.grad.copy_(gradient)
        other.grad = gradient.clone()
    return ours, flat, twin


def gradients(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize("threshold", [0.01, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_clipping_by_norm_is_that_of_torch(threshold: float, scale: float) -> None:
    ours, flat, twin = with_gradient(scale)
    clipped = flat.clip("norm", threshold)
    norm = nn.utils.clip_grad_norm_(twin.parameters(), threshold)
    torch.testing.assert_close(gradients(ours), gradients(twin), rtol=1e-6, atol=0)
    assert clipped.norm_pre == pytest.approx(float(norm), rel=1e-6)
    assert clipped.norm_post == pytest.approx(float(gradients(ours).double().norm()), rel=1e-12)
    assert clipped.norm_post <= threshold * (1 + 1e-7)  # each entry is rounded to float32
    assert clipped.factor == pytest.approx(clipped.norm_post / clipped.norm_pre)
    assert (clipped.factor == 1.0) == (clipped.norm_pre < threshold)


@pytest.mark.parametrize("threshold", [0.01, 1.0, 100.0])
def test_clipping_by_value_is_that_of_torch(threshold: float) -> None:
    ours, flat, twin = with_gradient()
    before = float(gradients(ours).double().norm())
    clipped = flat.clip("value", threshold)
    nn.utils.clip_grad_value_(twin.parameters(), threshold)
    assert torch.equal(gradients(ours), gradients(twin))
    assert clipped.norm_pre == pytest.approx(before, rel=1e-12)
    assert clipped.norm_post == pytest.approx(float(gradients(twin).double().norm()), rel=1e-12)


def test_no_clipping_changes_nothing() -> None:
    ours, flat, twin = with_gradient(1e6)
    clipped = flat.clip("none", math.inf)
    assert torch.equal(gradients(ours), gradients(twin))
    assert clipped.factor == 1.0
    assert clipped.norm_pre == clipped.norm_post > 1e6


def test_a_finite_gradient_whose_float32_norm_overflows_is_scaled_where_torch_erases_it() -> None:
    ours, flat, twin = with_gradient(1e30)
    direction = gradients(ours).double() / gradients(ours).double().norm()
    clipped = flat.clip("norm", 1.0)
    nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    assert not gradients(twin).any()  # the trap: torch's update is gone
    torch.testing.assert_close(gradients(ours).double(), direction, rtol=1e-5, atol=1e-7)
    assert math.isfinite(clipped.norm_pre)
    assert clipped.norm_post == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["norm", "none", "value"])
def test_nan_infinity_and_zero_are_counted_before_clipping(kind: str) -> None:
    _, flat, _ = with_gradient()
    flat.gradient[:6] = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 0.0])
    clipped = flat.clip(kind, 1.0)
    assert (clipped.nan_count, clipped.inf_count, clipped.zero_count) == (1, 2, 3)
    assert math.isnan(clipped.norm_pre)
    assert math.isnan(clipped.factor)


def test_one_infinite_entry_ends_as_in_torch() -> None:
    ours, flat, twin = with_gradient()
    for module in (ours, twin):
        first = next(module.parameters()).grad
        assert first is not None
        first[0, 0] = math.inf
    clipped = flat.clip("norm", 1.0)
    nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    assert torch.equal(gradients(ours).isnan(), gradients(twin).isnan())
    assert gradients(ours)[0].isnan()
    assert clipped.norm_pre == math.inf
    assert math.isnan(clipped.norm_post)


def test_a_zero_gradient_is_not_clipped() -> None:
    _, flat, _ = with_gradient(0.0)
    clipped = flat.clip("norm", 1.0)
    assert (clipped.norm_pre, clipped.norm_post, clipped.factor) == (0.0, 0.0, 1.0)
    assert clipped.zero_count == flat.gradient.numel()


def test_the_network_and_the_flat_parameters_are_the_same_numbers() -> None:
    ours, twin = network(), network()
    flat = Flat(ours)
    one = torch.optim.Adam([flat.parameters], lr=0.1)
    several = torch.optim.Adam(twin.parameters(), lr=0.1)
    x = torch.randn(5, 3)
    for _ in range(4):
        flat.gradient.zero_()
        several.zero_grad()
        ours(x).square().sum().backward()
        twin(x).square().sum().backward()
        assert torch.equal(flat.gradient, gradients(twin))
        one.step()
        several.step()
    for parameter, other in zip(ours.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, other)


def test_the_first_parameter_that_is_not_finite_is_named() -> None:
    ours = network()
    flat = Flat(ours)
    assert flat.first_non_finite() is None
    with torch.no_grad():
        ours.get_parameter("1.bias")[1] = math.nan
        ours.get_parameter("1.weight")[0, 0] = math.inf
    assert flat.first_non_finite() == "1.weight"


def test_parameters_whose_sum_overflows_are_finite() -> None:
    flat = Flat(network())
    flat.parameters.detach().fill_(3e38)
    assert flat.first_non_finite() is None
