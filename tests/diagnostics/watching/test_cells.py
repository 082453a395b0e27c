"""Cells that are called once per timestep, against plain autograd: the same model with its states kept by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from diagnostics.watching import cells
from diagnostics.watching.passing import Pass

T, B, D, H = 7, 3, 4, 5
X = torch.randn(T, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Kept(nn.Module):
    """A model whose ``keep`` does nothing, and in a reference keeps what autograd says of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[Tensor]] = {}
        self.keeping = False

    def keep(self, name: str, state: Tensor) -> Tensor:
        if not self.keeping:
            return state
        if name.startswith("c"):  # apart from the same c inside the cell, which h was made from
            state = state.clone()
        state.retain_grad()
        self.kept.setdefault(name, []).append(state)
        return state


def loss_of(output: Tensor) -> Tensor:
    return (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum() + output.pow(
        2
    ).sum()


def reference(model: Kept, x: Tensor = X) -> dict[str, tuple[Tensor, Tensor]]:
    """Name → (values, gradients), [T,B,H], in the order of the calls."""
    twin = copy.deepcopy(model)
    twin.keeping = True
    torch.manual_seed(5)
    loss_of(twin(x)).backward()
    return {
        name: (
            torch.stack([state.detach() for state in states]),
            torch.stack([torch.zeros_like(state) if state.grad is None else state.grad for state in states]),
        )
        for name, states in twin.kept.items()
    }


def watched(model: nn.Module, x: Tensor = X, **options: Any) -> tuple[list[Pass], cells.Cells]:
    """The passes of one step, in which outputs and gradients are to the last bit what they are without."""
    plain = copy.deepcopy(model)
    torch.manual_seed(5)
    expected = plain(x)
    loss_of(expected).backward()
    before = [dict(module.__dict__) for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    source = cells.attach(model, **options)
    source.arm()
    torch.manual_seed(5)
    output = model(x)
    loss_of(output).backward()
    passes = source.take()
    assert torch.equal(output, expected)
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad), name
    assert [dict(module.__dict__) for module in model.modules()] == before
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()] == hooks
    assert not any(module._forward_hooks_with_kwargs for module in model.modules())
    assert source.refusals == []
    return passes, source


def assert_same(layer: Any, expected: dict[str, tuple[Tensor, Tensor]], h: str = "h", c: str | None = None) -> None:
    torch.testing.assert_close(layer.h, expected[h][0], rtol=0, atol=0)
    torch.testing.assert_close(layer.grad_h, expected[h][1], rtol=1e-12, atol=1e-12)
    assert (layer.c is None) == (c is None)
    if c is not None:
        torch.testing.assert_close(layer.c, expected[c][0], rtol=0, atol=0)
        torch.testing.assert_close(layer.grad_c, expected[c][1], rtol=1e-12, atol=1e-12)


def double(make: Callable[[], nn.Module]) -> Any:
    torch.manual_seed(0)
    return make().double()


