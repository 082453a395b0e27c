"""A state that is changed between the calls of a layer: scaled, masked, reordered, computed anew."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .native_cases import CELLS, step, watching

T, B, I, H = 6, 3, 2, 5  # noqa: E741
State = tuple[Tensor, ...]
Change = Callable[[State, int], State]


def _each(what: Callable[[Tensor, int], Tensor]) -> Change:
    return lambda state, k: tuple(what(part, k) for part in state)


MASKS = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 1]]).double()[:, None, :, None]
torch.manual_seed(5)
LINEAR = nn.Linear(H, H).double()
CHANGES: dict[str, Change] = {
    "scaled": _each(lambda s, k: s * 0.99),
    "masked": _each(lambda s, k: s * MASKS[k % 3]),
    "all done at one step": _each(lambda s, k: s * MASKS[k]),
    "ones": _each(lambda s, k: s * torch.ones(1, B, 1).double()),
    "where": _each(lambda s, k: torch.where(MASKS[k % 3] > 0, s, 0.1)),
    "detached in part": _each(lambda s, k: torch.where(MASKS[k % 3] > 0, s, s.detach())),
    "reordered": _each(lambda s, k: s.index_select(1, torch.tensor([2, 0, 0]))),
    "linear": _each(lambda s, k: LINEAR(s)),
    "dropout": _each(lambda s, k: s * (torch.arange(H) != k).double() * 1.25),
    "written into": _each(lambda s, k: s.clone().index_fill_(1, torch.tensor([1]), 0.0)),
}


AS_IT_IS: Change = lambda state, k: state  # noqa: E731


def made(cell: str, layers: int = 1) -> nn.RNNBase:
    torch.manual_seed(0)
    cls, fixed = CELLS[cell]
    return cls(I, H, num_layers=layers, **fixed).double()


def in_pieces(
    module: nn.RNNBase, x: Tensor, change: Change, chunk: int, *, from_output: bool = False, finals_read: bool = False
) -> Tensor:
    """The output [T,B,H] of calls with ``chunk`` timesteps each, the state changed between them; ``finals_read``: taken
    from the final states, of calls with one timestep."""
    state: State | None = None
    outputs = []
    for k, start in enumerate(range(0, T, chunk)):
        if state is not None:
            state = change(state, k)
        lstm = isinstance(module, nn.LSTM)
        output, finals = module(x[start : start + chunk], state if lstm or state is None else state[0])
        state = finals if lstm else (output if from_output else finals,)
        outputs.append(finals[0][-1:] if finals_read and lstm else finals[-1:] if finals_read else output)
    return torch.cat(outputs)


def unrolled(cell: str, module: nn.RNNBase, x: Tensor, change: Change, chunk: int) -> tuple[Tensor, list[Any]]:
    """The same in plain autograd: the output, and by layer the states [T][B,H] of each step, (h, c) each."""
    L = module.num_layers
    state: State = tuple(x.new_zeros(L, B, H) for _ in range(2 if cell == "lstm" else 1))
    kept: list[Any] = [[] for _ in range(L)]
    outputs = []
    for t in range(T):
        if t and t % chunk == 0:
            state = change(state, t // chunk)
        below, new = x[t], []
        for layer in range(L):
            weights = [getattr(module, name) for name in module._all_weights[layer]]
            h, c = step(cell, below, state[0][layer], state[-1][layer], weights, True)
            c = c.view_as(c)  # without what goes through the h of its own step
            kept[layer].append((h, c))
            new.append((h, c))
            below = h
        state = tuple(torch.stack([one[k] for one in new]) for k in range(len(state)))
        outputs.append(below)
    return torch.stack(outputs), kept


def same(got: Tensor | None, want: Tensor) -> None:
    assert got is not None
    assert got.shape == want.shape
    assert (got - want).abs().max().item() <= 1e-12


def check(cell: str, module: nn.RNNBase, x: Tensor, w: Tensor, change: Change, chunk: int, **how: Any) -> None:
    """One pass of all timesteps, equal to plain autograd: all of the loss, and its last answer alone."""
    with watching(module, check=True) as source:
        (in_pieces(module, x, change, chunk, **how) * w).sum().backward()
        (got,) = source.take()
        assert ("its state is changed between calls" in source.covered()[0]) == (change is not AS_IT_IS)
    shares = [parameter.grad for name, parameter in module.named_parameters() if "weight_hh" in name]
    output, kept = unrolled(cell, module, x, change, chunk)
    answered = [t for t in range(T) if w[t].any()]
    assert got.cuts == ()
    assert got.answers == len(answered)
    for layer, states, share in zip(got.layers, kept, shares, strict=True):
        hs = [h for h, _ in states]
        cs = [c for _, c in states]
        same(layer.h, torch.stack(hs).detach())
        for loss, of in (
            ((output * w).sum(), layer.grad_h),
            ((output[answered[-1]] * w[answered[-1]]).sum(), layer.last_answer[0] if layer.last_answer else None),
        ):
            if of is None:
                assert len(answered) == 1
                continue
            found = torch.autograd.grad(loss, hs, retain_graph=True, materialize_grads=True)
            same(of, torch.stack(found))
        if cell == "lstm":
            found = torch.autograd.grad((output * w).sum(), cs, retain_graph=True, materialize_grads=True)
            assert layer.grad_c is not None
            same(layer.grad_c, torch.stack(found))
        assert share is not None
        same(layer.weight_sum, share)


@pytest.mark.parametrize("loss", ["last", "every", "two"])
@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_changed_state_goes_on(cell: str, change: str, layers: int, chunk: int, loss: str) -> None:
    module, x, w = made(cell, layers), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    answers = {"last": [T - 1], "every": list(range(T)), "two": [1, 4]}[loss]
    w[[t for t in range(T) if t not in answers]] = 0
    check(cell, module, x, w, CHANGES[change], chunk)


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_a_state_that_is_computed_from_the_output_of_a_single_timestep(cell: str, loss: str) -> None:
    module, x, w = made(cell), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    if loss == "last":
        w[:-1] = 0
    check(cell, module, x, w, CHANGES["scaled"], 1, from_output=True)


@pytest.mark.parametrize("loss", ["last", "every", "two"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("change", [AS_IT_IS, CHANGES["scaled"]])
@pytest.mark.parametrize("cell", CELLS)
def test_a_loss_of_the_final_states_is_told_from_what_goes_on(
    cell: str, change: Change, layers: int, loss: str
) -> None:
    module, x, w = made(cell, layers), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    answers = {"last": [T - 1], "every": list(range(T)), "two": [1, 4]}[loss]
    w[[t for t in range(T) if t not in answers]] = 0
    check(cell, module, x, w, change, 1, finals_read=True)


def encoded(module: nn.RNNBase) -> tuple[Tensor, Any]:
    return module(torch.randn(T, B, I).double())


@pytest.mark.parametrize("cell", CELLS)
def test_of_two_calls_from_one_state_the_second_is_apart(cell: str) -> None:
    module, lstm = made(cell), cell == "lstm"
    with watching(module) as source:
        first, state = encoded(module)
        parts = state if lstm else (state,)
        losses = [first.sum()]
        for scale in (0.5, 0.9):
            given = tuple(part * scale for part in parts)
            losses.append(module(torch.randn(3, B, I).double(), given if lstm else given[0])[0].sum())
        torch.stack(losses).sum().backward()
        passes = source.take()
    assert sorted(len(one.layers[0].h) for one in passes) == [3, T + 3]
    assert all(one.cuts == () for one in passes)


def test_a_state_that_is_computed_from_an_output_of_several_timesteps_begins_anew() -> None:
    module = made("gru")
    with watching(module) as source:
        output, _ = encoded(module)
        attention = (output * torch.randn(T, B, 1).double().softmax(0)).sum(0, keepdim=True)
        module(torch.randn(T, B, I).double(), attention)[0][-1].sum().backward()
        passes = source.take()
    assert [len(one.layers[0].h) for one in passes] == [T, T]


def test_a_state_that_is_detached_on_its_way_is_a_cut_of_a_sequence_of_its_own() -> None:
    module = made("gru")
    with watching(module) as source:
        output, state = encoded(module)
        second, _ = module(torch.randn(T, B, I).double(), state.detach() * 0.9)
        (output.sum() + second.sum()).backward()
        passes = source.take()
    assert sorted((len(one.layers[0].h), one.cuts) for one in passes) == [(T, ()), (T, (0,))]


def test_the_state_of_another_layer_is_not_gone_on_from() -> None:
    model = nn.ModuleList([made("gru"), made("gru")])
    with watching(model) as source:
        _, state = encoded(model[0])  # type: ignore[arg-type]
        _, other = model[1](torch.randn(1, B, I).double(), state * 0.5)
        model[0](torch.randn(1, B, I).double(), other * 0.5)[0].sum().backward()
        passes = source.take()
    assert sorted(len(one.layers[0].h) for one in passes) == [1, 1, T]


def test_a_state_that_is_written_into() -> None:
    module, x, w = made("gru"), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()

    def zeroed(state: State, k: int) -> State:
        state[0][:, 1] = 0.0
        return state

    def anew(state: State, k: int) -> State:
        return tuple(part.clone().index_fill_(1, torch.tensor([1]), 0.0) for part in state)

    with watching(module) as source:
        (in_pieces(module, x, zeroed, 1) * w).sum().backward()
        (got,) = source.take()
    output, kept = unrolled("gru", module, x, anew, 1)
    states = [h for h, _ in kept[0]]
    last = torch.autograd.grad((output[-1] * w[-1]).sum(), states)
    assert got.answers == T
    assert got.layers[0].last_answer is not None
    same(got.layers[0].last_answer[0], torch.stack(last))


def test_the_persons_hooks_run_once_and_what_they_retain_is_right() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    seen: list[Tensor] = []
    states: list[Tensor] = []

    def scaled(state: State, k: int) -> State:
        (part,) = state
        part.retain_grad()
        between = part * 0.9
        between.retain_grad()
        between.register_hook(seen.append)
        states.append(between)
        return (between * 1.1,)

    with watching(module) as source:
        in_pieces(module, x, scaled, 1).sum().backward()
        (got,) = source.take()
    assert got.answers == T
    assert len(seen) == T - 1
    for state, gradient in zip(states, reversed(seen), strict=True):
        assert state.grad is not None
        same(state.grad, gradient)


class Doubled(torch.autograd.Function):
    """A change whose backward is the person's own."""

    ran = 0

    @staticmethod
    def forward(ctx: Any, state: Tensor) -> Tensor:
        return 2 * state

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        Doubled.ran += 1
        return 2 * arriving[0]


