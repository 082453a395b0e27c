"""Loops by hand, directions, decoders, truncation, generation: what calls a cell, against plain autograd."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diagnostics.watching import cells
from tests.diagnostics.watching.test_cells import (
    B,
    D,
    H,
    Kept,
    OneCell,
    T,
    X,
    assert_same,
    double,
    gru_step,
    loss_of,
    pair,
    reference,
    watched,
    zeros,
)


class Directions(Kept):
    """Two cells, one of which goes from the last step to the first; in a list, or as two attributes."""

    def __init__(self, listed: bool) -> None:
        super().__init__()
        self.listed = listed
        if listed:
            self.cells = nn.ModuleList([nn.GRUCell(D, H), nn.GRUCell(D, H)])
        else:
            self.there, self.back = nn.GRUCell(D, H), nn.GRUCell(D, H)
        self.head = nn.Linear(2 * H, 2)

    def forward(self, x: Tensor) -> Tensor:
        there, back = self.cells if self.listed else (self.there, self.back)
        h, outputs = zeros(), {}
        for t in range(T):
            outputs[0, t] = h = self.keep("h there", there(x[t], h))
        h = zeros()
        for t in reversed(range(T)):
            outputs[1, t] = h = self.keep("h back", back(x[t], h))
        return torch.stack([self.head(torch.cat((outputs[0, t], outputs[1, t]), 1)) for t in range(T)])


@pytest.mark.parametrize(("listed", "names"), [(True, ("cells →", "cells ←")), (False, ("there", "back"))])
def test_the_reverse_direction_is_seen_by_where_its_inputs_lie(listed: bool, names: tuple[str, str]) -> None:
    model = double(lambda: Directions(listed))
    passes, _ = watched(model)
    assert [(one.group, one.direction) for one in passes] == [(names[0], "forward"), (names[1], "reverse")]
    expected = reference(model)
    assert_same(passes[0].layers[0], expected, "h there")
    assert_same(passes[1].layers[0], expected, "h back")  # in walk order: what was walked first is first


def test_the_direction_is_seen_through_an_embedding_and_not_made_up() -> None:
    class Words(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell, self.other = nn.Embedding(9, D), nn.GRUCell(D, H), nn.GRUCell(D, H)

        def forward(self, words: Tensor) -> Tensor:
            h, g = zeros(), zeros()
            for t in reversed(range(T)):
                h = self.keep("h", self.cell(self.embed(words[t]), h))
                g = self.other(X[t].clone(), g)
            return h + g

    model = double(Words)
    passes, source = watched(model, torch.arange(T * B).view(T, B) % 9)
    assert [(one.group, one.direction) for one in passes] == [("cell", "reverse"), ("other", "forward")]
    unseen = (
        "whether the calls go forwards or backwards through the sequence cannot be seen: steps are counted in the "
        "order of the calls"
    )
    assert unseen not in source.covered()[0]
    assert unseen in source.covered()[1]


def test_layer_by_layer_in_the_order_of_the_outputs_of_the_layer_below() -> None:
    class Layers(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList([nn.GRUCell(D, H), nn.GRUCell(H, H)])

        def forward(self, x: Tensor) -> Tensor:
            row = list(x)
            for layer, cell in enumerate(self.cells):
                h, outputs = zeros(), []
                for x_t in row:
                    h = self.keep(f"h{layer}", cell(x_t, h))
                    outputs.append(h)
                row = outputs
            return torch.stack(row)

    model = double(Layers)
    ((one,), _) = watched(model)
    assert (one.group, len(one.layers)) == ("cells", 2)
    for layer in range(2):
        assert_same(one.layers[layer], reference(model), f"h{layer}")


USES: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "last": lambda states: states[-1],
    "stack": torch.stack,
    "stack 1": lambda states: torch.stack(states, 1),
    "stack -2": lambda states: torch.stack(states, -2),
    "stack and transpose": lambda states: torch.stack(states).transpose(0, -2),
    "unsqueeze and cat": lambda states: torch.cat([state.unsqueeze(1) for state in states], 1),
}


class PlainLoop(Kept):
    """h = tanh(W h + U x) with nothing per timestep but two linear modules."""

    def __init__(self, head: str = "last") -> None:
        super().__init__()
        self.W, self.U, self.head = nn.Linear(H, H), nn.Linear(D, H), nn.Linear(H, 2)
        self.use = head

    def forward(self, x: Tensor) -> Tensor:
        h, states = zeros(), []
        for x_t in x:
            h = self.keep("h", torch.tanh(self.W(h) + self.U(x_t)))
            states.append(h)
        if self.use == "nothing":
            return h.sum() * 2
        return self.head(USES[self.use](states))


@pytest.mark.parametrize("use", USES)
def test_a_loop_by_hand_with_one_linear_module_per_step(use: str) -> None:
    model = double(lambda: PlainLoop(use))
    ((one,), source) = watched(model)
    assert (one.group, one.kind) == ("W", "Linear")
    assert_same(one.layers[0], reference(model))
    assert "the tensor that it is called with" in source.covered()[0]


def test_of_a_loop_by_hand_the_sum_over_timesteps_is_what_the_weight_gets_once_it_is_known() -> None:
    model = double(lambda: PlainLoop("nothing"))
    source = cells.attach(model)
    for known in (False, True):
        model.zero_grad()
        source.arm(check=True)
        loss_of(model(X)).backward()
        (one,) = source.take()
        assert one.layers[0].weight == "W.weight"
        if known:
            torch.testing.assert_close(one.layers[0].weight_sum, model.W.weight.grad, rtol=1e-12, atol=1e-12)
        else:
            assert one.layers[0].weight_sum is None


def test_where_the_last_state_goes_into_no_module_the_others_are_recorded_and_it_is_said() -> None:
    model = double(lambda: PlainLoop("nothing"))
    ((one,), source) = watched(model)
    assert one.layers[0].h.shape == (T - 1, B, H)
    torch.testing.assert_close(one.layers[0].grad_h, reference(model)["h"][1][:-1], rtol=1e-12, atol=1e-12)
    assert "the state after the last call is not seen (use w.state for it)" in source.covered()[0]


class HandGRU(Kept):
    """A GRU with its products as modules: what goes into ``n``, r ⊙ h, is no state."""

    def __init__(self) -> None:
        super().__init__()
        self.r, self.z, self.n = (nn.Linear(H, H) for _ in range(3))
        self.x, self.head = nn.Linear(D, 3 * H), nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = zeros()
        for x_t in x:
            x_r, x_z, x_n = self.x(x_t).chunk(3, 1)
            r, z = torch.sigmoid(x_r + self.r(h)), torch.sigmoid(x_z + self.z(h))
            n = torch.tanh(x_n + self.n(r * h))
            h = self.keep("h", (1 - z) * n + z * h)
        return self.head(h)


def test_of_a_gru_in_linear_modules_the_state_is_recorded_once() -> None:
    model = double(HandGRU)
    ((one,), _) = watched(model)
    assert one.group == "r"
    assert_same(one.layers[0], reference(model))


def test_of_a_gru_in_gate_modules_the_state_is_recorded_once() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(D + H, H)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return self.inner(torch.cat((x, h), 1))

    class Gates(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.reset, self.update, self.new, self.head = Gate(), Gate(), Gate(), nn.Linear(H, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = zeros()
            for x_t in x:
                r, z = self.reset(x_t, h).sigmoid(), self.update(x_t, h).sigmoid()
                h = self.keep("h", (1 - z) * self.new(x_t, r * h).tanh() + z * h)
            return self.head(h)

    model = double(Gates)
    ((one,), _) = watched(model)
    assert one.group == "update"
    assert_same(one.layers[0], reference(model))


class Attention(Kept):
    """A decoder whose cell is fed what attention over the encoder's states found with its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.cell = nn.GRUCell(D, H), nn.LSTMCell(D + H, H)
        self.query, self.head = nn.Linear(H, H), nn.Linear(2 * H, D)

    def forward(self, x: Tensor) -> Tensor:
        memory, h = [], zeros()
        for x_t in x:
            h = self.keep("h of encoder", self.encoder(x_t, h))
            memory.append(h)
        states = torch.stack(memory, 1)  # [B,T,H]
        c, context, outputs = zeros(), zeros(), []
        word = x[0]
        for _ in range(5):
            h, c = self.cell(torch.cat((word, context), 1), (h, c))
            h, c = self.keep("h", h), self.keep("c", c)
            weights = torch.softmax(torch.bmm(states, self.query(h)[:, :, None]), 1)
            context = (weights * states).sum(1)
            word = self.head(torch.cat((h, context), 1))
            outputs.append(word)
        return torch.stack(outputs)


