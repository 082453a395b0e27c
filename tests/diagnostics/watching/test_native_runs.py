"""Several runs of autograd through one layer: gradients of gradients, accumulation, calls apart."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from diagnostics import watch
from diagnostics.watching.calls import Call
from diagnostics.watching.ledger import LONGEST
from diagnostics.watching.passing import Pass

from .native_cases import CELLS, Case, by_group, close, total, unrolled, watching

T, B, I, H = 6, 4, 3, 5  # noqa: E741
STACKED = {"num_layers": 2, "bidirectional": True}
EVERY_CELL = pytest.mark.parametrize("cell", CELLS)


class Critic(nn.Module):
    """A layer, and one number per sample out of its last output."""

    def __init__(self, cell: str, packed: bool = False, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        cls, fixed = CELLS[cell]
        self.rnn = cls(I, H, **fixed, **options)
        self.head = nn.Linear((self.rnn.proj_size or H) * (2 if self.rnn.bidirectional else 1), 1)
        self.packed = packed

    def forward(self, x: Tensor) -> Tensor:
        given: Any = pack_padded_sequence(x, torch.tensor([5, 6, 2, 6]), enforce_sorted=False) if self.packed else x
        h_n = self.rnn(given)[1]
        h_n = h_n[0] if isinstance(h_n, tuple) else h_n
        return self.head(torch.cat(list(h_n[-2 if self.rnn.bidirectional else -1 :]), -1)).tanh()  # type: ignore[no-any-return]


def penalised(model: nn.Module, x: Tensor) -> Tensor:
    """A loss with the squared gradient of the answers with respect to the input: of the same call, and of another."""
    x = x.clone().requires_grad_()
    answers = model(x)
    (slope,) = torch.autograd.grad(answers.sum(), x, create_graph=True)
    return (answers - 1).square().mean() + 10 * slope.square().sum(-1).mean() + model(2 * x).mean()


def alone(model: nn.Module, x: Tensor) -> Tensor:
    """A penalty and nothing else: the run that counts does not go out by the layer's output."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x, create_graph=True)[0].square().sum()


def trained(model: nn.Module, loss: Callable[[nn.Module, Tensor], Tensor], **how: Any) -> tuple[list[Tensor], Any]:
    """The parameters after five steps, and the watch, if any was asked for."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    batches = [torch.randn(T, B, I, dtype=torch.float64) for _ in range(5)]

    def loop(step: Callable[[], None]) -> None:
        for x in batches:
            optimizer.zero_grad()
            loss(model, x).backward()
            step()

    if not how:
        loop(optimizer.step)
        return [parameter.detach().clone() for parameter in model.parameters()], None
    with watch(model, store=False, **how) as w:
        loop(lambda: w.step(optimizer))
    return [parameter.detach().clone() for parameter in model.parameters()], w


@pytest.mark.parametrize("loss", [penalised, alone])
@pytest.mark.parametrize("packed", [False, True], ids=["", "packed"])
@pytest.mark.parametrize("options", [{}, STACKED], ids=["one layer", "stacked"])
@EVERY_CELL
def test_a_gradient_penalty_trains_as_without_watching(
    cell: str, options: dict[str, Any], packed: bool, loss: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    model = Critic(cell, packed, **options).double()
    want, _ = trained(copy.deepcopy(model), loss)
    got, w = trained(model, loss, every=2)
    for mine, theirs in zip(got, want, strict=True):
        close(mine, theirs)
    assert w.self_check == {}
    assert not [event for event in w.events if event.kind == "self_check"]
    assert "autograd ran over it more than once" in w.covered[0]


def test_a_gradient_penalty_through_a_projection() -> None:
    model = Critic("lstm", proj_size=2, num_layers=2).double()
    want, _ = trained(copy.deepcopy(model), penalised)
    for mine, theirs in zip(trained(model, penalised, every=1)[0], want, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("shared", [True, False], ids=["loss and penalty", "penalty alone"])
@pytest.mark.parametrize("packed", ["", "unsorted"])
@pytest.mark.parametrize(("cell", "options"), [*((cell, {}) for cell in CELLS), ("lstm", {"proj_size": 2})])
def test_with_a_penalty_the_profile_is_the_total_derivative_of_the_whole_loss(
    cell: str, options: dict[str, Any], packed: str, shared: bool
) -> None:
    case = Case(cell, options={**STACKED, **options}, packed=packed, loss="both")

    def backward(output: Tensor, finals: list[Tensor], kept: Sequence[Tensor] = ()) -> None:
        value = case.value(output.sin(), finals, case.of_output, case.of_finals)
        (slope,) = torch.autograd.grad(value, case.x, create_graph=True)
        for state in kept:
            state.grad = None
        (slope.square().sum() + (value if shared else 0)).backward()

    with watching(case.module, check=True) as source:
        backward(*case.call()[:2])
        passes = source.take()
    found = case.gradients()
    output, finals, layers = unrolled(case)
    backward(output, finals, [state for twin in layers.values() for state in (*twin.h, *twin.c)])
    for name, gradient in case.gradients().items():
        close(found[name], gradient)
    assert len(passes) == 2
    for (layer, direction), twin in layers.items():
        one = by_group(passes)[direction].layers[layer]
        close(one.grad_h, total(twin.h, twin, case.lengths))
        if cell == "lstm":
            assert one.grad_c is not None
            close(one.grad_c, total(twin.c, twin, case.lengths))
        assert one.weight_sum is None  # the weight has gradients that no share tells of
        assert one.last_answer is None
    assert {one.answers for one in passes} == {0}


@EVERY_CELL
def test_a_gradient_that_is_asked_for_and_not_added_is_neither_shown_nor_checked(cell: str) -> None:
    """As adversarial training has it: the input is moved along its gradient, and that is trained on."""
    module, x = made(cell), torch.randn(T, B, I).double().requires_grad_()
    with watching(module, check=True) as source:
        (slope,) = torch.autograd.grad(module(x)[0].sum(), x)
        moved = x.detach() + 0.1 * slope.sign()
        module(moved)[0].square().sum().backward()
        (one,) = source.take()
    checked(module, [one])
    with watching(module) as source:
        module(moved)[0].square().sum().backward()
        (want,) = source.take()
    close(one.layers[0].grad_h, want.layers[0].grad_h)


def made(cell: str, **options: Any) -> nn.RNNBase:
    torch.manual_seed(0)
    cls, fixed = CELLS[cell]
    return cls(I, H, **fixed, **options).double()


def checked(module: nn.RNNBase, passes: list[Pass]) -> None:
    """The shares of all passes sum to the weights' gradients."""
    sums: dict[str, Tensor] = {}
    for layer in (layer for one in passes for layer in one.layers):
        assert layer.weight_sum is not None
        sums[layer.weight] = sums.get(layer.weight, torch.zeros(())) + layer.weight_sum
    for name, found in sums.items():
        gradient = module.get_parameter(name).grad
        assert gradient is not None
        close(found, gradient)