def far(state: Tensor) -> Tensor:
    for _ in range(40):
        state = state * 0.5 + state * 0.4
    return state


def test_where_a_change_is_not_gone_through_the_answers_are_not_known() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    plain = torch.zeros(0)
    Doubled.ran = 0
    for own in (False, True):
        with watching(module) as source:
            in_pieces(module, x, _each(lambda s, k, own=own: Doubled.apply(s) if own else 2 * s), 1).sum().backward()
            (got,) = source.take()
        if own:
            same(got.layers[0].grad_h, plain)
        plain = got.layers[0].grad_h
        assert got.answers == (0 if own else T)
    assert Doubled.ran == T - 1


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_change_in_a_checkpoint(reentrant: bool) -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    change = _each(lambda s, k: checkpoint(lambda s: (s.sin() * 0.9).tanh(), s, use_reentrant=reentrant))
    with watching(module) as source:
        in_pieces(module, x, change, 1).sum().backward()
        (got,) = source.take()
    output, kept = unrolled("gru", module, x, _each(lambda s, k: (s.sin() * 0.9).tanh()), 1)
    found = torch.autograd.grad(output.sum(), [h for h, _ in kept[0]])
    same(got.layers[0].grad_h, torch.stack(found))
    assert got.answers == (0 if reentrant else T)


