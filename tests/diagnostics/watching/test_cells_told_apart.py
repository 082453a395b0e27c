"""Which module is the cell, which tensor the state: what is told apart, and the sentences where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching import cells
from tests.diagnostics.watching.test_cells import (
    B,
    D,
    H,
    Kept,
    LayerNormLSTM,
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


def refused(model: nn.Module, x: Tensor = X, **options: Any) -> list[str]:
    """The sentences of a step of which nothing was recorded."""
    source = cells.attach(model, **options)
    source.arm()
    loss_of(model(x)).backward()
    assert source.take() == []
    assert source.covered() == []
    return source.refusals


class TwoInside(nn.Module):
    """Two layers in one module."""

    def __init__(self, hand_written: bool) -> None:
        super().__init__()
        if hand_written:
            self.below, self.above = nn.Linear(D + H, H), nn.Linear(2 * H, H)
        else:
            self.below, self.above = nn.GRUCell(D, H), nn.GRUCell(H, H)
        self.hand_written = hand_written

    def forward(self, x: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        low, high = states
        if self.hand_written:
            low = self.below(torch.cat((x, low), 1)).tanh()
            return low, self.above(torch.cat((low, high), 1)).tanh()
        low = self.below(x, low)
        return low, self.above(low, high)


def two_step(cell: nn.Module, x: Tensor, states: Any, keep: Callable[..., Tensor]) -> Any:
    low, high = cell(x, states)
    states = keep("h0", low), keep("h1", high)
    return states, states[1]


def test_two_layers_in_one_module_are_its_cells_or_its_layers_and_no_lstm() -> None:
    model = double(lambda: OneCell(TwoInside(False), two_step, pair))
    passes, _ = watched(model)
    assert [one.group for one in passes] == ["cell.below", "cell.above"]
    for layer, one in enumerate(passes):
        assert_same(one.layers[0], reference(model), f"h{layer}")
    model = double(lambda: OneCell(TwoInside(True), two_step, pair))
    ((one,), _) = watched(model)
    assert (one.group, len(one.layers)) == ("cell", 2)
    for layer in range(2):
        assert_same(one.layers[layer], reference(model), f"h{layer}")


def test_a_model_that_is_itself_called_per_timestep_is_known_by_the_cell_that_it_hands_through() -> None:
    class Stepwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell, self.head = nn.Linear(D, D), nn.LSTMCell(D, H), nn.Linear(H, 2)

        def forward(self, x: Tensor, state: Any) -> Any:
            state = self.cell(self.embed(x), state)
            return self.head(state[0]), state

    model = double(Stepwise)
    source = cells.attach(model)
    source.arm()
    state, outputs, kept = None, [], []
    for x_t in X:
        y, state = model(x_t, state)
        outputs.append(y)
        state[1].retain_grad()
        kept.append(state[1])
    loss_of(torch.stack(outputs)).backward()
    (one,) = source.take()
    assert (one.group, one.kind, one.layers[0].weight) == ("cell", "lstm", "cell.weight_hh")
    assert kept[0].grad is not None
    assert torch.equal(one.layers[0].grad_c[0], kept[0].grad)


def test_an_output_that_is_given_back_as_the_next_input_is_no_state() -> None:
    class Fed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.out = nn.Linear(2 * H, H), nn.Linear(H, H)

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = self.inner(torch.cat((x, h), 1)).tanh()
            return self.out(h), h

    class Model(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Fed()

        def forward(self, x: Tensor) -> Tensor:
            y, h, outputs = zeros() + 1, zeros(), []
            for _ in range(len(x)):
                y, h = self.cell(y, h)
                outputs.append(y)
            return torch.stack(outputs)

    model = double(Model)
    ((one,), _) = watched(model)
    y, h, outputs, states = zeros() + 1, zeros(), [], []
    for _ in range(T):
        h = model.cell.inner(torch.cat((y, h), 1)).tanh()
        h.retain_grad()
        y = model.cell.out(h)
        states.append(h)
        outputs.append(y)
    loss_of(torch.stack(outputs)).backward()
    torch.testing.assert_close(one.layers[0].grad_h, torch.stack([h.grad for h in states]), rtol=1e-12, atol=1e-12)


def test_of_a_cell_with_four_states_the_one_that_the_others_go_into_is_h() -> None:
    class SLSTM(nn.Module):
        """The scalar LSTM of Beck et al. 2024, with its normaliser and its stabiliser, and no mixing of the gates."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(D + H, 4 * H)

        def forward(self, x: Tensor, states: Any) -> Any:
            h, c, n, m = states
            i, f, z, o = self.inner(torch.cat((x, h), 1)).chunk(4, 1)
            new = torch.maximum(nn.functional.logsigmoid(f) + m, i)
            i, f = torch.exp(i - new), torch.exp(nn.functional.logsigmoid(f) + m - new)
            c, n = f * c + i * z.tanh(), f * n + i
            return o.sigmoid() * c / n, c, n, new

    def step(cell: nn.Module, x: Tensor, states: Any, keep: Callable[..., Tensor]) -> Any:
        h, c, n, m = cell(x, states)
        return (keep("h", h), c, n, m), h

    model = double(lambda: OneCell(SLSTM(), step, lambda: (zeros(), zeros(), zeros(), zeros())))
    ((one,), _) = watched(model)
    assert_same(one.layers[0], reference(model))


