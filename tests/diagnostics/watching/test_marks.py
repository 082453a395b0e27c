"""States and scans that a person marks in a loop of their own, against plain autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching.marks import Marks

T, B, D, H = 8, 3, 4, 5
X = torch.randn(T, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def parameters(*shapes: tuple[int, ...]) -> list[Tensor]:
    seeded = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, dtype=torch.float64, generator=seeded).mul_(0.4).requires_grad_() for shape in shapes]


def loss_of(states: Tensor) -> Tensor:
    return (states * torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states)).pow(2).sum()


def lstm(mark: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], weights: list[Tensor], cut: int = 0) -> Tensor:
    """An LSTM in plain tensor operations; ``cut``: the timestep whose incoming state is detached."""
    u, w = weights
    h, c, outputs = X.new_zeros(B, H), X.new_zeros(B, H), []
    for t, x in enumerate(X):
        if cut and t == cut:
            h, c = h.detach(), c.detach()
        i, f, g, o = (x @ u + h @ w).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        h, c = mark(h, c)
        outputs.append(h)
    return torch.stack(outputs)


def test_a_marked_lstm_has_total_gradients_of_h_and_of_c_by_its_direct_path() -> None:
    weights = parameters((D, 4 * H), (H, 4 * H))
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        c = c.clone()
        h.retain_grad()
        c.retain_grad()
        kept.append((h, c))
        return h, c

    loss_of(lstm(keep, weights)[-2:]).backward()
    expected = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    marks = Marks()
    marks.arm()
    loss_of(lstm(lambda h, c: marks.state(h, c=c, layer="mine"), weights)[-2:]).backward()
    (one,) = marks.take()
    (layer,) = one.layers
    assert (one.group, one.kind, one.class_name, one.cuts) == ("mine", "state", "w.state", ())
    assert layer.c is not None
    assert layer.grad_c is not None
    for t, (h, c) in enumerate(kept):
        assert torch.equal(layer.h[t], h.detach())
        assert torch.equal(layer.c[t], c.detach())
        torch.testing.assert_close(layer.grad_h[t], h.grad, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            layer.grad_c[t], torch.zeros_like(c) if c.grad is None else c.grad, rtol=1e-12, atol=1e-12
        )
    for weight, gradient in zip(weights, expected, strict=True):
        assert torch.equal(weight.grad, gradient)
    assert marks.covered() == ["mine: marked by w.state at 8 timesteps, in the order of the calls."]


def test_where_nothing_is_recorded_the_tensors_themselves_come_back() -> None:
    marks = Marks()
    h, c = torch.ones(B, H, requires_grad=True) * 1, torch.ones(B, H, requires_grad=True) * 1
    assert marks.state(h) is h
    assert marks.scan(h[None], h[None]) is not None
    marks.arm()
    with torch.no_grad():
        assert marks.state(h) is h
        assert marks.state(h, c=c)[1] is c
    assert marks.state(h.detach()).grad_fn is None
    assert marks.take() == []
    assert marks.state(h, c=c)[1] is c
    marks.close()
    marks.close()


def test_layers_sequences_and_passes_are_told_apart() -> None:
    u, w, v = parameters((D, H), (H, H), (H, H))
    marks = Marks()
    marks.arm()
    total = torch.zeros((), dtype=torch.float64)
    for steps in (T, T - 2):
        low = high = X.new_zeros(B, H)
        for x in X[:steps]:
            low = marks.state(torch.tanh(x @ u + low @ w), layer="low")
            high = marks.state(torch.tanh(low @ v + high @ w), layer="high")
        total = total + high.sum()
    total.backward()
    passes = marks.take()
    assert sorted((one.group, len(one.layers[0].h)) for one in passes) == [
        ("high", T - 2),
        ("high", T),
        ("low", T - 2),
        ("low", T),
    ]


def test_a_state_that_is_detached_is_a_cut() -> None:
    marks = Marks()
    marks.arm()
    states = lstm(lambda h, c: marks.state(h, c=c), parameters((D, 4 * H), (H, 4 * H)), cut=5)
    loss_of(states).backward()
    (one,) = marks.take()
    assert one.cuts == (5,)
    assert len(one.layers[0].h) == T
    assert marks.covered() == [
        "state: marked by w.state at 8 timesteps, in the order of the calls; detached before timestep 5."
    ]


def min_gru(x: Tensor, to_z: Tensor, to_h: Tensor) -> tuple[Tensor, Tensor]:
    """The decay 1 − z_t and what is added, z_t ⊙ h̃_t, of Feng et al.'s minGRU."""
    z = torch.sigmoid(x @ to_z)
    return 1 - z, z * (x @ to_h)


def parallel(decay: Tensor, added: Tensor) -> Tensor:
    """h_t = a_t h_{t−1} + b_t without a loop over states: h_t = Σ_s (Π_{s<r≤t} a_r) b_s."""
    logs = decay.log().cumsum(0)
    products = (logs[:, None] - logs[None]).exp() * torch.ones(T, T, dtype=decay.dtype).tril()[:, :, None, None]
    return (products * added[None]).sum(1)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_min_gru_as_a_parallel_scan_agrees_with_the_loop(batch_first: bool) -> None:
    weights = parameters((D, H), (D, H))
    decay, added = min_gru(X, *weights)
    h, states = torch.zeros(B, H, dtype=torch.float64), []
    for a, b in zip(decay, added, strict=True):
        h = a * h + b
        h.retain_grad()
        states.append(h)
    used = [1, 4, 6]  # the loss uses some states
    loss_of(torch.stack(states)[used]).backward()

    marks = Marks()
    marks.arm()
    decay, added = min_gru(X, *weights)
    h = parallel(decay, added)
    if batch_first:
        marked = marks.scan(h.transpose(0, 1), decay.transpose(0, 1), batch_first=True).transpose(0, 1)
    else:
        marked = marks.scan(h, decay)
    loss_of(marked[used]).backward()
    (one,) = marks.take()
    (layer,) = one.layers
    assert (one.group, one.kind) == ("scan", "scan")
    for t, state in enumerate(states):
        torch.testing.assert_close(layer.h[t], state.detach(), rtol=1e-12, atol=1e-12)
        expected = torch.zeros_like(state) if state.grad is None else state.grad
        torch.testing.assert_close(layer.grad_h[t], expected, rtol=1e-12, atol=1e-12)
    assert marks.covered() == ["scan: marked by w.scan; exact where its decay depends on its inputs alone."]