def test_an_attention_decoder_with_input_feeding_and_its_encoder() -> None:
    model = double(Attention)
    passes, _ = watched(model)
    expected = reference(model)
    assert [(one.group, one.kind) for one in passes] == [("encoder", "gru"), ("cell", "lstm")]
    assert_same(passes[0].layers[0], expected, "h of encoder")
    assert_same(passes[1].layers[0], expected, "h", "c")


def truncated(every: int, how: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def step(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
        (h, c), t = state
        if t and t % every == 0:
            h, c = how(h), how(c)
        h, c = cell(x, (h, c))
        h, c = keep("h", h), keep("c", c)
        return ((h, c), t + 1), h

    return step


@pytest.mark.parametrize("how", [Tensor.detach, lambda h: h.detach().clone(), lambda h: h.data])
@pytest.mark.parametrize(("every", "cuts"), [(3, (3, 6)), (1, (1, 2, 3, 4, 5, 6))])
def test_a_detached_state_is_a_cut(every: int, cuts: tuple[int, ...], how: Callable[[Tensor], Tensor]) -> None:
    model = double(lambda: OneCell(nn.LSTMCell(D, H), truncated(every, how), lambda: (pair(), 0)))
    ((one,), source) = watched(model)
    assert one.cuts == cuts
    assert_same(one.layers[0], reference(model), "h", "c")
    assert f"detached before timestep {', '.join(map(str, cuts))}" in source.covered()[0]


def test_parts_with_a_backward_pass_each_are_joined_and_passes_of_one_graph_are_not() -> None:
    cell = double(lambda: nn.GRUCell(D, H))
    source = cells.attach(cell)
    source.arm()
    h = zeros()
    for start in (0, 3):
        for x_t in X[start : start + 3]:
            h = cell(x_t, h)
        loss_of(h).backward()
        h = h.detach()
    (one,) = source.take()
    assert (one.group, one.cuts, len(one.layers[0].h)) == ("GRUCell", (3,), 6)
    assert one.layers[0].grad_h.flatten(1).norm(dim=1).gt(0).all()

    source.arm()
    first = cell(X[0], zeros())
    second = cell(X[1], first)
    loss_of(first).backward(retain_graph=True)
    loss_of(second).backward()
    alone, both = source.take()
    assert alone.layers[0].grad_h[1].abs().max() == 0
    torch.testing.assert_close(
        alone.layers[0].grad_h[0], torch.autograd.grad(loss_of(f := first.detach().requires_grad_()), f)[0]
    )
    assert both.layers[0].grad_h.flatten(1).norm(dim=1).gt(0).all()


def test_sequences_after_one_another_are_passes_of_their_own() -> None:
    cell = double(lambda: nn.LSTMCell(D, H))
    source = cells.attach(cell)
    source.arm()
    ends = []
    for steps in (3, 5):  # a variable number of calls
        state = None
        for x_t in X[:steps]:
            state = cell(x_t, state)
        ends.append(state[0].sum())
    sum(ends).backward()
    assert [(len(one.layers[0].h), one.call) for one in source.take()] == [(3, 0), (5, 1)]
    (sentence,) = source.covered()
    assert "called once per timestep of each of 2 sequences, 3 and 5 times" in sentence


def test_one_cell_for_two_layers_gives_two_lines() -> None:
    cell = double(lambda: nn.GRUCell(H, H))
    source = cells.attach(cell)
    source.arm()
    low, high = zeros(), zeros()
    lows, highs = [], []
    for t in range(T):
        low = cell(X[t, :, :1].expand(B, H), low)
        high = cell(low, high)
        lows.append(low)
        highs.append(high)
        low.retain_grad()
        high.retain_grad()
    loss_of(high).backward()
    passes = source.take()
    for one, states in zip(passes, (lows, highs), strict=True):
        torch.testing.assert_close(one.layers[0].grad_h, torch.stack([h.grad for h in states]), rtol=1e-12, atol=1e-12)


def test_a_loop_that_generates_reads_numbers_and_stops_early() -> None:
    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell, self.head = nn.Embedding(9, D), nn.GRUCell(D, H), nn.Linear(H, 9)

        def forward(self, word: Tensor) -> Tensor:
            h, logits = zeros(), []
            for _ in range(10):
                h = self.cell(self.embed(word), h)
                logits.append(self.head(h))
                word = logits[-1].argmax(1)
                if len(logits) > 3 and word[0].item() >= 0:
                    break
            return torch.stack(logits)

    model = double(Generator)
    ((one,), source) = watched(model, torch.tensor([1, 2, 3]))
    assert (one.group, len(one.layers[0].h)) == ("cell", 4)
    assert "forwards or backwards through the sequence cannot be seen" in source.covered()[0]
    source.arm()
    with torch.no_grad():
        model(torch.tensor([1, 2, 3]))
    assert source.take() == []
    assert source.calls["cell"].without_graph == 4


def test_a_cell_that_keeps_its_state_inside_is_named_with_state() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.Linear(D + H, H), nn.Linear(H, 2)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            self.h = self.cell(torch.cat((x, self.h), 1)).tanh()
            return {"out": self.out(self.h), "state": self.h}

    class Model(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Inside()

        def forward(self, x: Tensor) -> Tensor:
            self.inside.h = zeros()
            outputs = []
            for x_t in x:
                outputs.append(self.inside(x_t)["out"])
                self.inside.h = self.keep("h", self.inside.h)
            return torch.stack(outputs)

    model = double(Model)
    source = cells.attach(model, ["inside"], lambda args, kwargs, output: output["state"])
    source.arm()
    loss_of(model(X)).backward()
    (one,) = source.take()
    assert (one.group, one.kind) == ("inside", "Inside")
    model.inside.h = None
    assert_same(one.layers[0], reference(model))


def test_non_reentrant_checkpoints_record_the_first_forward_alone() -> None:
    class Checkpointed(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(D, H)

        def forward(self, x: Tensor) -> Tensor:
            h = zeros()
            for x_t in x:
                h = self.keep("h", checkpoint(self.cell, x_t, h, use_reentrant=False))
            return h

    model = double(Checkpointed)
    ((one,), _) = watched(model)
    assert_same(one.layers[0], reference(model))


def in_a_file(model: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m)), in_a_file])
def test_a_copy_of_an_armed_model_has_the_persons_hooks_alone(copied: Callable[[nn.Module], Any]) -> None:
    cell = double(lambda: nn.Sequential(nn.GRUCell(D, H)))
    cell[0].register_forward_hook(printed_by_nobody)
    untouched = [set(vars(module)) for module in cell.modules()]
    source = cells.attach(cell, ["0"])
    source.arm()
    h = cell[0](X[1], cell[0](X[0], zeros()))
    other = copied(cell)
    if copied is not copy.copy:  # whose parts are the model's own
        assert torch.equal(other[0](X[1], other[0](X[0], zeros())), h)
        assert list(other[0]._forward_hooks.values()) == [printed_by_nobody]
        assert not other[0]._forward_pre_hooks
        assert not other[0]._forward_hooks_with_kwargs
    assert len(cell[0]._forward_hooks) == 2
    assert "__getstate__" not in vars(other)
    h.sum().backward()
    assert len(source.take()) == 1
    assert [set(vars(module)) for module in cell.modules()] == untouched


def printed_by_nobody(*_: Any) -> None:
    """A hook of the person's."""


def test_after_an_exception_in_the_model_the_next_step_is_recorded() -> None:
    model = double(lambda: OneCell(nn.GRUCell(D, H), gru_step, zeros))
    source = cells.attach(model)
    source.arm()
    with pytest.raises(RuntimeError, match="size"):
        model(torch.cat((X, X), 2))
    loss_of(model(X)).backward()
    (one,) = source.take()
    assert_same(one.layers[0], reference(model))
    source.arm()
    with pytest.raises(RuntimeError, match="size"):
        model(torch.cat((X, X), 2))
    source.close()
    source.close()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("check", [False, True])
def test_nothing_is_held_after_take_nor_of_a_graph_that_was_dropped(check: bool) -> None:
    cell = double(lambda: nn.GRUCell(D, H))
    source = cells.attach(cell)
    source.arm(check=check)
    first = cell(X[0], zeros())
    last = cell(X[1], first)
    node = weakref.ref(first)
    last.sum().backward()
    passes = source.take()
    del first, last
    gc.collect()
    assert node() is None
    assert len(passes) == 1

    source.arm(check=check)
    for _ in range(3):  # sequences that no backward pass ever reaches, such as a validation with a graph
        h = zeros()
        for x_t in X:
            h = cell(x_t, h)
        node = weakref.ref(h)
        del h
    cell(X[0], zeros()).sum().backward()
    gc.collect()
    assert node() is None
    assert source.take() == []


def test_whatever_goes_wrong_in_watching_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    model = double(lambda: OneCell(nn.GRUCell(D, H), gru_step, zeros))
    source = cells.attach(model)
    monkeypatch.setattr("diagnostics.watching.matching.Memory.match", lambda self, leaves: 1 / 0)
    source.arm()
    loss_of(model(X)).backward()
    assert source.take() == []
    assert (
        "cell (torch.nn.GRUCell) could not be followed (ZeroDivisionError: division by zero), which is a fault of "
        "ours; the training is not touched by it: mark its state with w.state(h)."
    ) in source.refusals
