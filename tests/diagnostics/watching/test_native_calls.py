"""Several calls of one layer, and several backward passes."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diagnostics.watching.passing import Pass

from .native_cases import CELLS, watching

T, B, I, H = 6, 3, 2, 4  # noqa: E741
STARTS = (0, 2, 5)
"""Where the chunks of a sequence begin."""


def made(cell: str, **options: Any) -> nn.RNNBase:
    torch.manual_seed(0)
    cls, fixed = CELLS[cell]
    return cls(I, H, **fixed, **options).double()


def chunked(module: nn.RNNBase, x: Tensor, w: Tensor, how: str) -> None:
    """A sequence in three calls, one backward after each, or one for all; ``how`` the state is handed on."""
    state, losses = None, []
    for start, stop in zip(STARTS, (*STARTS[1:], T), strict=True):
        output, state = module(x[start:stop], state)
        losses.append((output * w[start:stop]).sum())
        parts = state if isinstance(state, tuple) else (state,)
        if how != "connected":
            parts = tuple(part.detach().clone() if how == "cloned" else part.detach() for part in parts)
        state = parts if isinstance(state, tuple) else parts[0]
        if how == "after each":
            losses.pop().backward()
    if losses:
        torch.stack(losses).sum().backward()


def once(module: nn.RNNBase, x: Tensor, w: Tensor) -> Pass:
    with watching(module) as source:
        (module(x)[0] * w).sum().backward()
        return source.take()[0]


def same(got: Tensor | None, want: Tensor | None) -> None:
    assert got is not None
    assert want is not None
    assert got.shape == want.shape
    assert (got - want).abs().max().item() <= 1e-12


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}], ids=["one layer", "two layers"])
@pytest.mark.parametrize("cell", CELLS)
def test_calls_that_go_on_from_each_other_are_one_sequence(cell: str, options: dict[str, Any]) -> None:
    module, x, w = made(cell, **options), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    want = once(module, x, w)
    with watching(module, check=True) as source:
        chunked(module, x, w, "connected")
        (got,) = source.take()
    assert got.cuts == ()
    assert got.answers == want.answers == T
    same(got.input_grad, want.input_grad)
    for mine, theirs in zip(got.layers, want.layers, strict=True):
        same(mine.h, theirs.h)
        same(mine.grad_h, theirs.grad_h)
        assert mine.last_answer is not None
        assert theirs.last_answer is not None
        same(mine.last_answer[0], theirs.last_answer[0])
        if cell == "lstm":
            same(mine.grad_c, theirs.grad_c)
            same(mine.last_answer[1], theirs.last_answer[1])
            same(mine.gates["f"], theirs.gates["f"])


@pytest.mark.parametrize("cell", CELLS)
def test_a_last_answer_in_an_earlier_call(cell: str) -> None:
    module, x, w = made(cell, num_layers=2), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    w[4:] = 0
    want = once(module, x, w)
    with watching(module) as source:
        chunked(module, x, w, "connected")
        (got,) = source.take()
    assert got.answers == want.answers == 4
    for mine, theirs in zip(got.layers, want.layers, strict=True):
        same(mine.grad_h, theirs.grad_h)
        assert mine.last_answer is not None
        assert theirs.last_answer is not None
        same(mine.last_answer[0], theirs.last_answer[0])


@pytest.mark.parametrize("how", ["after each", "at the end", "cloned"])
@pytest.mark.parametrize("cell", CELLS)
def test_truncation_is_a_cut(cell: str, how: str) -> None:
    module, x, w = made(cell, num_layers=2), torch.randn(T, B, I).double(), torch.randn(T, B, H).double()
    with watching(module, check=True) as source:
        chunked(module, x, w, how)
        (got,) = source.take()
    grads = dict(module.named_parameters())
    assert got.cuts == STARTS[1:]
    assert got.answers == T
    state: Any = None
    for start, stop in zip(STARTS, (*STARTS[1:], T), strict=True):
        with watching(module) as source:
            output, state = module(x[start:stop], state)
            (output * w[start:stop]).sum().backward()
            (want,) = source.take()
        state = tuple(part.detach() for part in state) if cell == "lstm" else state.detach()
        assert want.cuts == ((0,) if start else ())
        for mine, theirs in zip(got.layers, want.layers, strict=True):
            same(mine.grad_h[start:stop], theirs.grad_h)
    for layer in got.layers:
        assert layer.last_answer is not None
        assert not layer.last_answer[0][: STARTS[-1]].any()
        assert layer.last_answer[0][STARTS[-1] :].any()
        assert layer.weight_sum is not None
        gradient = grads[layer.weight].grad
        assert gradient is not None
        same(2 * layer.weight_sum, gradient)  # the loop above went through everything once more


def test_a_layer_that_is_called_once_per_timestep_is_one_sequence() -> None:
    module, x = made("lstm"), torch.randn(T, B, I).double()
    want = once(module, x, torch.ones(T, B, H).double())
    with watching(module) as source:
        state, outputs = None, []
        for x_t in x:
            output, state = module(x_t[None], state)
            outputs.append(output)
        torch.cat(outputs).sum().backward()
        (got,) = source.take()
    same(got.layers[0].grad_h, want.layers[0].grad_h)
    assert got.answers == T


def test_other_calls_and_other_states_are_passes_of_their_own() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        one, state = module(x)
        two, _ = module(2 * x, torch.full_like(state, 0.5, requires_grad=True).tanh())
        three, _ = module(3 * x)
        (one.sum() + two.sum() + three.sum()).backward()
        passes = source.take()
    assert len(passes) == 3
    assert all(one.cuts == () for one in passes)
    same(passes[0].layers[0].h, three.detach())


def test_accumulation_gives_the_newest_backward_passes_in_order() -> None:
    module = made("tanh")
    batches = [torch.randn(T, B, I).double() for _ in range(5)]
    with watching(module) as source:
        for x in batches:
            module(x)[0].sum().backward()
        passes = source.take()
        module(batches[0])
        assert source.take() == []
    assert [one.call for one in passes] == [0, 0]
    for x, one in zip(batches[-2:], passes, strict=True):
        same(one.layers[0].grad_h, once(module, x, torch.ones(T, B, H).double()).layers[0].grad_h)


def test_a_graph_that_is_gone_through_twice_gives_two_passes() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        output, _ = module(x)
        output[-1].sum().backward(retain_graph=True)
        (2 * output[-1]).sum().backward()
        first, second = source.take()
    same(2 * first.layers[0].grad_h, second.layers[0].grad_h)


def test_a_loss_at_the_bottom_layer_alone() -> None:
    module, x = made("lstm", num_layers=2), torch.randn(T, B, I).double()
    with watching(module, check=True) as source:
        _, (h_n, _) = module(x)
        h_n[0].sum().backward()
        (one,) = source.take()
    assert one.layers[0].grad_h.any()
    assert not one.layers[1].grad_h.any()
    assert one.layers[1].weight_sum is not None
    assert one.layers[1].weight_sum.shape == module.weight_hh_l1.shape
    assert one.answers == 1


def test_answers_are_each_samples_own() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        output, _ = module(x)
        output[torch.tensor([1, 4, 3]), torch.arange(B)].sum().backward()  # padding that nobody reads
        (one,) = source.take()
    assert one.answers == 1


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints(reentrant: bool) -> None:
    module, x = made("lstm", num_layers=2, dropout=0.5), torch.randn(T, B, I).double().requires_grad_()
    torch.manual_seed(1)
    module(x)[0].sin().sum().backward()
    want = [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]
    module.zero_grad()
    torch.manual_seed(1)
    with watching(module) as source:
        checkpoint(lambda x: module(x)[0], x, use_reentrant=reentrant).sin().sum().backward()
        (one,) = source.take()
    for parameter, gradient in zip(module.parameters(), want, strict=True):
        same(parameter.grad, gradient)
    torch.manual_seed(1)
    with watching(module) as source:
        module(x)[0].sin().sum().backward()
        (plain,) = source.take()
    for mine, theirs in zip(one.layers, plain.layers, strict=True):
        same(mine.grad_h, theirs.grad_h)
        assert mine.last_answer is not None
        assert theirs.last_answer is not None
        same(mine.last_answer[0], theirs.last_answer[0])


def test_backward_on_another_thread() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        loss = module(x)[0].sum()
        thread = threading.Thread(target=loss.backward)
        thread.start()
        thread.join()
        (one,) = source.take()
    same(one.layers[0].grad_h, once(module, x, torch.ones(T, B, H).double()).layers[0].grad_h)


def test_nothing_of_a_step_outlives_it() -> None:
    module, x = made("lstm", num_layers=2), torch.randn(T, B, I).double()
    with watching(module) as source:
        output, state = module(x)
        output = output + module(x, state)[0]  # two calls that know each other
        assert source.ledger is not None
        call = weakref.ref(list(source.ledger.newest_first())[-1])
        gc.disable()
        try:
            output.sum().backward()
            del output, state
            source.take()
            assert call() is None
        finally:
            gc.enable()