def test_states_with_an_axis_of_layers_are_layers_and_others_are_refused() -> None:
    class Layers(nn.Module):
        """[L,B,H]."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(H, H)
            self.x = nn.Linear(D, H)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return torch.tanh(self.inner(h) + self.x(x))

    def first(layers: int) -> Callable[[], Tensor]:
        return lambda: torch.zeros(layers, B, H, dtype=torch.float64)

    for layers in (1, 2):
        model = double(lambda layers=layers: OneCell(Layers(), gru_step, first(layers)))
        ((one,), _) = watched(model)
        expected = reference(model)["h"]
        for layer in range(layers):
            torch.testing.assert_close(one.layers[layer].grad_h, expected[1][:, layer], rtol=1e-12, atol=1e-12)
    model = double(lambda: OneCell(Layers(), gru_step, first(B)))
    (sentence,) = refused(model)
    assert (
        "hands on states of shape (3, 3, 5), of which the batch's axis cannot be told: mark them with w.state(h), "
        "brought to one shape [B,H]." in sentence
    )


def test_the_same_state_in_two_calls_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(D, H)

        def forward(self, x: Tensor) -> Tensor:
            h = zeros()
            for x_t in x:
                other = self.cell(x_t + 1, h)
                h = self.cell(x_t, h) + 0 * other
            first = self.cell(x[0], zeros())
            return self.cell(x[1], first) + self.cell(x[2], first) + h

    assert refused(double(Twice)) == [
        "cell (torch.nn.GRUCell) hands the same state to two calls (a tree, a search), so there is no one line of "
        "timesteps: mark the states along one of them with w.state(h)."
    ]


def test_a_tree_is_refused() -> None:
    class Tree(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.merge = nn.Bilinear(H, H, H)
            self.leaf = nn.Linear(D, H)

        def forward(self, x: Tensor) -> Tensor:
            row = [self.leaf(x_t) for x_t in x[:4]]
            while len(row) > 1:
                row = [self.merge(a, b) for a, b in zip(row[::2], row[1::2], strict=True)]
            return row[0]

    (sentence,) = refused(double(Tree))
    assert sentence == (
        "merge (torch.nn.Bilinear) is given states that two different calls of it returned, so there is no one line of "
        "timesteps: mark the states along one of them with w.state(h)."
    )


def test_an_lstm_by_hand_with_a_projection_has_its_h_and_its_c() -> None:
    class Projected(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.project = nn.Linear(D + 2, 4 * H), nn.Linear(H, 2)

        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            i, f, g, o = self.inner(torch.cat((x, h), 1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return self.project(o.sigmoid() * c.tanh()), c

    def step(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
        h, c = cell(x, *state)
        state = keep("h", h), keep("c", c)
        return state, state[0]

    model = double(lambda: OneCell(Projected(), step, lambda: (zeros(2), zeros()), 2))
    ((one,), _) = watched(model)
    assert_same(one.layers[0], reference(model), "h", "c")


def test_three_states_of_which_each_goes_into_all_are_not_guessed() -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3 * H, 4 * H)

        def forward(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
            one, two, three, four = self.inner(torch.cat((a, b, c), 1)).chunk(4, 1)
            return one, two * one.tanh(), three.tanh() * one + four

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Three()

        def forward(self, x: Tensor) -> Tensor:
            states = (zeros(), zeros(), zeros() + 1)
            for _ in range(len(x)):
                states = self.cell(*states)
            return states[0] + states[1]

    (sentence,) = refused(double(Model))
    assert sentence.endswith(
        "hands on 3 tensors, and which of them is the state cannot be told: say it with watch(…, cells=[…], "
        "state=…), or mark it with w.state(h)."
    )


def test_layers_that_share_an_activation_or_weights_twice_are_no_cell() -> None:
    class Feed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.drop, self.norm = nn.ReLU(), nn.Dropout(0.1), nn.LayerNorm(H)
            self.first, self.again, self.last = nn.Linear(D, H), nn.Linear(H, H), nn.Linear(H, H)

        def forward(self, x: Tensor) -> Tensor:
            h = self.drop(self.act(self.first(x)))
            for _ in range(2):
                h = self.drop(self.act(self.again(h)))
            return self.last(self.norm(self.act(self.norm(h))))

    passes, source = watched(double(Feed))
    assert passes == []
    assert source.covered() == []


def test_what_others_watch_is_left_alone_and_so_is_what_is_around_it() -> None:
    class Both(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.cell = nn.GRU(D, H), nn.GRUCell(D, H)

        def forward(self, x: Tensor) -> Tensor:
            _, h = self.encoder(x)
            h = h[0]
            for x_t in x:
                h = self.keep("h", self.cell(x_t, h))
            return h

    model = double(Both)
    ((one,), source) = watched(model, skip=[model.encoder])
    assert one.group == "cell"
    assert set(source.calls) == {"cell"}
    assert_same(one.layers[0], reference(model))


def test_names_that_the_model_does_not_have() -> None:
    model = OneCell(nn.GRUCell(D, H), gru_step, zeros)
    with pytest.raises(ValueError, match=r'^cells must name modules of the model, but it has no "cel"; near it: cell$'):
        cells.attach(model, ["cel"])
    with pytest.raises(ValueError, match=r'^cells must name modules .* no "qqqqqq"; it has cell, head$'):
        cells.attach(model, ["qqqqqq"])
    with pytest.raises(ValueError, match="is not the module that is given"):
        cells.attach(model, {"cell": nn.GRUCell(D, H)})
    with pytest.raises(ValueError, match="cells must be a list of names"):
        cells.attach(model, "cell")
    with pytest.raises(ValueError, match="cells must name at least one module"):
        cells.attach(model, [])
    with pytest.raises(ValueError, match="state must come with cells"):
        cells.attach(model, state=lambda args, kwargs, output: output)
    source = cells.attach(model, {"cell": model.cell}, lambda args, kwargs, output: "nothing")
    source.arm()
    with pytest.raises(ValueError, match=r"state must return a tensor or \(h, c\), but for a call of cell it returned"):
        model.double()(X)
    source.close()


def test_a_named_cell_and_what_it_hands_on_by_state() -> None:
    def step(cell: nn.Module, x: Tensor, state: Any, keep: Callable[..., Tensor]) -> Any:
        _, (h, c) = cell(x, state)
        state = keep("h", h), keep("c", c)
        return state, state[0]

    model = double(lambda: OneCell(LayerNormLSTM(), step, pair))
    source = cells.attach(model, ["cell"], lambda args, kwargs, output: output[1])
    source.arm()
    loss_of(model(X)).backward()
    (one,) = source.take()
    assert_same(one.layers[0], reference(model), "h", "c")


def test_dropout_on_the_way_into_a_cell_is_refused_where_the_state_itself_goes_on_as_well() -> None:
    def step(around: bool) -> Callable[..., Any]:
        def dropped(cell: nn.Module, x: Tensor, h: Tensor, keep: Callable[..., Tensor]) -> Any:
            given = nn.functional.dropout(h, 0.2)
            h = h + cell(x, given) if around else cell(x, given)
            return keep("h", h), h

        return dropped

    (sentence,) = refused(double(lambda: OneCell(nn.GRUCell(D, H), step(True), zeros)))
    assert sentence == (
        "cell (torch.nn.GRUCell) is called with something that is computed from its state, while the state itself is "
        "used for the next one as well: mark the state with w.state(h)."
    )
    ((one,), _) = watched(double(lambda: OneCell(nn.GRUCell(D, H), step(False), zeros)))
    assert one.group == "cell"


def test_a_batch_that_shrinks_from_call_to_call_is_refused() -> None:
    class Shrinks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(D, H)

        def forward(self, x: Tensor) -> Tensor:
            h, ends = zeros(), []
            for x_t, there in zip(x, (3, 3, 3, 2, 2, 1, 1), strict=True):
                h = self.cell(x_t[:there], h[:there])
                ends.append(h)
            return torch.cat(ends)

    assert refused(double(Shrinks)) == [
        "cell (torch.nn.GRUCell) is given the states of 2 samples where it handed on those of 3, so that its states "
        "are of no one shape: mark them with w.state(h), filled up to all samples."
    ]


def test_the_norm_that_a_state_goes_through_on_its_way_into_the_cell_tells_the_state() -> None:
    class Normed(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.norm, self.head = nn.RNNCell(D, H), nn.LayerNorm(H), nn.Linear(H, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = zeros()
            for x_t in x:
                h = self.keep("h", h + self.cell(x_t, self.norm(h)))
            return self.head(h)

    model = double(Normed)
    ((one,), _) = watched(model)  # and the cell, which sees a part of it, says nothing
    assert one.group == "norm"
    assert_same(one.layers[0], reference(model))


def test_what_goes_on_inside_torch_func_is_not_recorded() -> None:
    cell = double(lambda: nn.RNNCell(D, H))
    source = cells.attach(cell)
    source.arm()

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        h = zeros()
        for x_t in X:
            h = torch.func.functional_call(cell, parameters, (x_t, h))
        return h.sum()

    torch.func.grad(loss)(dict(cell.named_parameters()))
    assert source.take() == []
    assert source.refusals == []
