from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnostics.measures.state_profile import profile_columns, state_bands

T, B, H = 3, 5, 4


@dataclass
class Layer:
    h: Tensor
    grad_h: Tensor
    c: Tensor | None = None
    grad_c: Tensor | None = None


def layer(seed: int, *, gated: bool = False) -> Layer:
    h, of_h, c, of_c = torch.randn(4, T, B, H, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Layer(h, of_h, c, of_c) if gated else Layer(h, of_h)


def percentiles(norms: Tensor) -> np.ndarray:
    return np.moveaxis(np.percentile(norms.numpy(), [5, 50, 95], axis=-1), 0, -1)


def test_norms_and_their_spread_by_layer() -> None:
    layers = [layer(0), layer(1)]
    found = profile_columns(layers, None, 3.0)
    assert set(found) == {"state_grad", "grad_h", "state_norm"}
    for index, one in enumerate(layers):
        assert found["state_grad"][index] == pytest.approx(3 * percentiles(one.grad_h.norm(dim=2)), rel=1e-12)
        assert found["grad_h"][index] == pytest.approx(found["state_grad"][index, :, 1], rel=1e-12)
        assert found["state_norm"][index] == pytest.approx(percentiles(one.h.norm(dim=2))[:, 1], rel=1e-12)


def test_layers_with_and_without_a_cell_state_stand_together() -> None:
    plain, gated = layer(0), layer(1, gated=True)
    found = profile_columns([plain, gated], None, 1.0)
    assert gated.grad_c is not None
    both = torch.cat([gated.grad_h, gated.grad_c], dim=2)
    assert found["state_grad"][0] == pytest.approx(percentiles(plain.grad_h.norm(dim=2)), rel=1e-12)
    assert found["state_grad"][1] == pytest.approx(percentiles(both.norm(dim=2)), rel=1e-12)
    assert np.isnan(found["grad_c"][0]).all()
    assert found["grad_c"][1] == pytest.approx(percentiles(gated.grad_c.norm(dim=2))[:, 1], rel=1e-12)


def test_only_the_samples_that_have_a_timestep_count_there() -> None:
    one = layer(2)
    found = profile_columns([one], one.grad_h, 1.0, np.array([0, 2, 5]))
    norms = one.grad_h.norm(dim=2)
    assert np.isnan(found["state_grad"][0, 0]).all()
    assert found["state_grad"][0, 1] == pytest.approx(percentiles(norms[1, :2]), rel=1e-12)
    assert found["state_grad"][0, 2] == pytest.approx(percentiles(norms[2]), rel=1e-12)
    assert found["input_grad"][2] == pytest.approx(found["state_grad"][0, 2], rel=1e-12)


def test_without_samples_everything_is_nan() -> None:
    none = Layer(torch.zeros(T, 0, H), torch.zeros(T, 0, H))
    assert np.isnan(profile_columns([none], None, 1.0)["state_grad"]).all()


def test_of_one_answer_alone_h_and_c_count_together() -> None:
    one = layer(3, gated=True)
    assert one.grad_c is not None
    found = state_bands([(one.grad_h, one.grad_c)], 2.0)
    both = torch.cat([one.grad_h, one.grad_c], dim=2)
    assert found[0] == pytest.approx(2 * percentiles(both.norm(dim=2)), rel=1e-12)
