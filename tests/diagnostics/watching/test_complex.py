"""Complex parameters and states, as a linear recurrent unit has them (Orvieto et al. 2023, arXiv:2303.06349): as many
real numbers, twice as many; autograd's gradient is ∂L/∂(Re z) + i ∂L/∂(Im z)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch, watch
from tests.diagnostics.watching.loops import kinds, only

T, B, I, H = 7, 4, 3, 6  # noqa: E741


class Unit(nn.Module):
    """h_t = λ ⊙ h_{t−1} + B x_t with complex λ, B and C; the answer is Re(C h) at the last timestep, or at each."""

    def __init__(self, how: str, *, every_step: bool = False) -> None:
        super().__init__()
        self.how, self.every_step = how, every_step
        self.cell = Cell()
        self.c = nn.Parameter(0.3 * torch.randn(2, H, dtype=torch.complex128))
        self.watch: Watch | None = None
        self.states: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        h, self.states = torch.zeros(x.shape[1], H, dtype=torch.complex128), []
        for now in x:
            h = self.cell(now, h)
            if self.how == "state" and self.watch is not None:
                h = self.watch.state(h)
            if h.requires_grad and self.watch is None:
                h.retain_grad()
            self.states.append(h)
        stacked = torch.stack(self.states)
        if self.how == "scan" and self.watch is not None:
            stacked = self._parallel(x)
        read = (stacked if self.every_step else stacked[-1]) @ self.c.T
        return read.real

    def _parallel(self, x: Tensor) -> Tensor:
        """The same states without any loop."""
        assert self.watch is not None
        lag = (torch.arange(T)[:, None] - torch.arange(T)).clamp(min=0)
        powers = torch.where(torch.ones(T, T).tril()[..., None] > 0, self.cell.decay() ** lag[..., None], 0.0)
        driven = torch.einsum("tsh,sbh->tbh", powers, self.cell.drive(x))
        return self.watch.scan(driven, self.cell.decay())


class Cell(nn.Module):
    """One timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.log_decay = nn.Parameter(torch.rand(H, dtype=torch.float64))
        self.phase = nn.Parameter(3 * torch.rand(H, dtype=torch.float64))
        self.b = nn.Linear(I, H, dtype=torch.complex128)

    def decay(self) -> Tensor:
        return torch.polar(torch.exp(-torch.exp(self.log_decay)), self.phase)

    def drive(self, x: Tensor) -> Tensor:
        driven: Tensor = self.b(x.to(torch.complex128))
        return driven

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.decay() * h + self.drive(x)


def unit(how: str, **options: bool) -> Unit:
    torch.manual_seed(1)
    return Unit(how, **options)


def train(network: Unit, w: Watch | None, clip: str | None = None, steps: int = 3) -> list[float]:
    """Train, clipped as torch does it where nobody watches; returns the norms before clipping."""
    network.watch = w
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    generator = torch.Generator().manual_seed(2)
    norms = []
    for _ in range(steps):
        x = torch.randn(T, B, I, generator=generator, dtype=torch.float64)
        optimizer.zero_grad()
        loss = (network(x) - 1).square().sum(-1).mean()
        loss.backward()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        norms.append(math.sqrt(sum(float(grad.abs().square().sum()) for grad in grads)))
        if w is not None:
            w.step(optimizer, clip=clip, loss=loss)
            continue
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), float(clip.partition(":")[2]))
        optimizer.step()
    return norms


@pytest.mark.parametrize("clip", [None, "norm:0.1"])
@pytest.mark.parametrize("how", ["cell", "state"])
def test_training_is_as_without_us(how: str, clip: str | None) -> None:
    alone, watched = unit(how), unit(how)
    train(alone, None, clip)
    with watch(watched, every=1, store=False) as w:
        norms = train(watched, w, clip)
    for one, other in zip(alone.parameters(), watched.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6 if clip else 1e-12, atol=0)  # torch's ‖g‖ + 1e-6 in float32
    records = only(w).records
    assert records["grad_norm_pre"] == pytest.approx(norms, rel=1e-12)
    assert records["grad_norm_post"] == pytest.approx(norms if clip is None else [0.1] * 3, rel=1e-4)
    assert records["zero_count"].tolist() == [0, 0, 0]
    assert kinds(w) == []


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("how", ["cell", "state", "scan"])
def test_the_state_gradient_is_that_of_autograd(how: str, every_step: bool) -> None:
    alone, watched = unit(how, every_step=every_step), unit(how, every_step=every_step)
    train(alone, None, steps=1)
    with watch(watched, every=1, store=False) as w:
        train(watched, w, steps=1)
    wanted = np.stack([_norms(h.grad) for h in alone.states])  # type: ignore[arg-type]
    found = only(w).records
    assert found["grad_h"][0, 0] == pytest.approx(B * np.median(wanted, axis=1), rel=1e-12)
    states = np.median(np.stack([_norms(h) for h in alone.states]), axis=1)
    assert found["state_norm"][0, 0] == pytest.approx(states, rel=1e-12)


def _norms(values: Tensor) -> np.ndarray:
    return values.detach().abs().square().sum(-1).sqrt().numpy()


def _break_a_gradient(network: Unit) -> None:
    network.c.register_hook(lambda grad: torch.full_like(grad, complex(0, math.inf)))


def _break_a_parameter(network: Unit) -> None:
    with torch.no_grad():
        network.cell.b.weight[1, 2] = complex(0, math.nan)


@pytest.mark.parametrize("spoil", [_break_a_gradient, _break_a_parameter])
def test_what_breaks_is_named(spoil: Callable[[Unit], None]) -> None:
    network = unit("state")
    spoil(network)
    with watch(network, every=1, store=False) as w:
        train(network, w, steps=2)
    assert "non_finite" in kinds(w)


def test_a_complex_recurrent_matrix_is_watched_and_not_checked() -> None:
    class Elman(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.u = nn.Linear(H, H, dtype=torch.complex128), nn.Linear(I, H, dtype=torch.complex128)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return torch.tanh(self.w(h) + self.u(x.to(torch.complex128)))

    alone, watched = unit("cell"), unit("cell")
    for network in (alone, watched):
        torch.manual_seed(3)
        network.cell = Elman()  # type: ignore[assignment]
    train(alone, None, steps=1)
    with watch(watched, every=1, store=False) as w:
        train(watched, w, steps=1)
    wanted = np.stack([_norms(h.grad) for h in alone.states])  # type: ignore[arg-type]
    assert only(w).records["grad_h"][0, 0] == pytest.approx(B * np.median(wanted, axis=1), rel=1e-12)


def test_a_gradient_that_is_conjugated_lazily_is_clipped_in_its_place() -> None:
    network = unit("state")
    with watch(network, every=1, store=False) as w:
        network.watch = w
        optimizer = torch.optim.SGD(network.parameters(), 0.0)
        network(torch.ones(T, B, I, dtype=torch.float64)).square().sum().backward()
        assert network.c.grad is not None
        network.c.grad = network.c.grad.conj()
        assert network.c.grad.is_conj()
        w.step(optimizer, clip="norm:0.01")
    left = sum(float(p.grad.abs().square().sum()) for p in network.parameters() if p.grad is not None)
    assert math.sqrt(left) == pytest.approx(0.01, rel=1e-3)