def test_a_change_of_states_of_two_calls() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        _, one = module(x[:2])
        _, two = module(x[2:4], one * 0.9)
        output, _ = module(x[4:], two + one)
        output.sum().backward()
        (got,) = source.take()
    assert len(got.layers[0].h) == T
    assert got.answers == 0  # one goes on into both


def test_the_call_after_a_change_of_more_nodes_begins_anew() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        in_pieces(module, x, _each(lambda s, k: far(s)), 3).sum().backward()
        passes = source.take()
    assert [len(one.layers[0].h) for one in passes] == [3, 3]


def test_answers_are_not_known_where_a_change_has_more_to_it_than_is_looked_at() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    gate = torch.ones(1, B, 1, requires_grad=True).double()
    for _ in range(80):
        gate = gate * 0.99
    with watching(module) as source:
        in_pieces(module, x, _each(lambda s, k: s * gate), 1).sum().backward()
        (got,) = source.take()
    assert len(got.layers[0].h) == T
    assert got.answers == 0


def test_many_calls_leave_nothing() -> None:
    module = made("gru")
    with watching(module) as source:
        state = torch.zeros(1, B, H).double()
        for _ in range(1000):
            output, state = module(torch.ones(1, B, I).double(), state * 0.99)
        assert source.ledger is not None
        call = weakref.ref(next(iter(source.ledger.newest_first())))
        output.sum().backward()
        (got,) = source.take()
        assert len(got.layers[0].h) == 1000
        gc.disable()
        try:
            del output, state
            assert call() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_of_the_final_states_is_told_from_what_goes_on_from_them(dtype: torch.dtype, loss: str) -> None:
    module, x = made("gru", 2).to(dtype), torch.randn(T, B, I).to(dtype)
    norm = nn.LayerNorm(H).to(dtype)
    with watching(module) as source:
        state, losses = None, []
        for k in range(T):
            _, state = module(x[k : k + 1], None if state is None else norm(state))
            losses.append(state[-1].square().sum())
        (losses[-1] if loss == "last" else torch.stack(losses).sum()).backward()
        (got,) = source.take()
    assert got.answers == (1 if loss == "last" else T)