def penalised_scan(marks: Marks | None, weights: list[Tensor], *, create: bool) -> Tensor:
    """A loss of a scan, or of the same as a loop where there are no ``marks``, with the size of its own gradient."""
    x = X.clone().requires_grad_()
    decay, added = min_gru(x, *weights)
    if marks is not None:
        states = marks.scan(parallel(decay, added), decay)
    else:
        h, rows = torch.zeros(B, H, dtype=torch.float64), []
        for a, b in zip(decay, added, strict=True):
            h = a * h + b
            rows.append(h)
        states = torch.stack(rows)
    loss = loss_of(states[[2, 6]])
    (gradient,) = torch.autograd.grad(loss, x, create_graph=create, retain_graph=True)
    return loss + 10 * gradient.pow(2).sum()


def test_a_scan_with_a_gradient_penalty_is_not_recorded_and_it_is_said() -> None:
    marks = Marks()
    plain = parameters((D, H), (D, H))
    penalised_scan(None, plain, create=True).backward()
    weights = parameters((D, H), (D, H))
    marks.arm()
    penalised_scan(marks, weights, create=True).backward()
    assert marks.take() == []
    for weight, other in zip(weights, plain, strict=True):  # the loss itself is that of the loop
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-9, atol=1e-9)
    (sentence,) = marks.covered()
    assert sentence == marks.refused["scan"]
    assert sentence.startswith("scan: marked by w.scan, but not recorded in this training step: a gradient that came")

    weights = parameters((D, H), (D, H))
    marks.arm()
    penalised_scan(marks, weights, create=False).backward()  # a saliency map, that nothing is learned from
    (one,) = marks.take()
    twin: list[Tensor] = [weight.detach().requires_grad_() for weight in weights]
    decay, added = min_gru(X, *twin)
    h, states = torch.zeros(B, H, dtype=torch.float64), []
    for a, b in zip(decay, added, strict=True):
        h = a * h + b
        states.append(h)
    expected = torch.autograd.grad(loss_of(torch.stack(states)[[2, 6]]), states, allow_unused=True)
    for t, gradient in enumerate(expected):
        wanted = torch.zeros(B, H, dtype=torch.float64) if gradient is None else gradient
        torch.testing.assert_close(one.layers[0].grad_h[t], wanted, rtol=1e-12, atol=1e-12)
    assert marks.refused == {}
    assert marks.covered() == ["scan: marked by w.scan; exact where its decay depends on its inputs alone."]


def test_scans_of_one_layer_in_one_backward_pass_are_calls_in_forward_order() -> None:
    marks = Marks()
    marks.arm()
    h = torch.ones(2, B, H, requires_grad=True)
    first, second = (marks.scan(h * factor, torch.zeros(1)) for factor in (2, 3))
    (second.sum() + first.sum()).backward()
    assert [(one.call, float(one.layers[0].h[0, 0, 0])) for one in marks.take()] == [(0, 2), (1, 3)]


def test_a_diagonal_state_space_has_a_decay_that_does_not_change() -> None:
    (rate, u) = parameters((H,), (D, H))
    a = torch.sigmoid(rate)
    marks = Marks()
    marks.arm()
    h = marks.scan(parallel(a.expand(T, B, H), X @ u), a, layer="ssm")
    h[-1].sum().backward()
    (one,) = marks.take()
    for t in range(T):  # the closed form
        expected = a.detach().pow(T - 1 - t).expand(B, H)
        torch.testing.assert_close(one.layers[0].grad_h[t], expected, rtol=1e-12, atol=1e-12)


def test_shapes_that_are_refused() -> None:
    marks = Marks()
    with pytest.raises(ValueError, match=r"^tensor must be a state \[B,H\], but its shape is \(2, 3, 4\)$"):
        marks.state(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"^c must be \[B,·\] with B = 2, but its shape is \(3, 4\)$"):
        marks.state(torch.zeros(2, 4), c=torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"^h must be \[T,B,H\], but its shape is \(3, 4\)$"):
        marks.scan(torch.zeros(3, 4), torch.zeros(3, 4))
    with pytest.raises(
        ValueError, match=r"^decay must broadcast to the shape of h, \(2, 3, 4\), but its shape is \(3,\)$"
    ):
        marks.scan(torch.zeros(2, 3, 4), torch.zeros(3))


def test_a_module_may_mark_its_states_itself() -> None:
    marks = Marks()

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.eye(H, dtype=torch.float64) * 0.5)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.zeros(B, H, dtype=x.dtype)
            for x_t in x:
                h = marks.state(h @ self.weight + x_t.sum())
            return h

    model = Loop()
    for _ in range(2):
        marks.arm()
        model(X).sum().backward()
        (one,) = marks.take()
        expected = 0.5 ** torch.arange(T - 1, -1, -1, dtype=torch.float64)
        torch.testing.assert_close(one.layers[0].grad_h[:, 0, 0], expected, rtol=1e-12, atol=1e-12)