@EVERY_CELL
def test_calls_apart_are_numbered_as_they_were_called(cell: str) -> None:
    module, x = made(cell, bidirectional=True), torch.randn(T, B, I).double()
    with watching(module, check=True) as source:
        for _ in range(2):  # two runs of autograd
            module.zero_grad()
            long, short = module(x)[0], module(2 * x[:4])[0]
            (short[-1].sum() + long[-1].sum()).backward()
        passes = source.take()
    named = {(one.direction, one.call): len(one.layers[0].h) for one in passes}
    assert named == {("forward", 0): T, ("forward", 1): 4, ("reverse", 0): T, ("reverse", 1): 4}
    assert len(passes) == 8


def test_sequences_in_chunks_are_numbered_too() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        states: list[Tensor | None] = [None, None]
        for start in (0, 3):
            outputs = []
            for k in (0, 1):
                output, state = module((k + 1) * x[start : start + 3], states[k])
                states[k] = state.detach()
                outputs.append(output)
            torch.cat(outputs).sum().backward()
        passes = source.take()
    assert sorted((one.call, len(one.layers[0].h), one.cuts) for one in passes) == [(0, T, (3,)), (1, T, (3,))]
    first = next(one for one in passes if one.call == 0)
    with watching(module):
        close(first.layers[0].h[:3], module(x[:3])[0].detach())


@pytest.mark.parametrize("options", [{}, STACKED], ids=["one layer", "stacked"])
@EVERY_CELL
def test_of_a_long_accumulation_the_shares_of_all_are_summed(cell: str, options: dict[str, Any]) -> None:
    module = made(cell, **options)
    with watching(module, check=True) as source:
        for _ in range(7):
            x = torch.randn(T, B, I).double()
            (module(x)[0].sum() + module(2 * x)[0][-1].sum()).backward()
        passes = source.take()
    assert len(passes) == 4 * (2 if options else 1)
    checked(module, passes)


def test_of_a_graph_that_is_gone_through_again_and_again_the_shares_of_all_are_summed() -> None:
    module = made("lstm")
    with watching(module, check=True) as source:
        output, _ = module(torch.randn(T, B, I).double())
        for t in range(T):
            output[t].sum().backward(retain_graph=True)
        passes = source.take()
    assert len(passes) == 2
    assert [one.layers[0].grad_h[-1].any() for one in passes] == [False, True]
    checked(module, passes)


def test_other_runs_of_autograd_do_not_push_out_the_one_that_counts() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double().requires_grad_()
    with watching(module, check=True) as source:
        module(x)[0].sum().backward()
        for _ in range(4):
            torch.autograd.grad(module(2 * x)[0].sum(), x)
        passes = source.take()
    close(passes[-1].layers[0].h, module(x)[0].detach())
    checked(module, passes)


def test_of_a_sequence_in_very_many_chunks_the_newest_are_kept() -> None:
    module, x = made("gru"), torch.randn(3, B, I).double()
    with watching(module, check=True) as source:
        state: Tensor | None = None
        for _ in range(LONGEST + 20):
            output, state = module(x, state)
            state = state.detach()
            output.sum().backward()
        (one,) = source.take()
    assert one.cuts == tuple(range(0, 3 * (LONGEST + 1), 3))
    close(one.layers[0].h[-3:], output.detach())
    checked(module, [one])


@pytest.mark.parametrize("backward", [True, False], ids=["backward", "forward alone"])
def test_memory_does_not_grow_with_the_backward_passes_of_a_step(
    backward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_calls: list[weakref.ref[Call]] = []
    ordinary = Call.__init__

    def counted(self: Call, *args: Any) -> None:
        ordinary(self, *args)
        made_calls.append(weakref.ref(self))

    monkeypatch.setattr(Call, "__init__", counted)
    module = made("lstm", num_layers=2)
    gc.disable()
    try:
        with watching(module, check=True) as source:
            for _ in range(20):
                output = module(torch.randn(T, B, I).double())[0]
                if backward:
                    output.sum().backward()
                del output
            assert len(made_calls) == 20
            assert sum(call() is not None for call in made_calls) == (2 if backward else 0)
            source.take()
            assert not any(call() for call in made_calls)
    finally:
        gc.enable()