class Stack(Kept):
    """Torch's own cells on top of one another; the loss uses every output, or the last one alone."""

    def __init__(self, kind: type[nn.Module], every: bool, sizes: tuple[int, ...] = (D, H, H), **options: Any) -> None:
        super().__init__()
        self.cells = nn.ModuleList(kind(a, b, **options) for a, b in pairwise(sizes))
        self.head = nn.Linear(H, 2)
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        states: list[Any] = [None] * len(self.cells)
        outputs = []
        for x_t in x:
            below = x_t
            for layer, cell in enumerate(self.cells):
                new = cell(below, states[layer])
                if isinstance(new, tuple):
                    new = (self.keep(f"h{layer}", new[0]), self.keep(f"c{layer}", new[1]))
                else:
                    new = self.keep(f"h{layer}", new)
                states[layer] = new
                below = new[0] if isinstance(new, tuple) else new
            outputs.append(self.head(below))
        return torch.stack(outputs) if self.every else outputs[-1]


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize(
    ("cell", "kind", "options"),
    [
        (nn.LSTMCell, "lstm", {}),
        (nn.GRUCell, "gru", {"bias": False}),
        (nn.RNNCell, "tanh", {}),
        (nn.RNNCell, "relu", {"nonlinearity": "relu"}),
    ],
)
def test_torchs_own_cells_in_a_list_are_layers_of_one_group(
    cell: type[nn.Module], kind: str, options: dict[str, Any], every: bool
) -> None:
    model = double(lambda: Stack(cell, every, **options))
    passes, source = watched(model)
    (one,) = passes
    assert (one.group, one.kind, one.class_name) == ("cells", kind, f"torch.nn.{cell.__name__}")
    assert (one.direction, one.cuts, len(one.layers)) == ("forward", (), 2)
    for layer in range(2):
        assert_same(one.layers[layer], reference(model), f"h{layer}", f"c{layer}" if kind == "lstm" else None)
    (sentence,) = source.covered()
    assert "called once per timestep, 7 times" in sentence


class OneCell(Kept):
    """A loop around one cell of which ``step`` is told by the person: (cell, x_t, state, keep) → (state, output)."""

    def __init__(
        self, cell: nn.Module, step: Callable[..., Any], first: Callable[[], Any] = lambda: None, width: int = H
    ) -> None:
        super().__init__()
        self.cell, self.step, self.first = cell, step, first
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        state, outputs = self.first(), []
        for x_t in x:
            state, output = self.step(self.cell, x_t, state, self.keep)
            outputs.append(output)
        return self.head(torch.stack(outputs))[-3:]  # not all of the states are used


def zeros(width: int = H) -> Tensor:
    return torch.zeros(B, width, dtype=torch.float64)


def pair() -> tuple[Tensor, Tensor]:
    return zeros(), zeros()


