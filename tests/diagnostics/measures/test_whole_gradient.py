from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from diagnostics.measures.whole_gradient import SMALL, clip, measured, norm_of, surely_finite


def parts(dtype: torch.dtype = torch.float32, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(*shape, generator=generator).to(dtype) for shape in ((3, 4), (5,), (2, 2, 2))]


def test_the_norm_is_that_of_all_parts_laid_end_to_end() -> None:
    whole = torch.cat([part.flatten() for part in parts()]).double()
    assert norm_of(parts()) == pytest.approx(float(whole.norm()), rel=1e-12)
    assert norm_of([]) == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("entries", [1, SMALL, SMALL + 1])
def test_the_norm_of_a_part_is_the_same_however_large_it_is(entries: int, dtype: torch.dtype) -> None:
    part = torch.randn(entries, dtype=torch.float64).to(dtype)
    assert norm_of([part]) == pytest.approx(math.sqrt(float(part.double().square().sum())), rel=1e-13)


@pytest.mark.parametrize("entries", [3, SMALL + 1])
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_missed_in_no_part(entries: int, broken: float) -> None:
    good, bad = torch.full((entries,), 1e38), torch.zeros(entries)
    bad[entries // 2] = broken
    assert surely_finite([])
    assert surely_finite([bad.nan_to_num(posinf=0, neginf=0), torch.tensor(2.0)])
    assert not surely_finite([torch.ones(2), bad])
    assert surely_finite([good]) is (entries <= SMALL)  # the sum of a large part may overflow


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_it_neither_overflows_nor_underflows(scale: float) -> None:
    assert norm_of(parts(scale=scale)) == pytest.approx(scale * norm_of(parts()), rel=1e-6)


def test_what_is_not_finite_and_what_is_zero_is_counted() -> None:
    one = torch.tensor([0.0, math.nan, math.inf, -math.inf, 2.0])
    found = measured([one, torch.zeros(2, 2)])
    assert (found.nan_count, found.inf_count, found.zero_count) == (1, 2, 5)
    assert math.isnan(found.norm)
    assert measured([one[2:]]).norm == math.inf


@pytest.mark.parametrize("threshold", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clipping_is_that_of_torch(threshold: float, dtype: torch.dtype) -> None:
    ours = parts(dtype)
    parameters = [nn.Parameter(torch.zeros_like(part)) for part in ours]
    for parameter, part in zip(parameters, parts(dtype), strict=True):
        parameter.grad = part
    total = nn.utils.clip_grad_norm_(parameters, threshold)
    found = clip(ours, "norm", threshold)
    assert found.norm_pre == pytest.approx(float(total), rel=1e-6)
    for one, parameter in zip(ours, parameters, strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=0)
    by_value = parts(dtype)
    nn.utils.clip_grad_value_(parameters, threshold)
    found = clip(by_value, "value", threshold)
    assert found.norm_post == norm_of(by_value)
    assert max(float(part.abs().max()) for part in by_value) <= threshold * (1 + 1e-7)


def test_without_a_rule_nothing_changes() -> None:
    ours = parts()
    found = clip(ours, "none", math.inf)
    assert found.norm_post == found.norm_pre
    assert found.factor == 1.0
    for one, other in zip(ours, parts(), strict=True):
        assert torch.equal(one, other)


def test_a_gradient_whose_float32_norm_overflows_keeps_its_direction() -> None:
    ours = parts(scale=1e30)
    found = clip(ours, "norm", 1.0)
    assert found.norm_post == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(ours[0] / norm_of(ours), parts()[0] / norm_of(parts()), rtol=1e-5, atol=0)