class LayerNormLSTM(nn.Module):
    """By hand, with layer normalisation of the gates and of the cell state."""

    def __init__(self) -> None:
        super().__init__()
        self.to_x, self.to_h = nn.Linear(D, 4 * H, bias=False), nn.Linear(H, 4 * H)
        self.of_x, self.of_h, self.of_c = nn.LayerNorm(4 * H), nn.LayerNorm(4 * H), nn.LayerNorm(H)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        i, f, g, o = (self.of_x(self.to_x(x)) + self.of_h(self.to_h(state[0]))).chunk(4, 1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        h = o.sigmoid() * self.of_c(c).tanh()
        return h, (h, c)


def lstm_step(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
    output, (h, c) = cell(x, state)
    h, c = keep("h", h), keep("c", c)
    return (h, c), output


def test_a_layer_norm_lstm_by_hand() -> None:
    model = double(lambda: OneCell(LayerNormLSTM(), lstm_step, pair))
    ((one,), _) = watched(model)
    assert (one.group, one.kind) == ("cell", "LayerNormLSTM")
    assert one.class_name.endswith(".LayerNormLSTM")
    assert_same(one.layers[0], reference(model), "h", "c")


class Elman(nn.Module):
    """As in torch's tutorial: what it returns first is computed from the state inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(D + H, H), nn.Linear(H, 2)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.hidden(torch.cat((x, h), 1)).tanh()
        return self.out(h), h


def test_an_output_that_the_cell_computes_from_its_state_counts_in_the_total() -> None:
    hooked = double(lambda: OneCell(Elman(), lambda cell, x, h, keep: cell(x, h)[::-1], zeros, 2))
    ((one,), _) = watched(hooked)
    h, states = zeros(), []
    cell = copy.deepcopy(hooked.cell)
    outputs = []
    for x in X:
        h = cell.hidden(torch.cat((x, h), 1)).tanh()
        h.retain_grad()
        states.append(h)
        outputs.append(cell.out(h))
    loss_of(hooked.head(torch.stack(outputs))[-3:]).backward()
    expected = torch.stack([state.grad for state in states if state.grad is not None])
    torch.testing.assert_close(one.layers[0].grad_h, expected, rtol=1e-12, atol=1e-12)


class ZoneoutInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(D, H)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        mask = torch.rand(h.shape, dtype=h.dtype) < 0.3
        return torch.where(mask, h, self.cell(x, h))


def test_a_wrapper_that_changes_the_state_is_the_cell_and_not_what_is_inside() -> None:
    step = lambda cell, x, h, keep: (lambda new: (new, new))(keep("h", cell(x, h)))  # noqa: E731
    model = double(lambda: OneCell(ZoneoutInside(), step, zeros))
    ((one,), _) = watched(model)
    assert (one.group, one.kind) == ("cell", "ZoneoutInside")
    assert_same(one.layers[0], reference(model))


def zoneout_outside(cell: nn.Module, x: Tensor, h: Tensor, keep: Callable[..., Tensor]) -> Any:
    mask = torch.rand(h.shape, dtype=h.dtype) < 0.3
    h = keep("h", torch.where(mask, h, cell(x, h)))
    return h, h


def residual_outside(cell: nn.Module, x: Tensor, h: Tensor, keep: Callable[..., Tensor]) -> Any:
    h = keep("h", h + 0.5 * cell(x, h))
    return h, h


def in_place_outside(cell: nn.Module, x: Tensor, h: Tensor, keep: Callable[..., Tensor]) -> Any:
    h = cell(x, h).clone()
    h *= torch.linspace(0.5, 1, H, dtype=h.dtype)
    h = keep("h", h)
    return h, h


@pytest.mark.parametrize("step", [zoneout_outside, residual_outside, in_place_outside])
def test_a_state_that_is_changed_between_calls_is_the_one_that_comes_in(step: Callable[..., Any]) -> None:
    model = double(lambda: OneCell(nn.GRUCell(D, H), step, zeros))
    ((one,), source) = watched(model)
    assert one.kind == "gru"
    assert "as they are after what changes them between two calls" in source.covered()[0]
    assert_same(one.layers[0], reference(model))


def test_zoneout_of_an_lstm_outside_of_its_cell_for_h_alone_and_for_both() -> None:
    def step(both: bool) -> Callable[..., Any]:
        def zoneout(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
            h, c = cell(x, state)
            c = 0.2 * state[1] + 0.8 * c if both else c
            h, c = keep("h", 0.1 * state[0] + 0.9 * h), keep("c", c)
            return (h, c), h

        return zoneout

    for both in (False, True):
        model = double(lambda both=both: OneCell(nn.LSTMCell(D, H), step(both), pair))
        ((one,), _) = watched(model)
        expected = reference(model)
        torch.testing.assert_close(one.layers[0].grad_h, expected["h"][1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one.layers[0].grad_c[:-1], expected["c"][1][:-1], rtol=1e-12, atol=1e-12)


class Named(NamedTuple):
    h: Tensor
    c: Tensor


@dataclass(frozen=True)
class Data:
    c: Tensor
    h: Tensor


STATES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "dict": (lambda h, c: {"cell": c, "hidden": h}, lambda s: (s["hidden"], s["cell"])),
    "list": (lambda h, c: [h, c], tuple),
    "namedtuple": (Named, tuple),
    "dataclass": (lambda h, c: Data(c=c, h=h), lambda s: (s.h, s.c)),
    "nested": (lambda h, c: {"layers": [(h, [c])]}, lambda s: (s["layers"][0][0], s["layers"][0][1][0])),
    "wrong way round": (lambda h, c: (c, h), lambda s: (s[1], s[0])),
}


class AnyState(nn.Module):
    def __init__(self, pack: Callable[..., Any], unpack: Callable[..., Any]) -> None:
        super().__init__()
        self.inner, self.pack, self.unpack = nn.Linear(D + H, 4 * H), pack, unpack

    def forward(self, x: Tensor, *, state: Any) -> Any:
        h, c = self.unpack(state)
        i, f, g, o = self.inner(torch.cat((x, h), 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return self.pack(o.sigmoid() * c.tanh(), c)


@pytest.mark.parametrize("shape", STATES)
def test_states_in_any_container(shape: str) -> None:
    pack, unpack = STATES[shape]

    def step(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
        h, c = unpack(cell(x, state=state))
        state = pack(keep("h", h), keep("c", c))
        return state, h

    model = double(lambda: OneCell(AnyState(pack, unpack), step, lambda: pack(*pair())))
    ((one,), _) = watched(model)
    assert_same(one.layers[0], reference(model), "h", "c")


def gru_step(cell: nn.Module, x: Tensor, h: Tensor, keep: Callable[..., Tensor]) -> Any:
    h = keep("h", cell(x, h))
    return h, h


def test_weight_norm_and_a_state_by_keyword_and_an_initial_state_that_is_learned() -> None:
    class Learned(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.cell = parametrizations.weight_norm(nn.GRUCell(D, H), "weight_hh")
            self.first = nn.Parameter(torch.ones(B, H))

        def forward(self, x: Tensor) -> Tensor:
            h = self.first
            for x_t in x:
                h = self.keep("h", self.cell(x_t, hx=h))
            return h

    model = double(Learned)
    ((one,), _) = watched(model)
    assert (one.kind, one.class_name, one.layers[0].weight) == ("gru", "torch.nn.GRUCell", "")
    assert_same(one.layers[0], reference(model))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_scripted_cell() -> None:
    model = double(lambda: OneCell(nn.GRUCell(D, H), gru_step, zeros))
    expected = reference(model)
    model.cell = torch.jit.script(model.cell)
    source = cells.attach(model)
    for _ in range(3):  # a scripted module is compiled anew while it warms up
        source.arm()
        loss_of(model(X)).backward()
        (one,) = source.take()
        assert (one.group, one.kind) == ("cell", "GRUCell")
        assert_same(one.layers[0], expected)


def test_unbatched_states_are_one_sample() -> None:
    model = double(lambda: OneCell(nn.GRUCell(D, H), gru_step, lambda: torch.zeros(H, dtype=torch.float64)))
    ((one,), _) = watched(model, X[:, 0])
    assert one.layers[0].h.shape == (T, 1, H)
    torch.testing.assert_close(one.layers[0].grad_h[:, 0], reference(model, X[:, 0])["h"][1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTMCell(D, H),
        lambda: nn.GRUCell(D, H, bias=False),
        lambda: nn.RNNCell(D, H),
        lambda: nn.RNNCell(D, H, nonlinearity="relu"),
    ],
)
def test_the_sum_over_timesteps_is_what_the_weight_gets(make: Callable[[], nn.Module]) -> None:
    cell = double(make)
    source = cells.attach(cell)
    source.arm(check=True)
    outputs, sequences = [], ((X, True), (X[:3] * 2, False))
    for xs, given in sequences:  # twice, with an initial state and without, the second one with changes between calls
        state = pair() if isinstance(cell, nn.LSTMCell) else zeros()
        for t, x_t in enumerate(xs):
            state = cell(x_t) if t == 0 and not given else cell(x_t, state)
            if not given and not isinstance(cell, nn.LSTMCell):
                state = 0.9 * state
            outputs.append(state[0] if isinstance(state, tuple) else state)
    loss_of(torch.stack(outputs)).backward()
    passes = source.take()
    assert {one.layers[0].weight for one in passes} == {"weight_hh"}
    total = sum(one.layers[0].weight_sum for one in passes)
    torch.testing.assert_close(total, cell.weight_hh.grad, rtol=1e-12, atol=1e-12)

    source.arm()
    cell(X[1], cell(X[0]))[0].sum().backward()
    assert [one.layers[0].weight_sum for one in source.take()] == [None]
