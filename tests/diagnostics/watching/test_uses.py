"""At how many timesteps a loss uses the states of cells and marks directly, where that can be told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching import cells, uses
from diagnostics.watching.marks import Marks
from diagnostics.watching.passing import Pass

T, B, D, H = 7, 3, 4, 5
X = torch.randn(T, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([7, 4, 2])

Use = Callable[[Tensor], Tensor]
USES: dict[str, tuple[Use, int]] = {
    "the last": (lambda states: states[-1], 1),
    "one before": (lambda states: states[3], 1),
    "two": (lambda states: states[[2, 6]], 2),
    "all": (lambda states: states, T),
    "each sample's own last": (lambda states: states[LENGTHS - 1, torch.arange(B)], 1),
    "a zero": (lambda states: states * torch.eye(T, dtype=states.dtype)[4][:, None, None], 1),
}
of_uses = pytest.mark.parametrize(("use", "answers"), USES.values(), ids=USES.keys())


def mean_square(states: Tensor) -> Tensor:
    return states.pow(2).mean()


class Own(nn.Module):
    """A GRU of linear modules, which returns an output that it computes from its state, and the state."""

    def __init__(self) -> None:
        super().__init__()
        self.gates, self.new, self.out = nn.Linear(D + H, 2 * H), nn.Linear(D + H, H), nn.Linear(H, H)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        r, z = self.gates(torch.cat((x, h), 1)).sigmoid().chunk(2, 1)
        h = z * h + (1 - z) * self.new(torch.cat((x, r * h), 1)).tanh()
        return self.out(h), h


class Loop(nn.Module):
    """A cell over time; what a loss is made of are the outputs, [T,B,H]."""

    def __init__(self, cell: nn.Module, change: Callable[[Tensor, Tensor], Tensor] = lambda new, old: new) -> None:
        super().__init__()
        self.cell, self.change = cell, change

    def forward(self, x: Tensor, mark: Callable[[Any], Any] = lambda state: state) -> Tensor:
        h = c = torch.zeros(B, H, dtype=x.dtype)
        outputs = []
        for x_t in x:
            if isinstance(self.cell, nn.LSTMCell):
                h, c = mark(self.cell(x_t, (h, c)))
                outputs.append(h)
            elif isinstance(self.cell, Own):
                output, h = self.cell(x_t, h)
                h = mark(h)
                outputs.append(output)
            else:
                h = mark(self.change(self.cell(x_t, h), h))
                outputs.append(h)
        return torch.stack(outputs)


def zoneout(new: Tensor, old: Tensor) -> Tensor:
    return 0.9 * new + 0.1 * old


MAKE: dict[str, Callable[[], Loop]] = {
    "lstm": lambda: Loop(nn.LSTMCell(D, H)),
    "gru": lambda: Loop(nn.GRUCell(D, H)),
    "rnn": lambda: Loop(nn.RNNCell(D, H)),
    "zoneout": lambda: Loop(nn.GRUCell(D, H), zoneout),
    "own": lambda: Loop(Own()),
}
of_cells = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def loop(make: Callable[[], Loop], dtype: torch.dtype) -> Loop:
    torch.manual_seed(0)
    return make().to(dtype)


def trained(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> tuple[list[Pass], cells.Cells]:
    """A step whose gradients are to the last bit those without anything watched."""
    plain = copy.deepcopy(model)
    loss(plain).backward()
    source = cells.attach(model)
    source.arm(check=True)
    loss(model).backward()
    passes = source.take()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)
    return passes, source


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@of_cells
@of_uses
def test_of_cells_it_is_counted(make: Callable[[], Loop], use: Use, answers: int, dtype: torch.dtype) -> None:
    (one,), source = trained(loop(make, dtype), lambda model: mean_square(use(model(X.to(dtype)))))
    assert one.answers == answers
    several = [
        f"cell: the loss uses its state at {answers} timesteps, and what is shown is the gradient of all of them "
        "together: how far one answer's gradient comes cannot be read from it."
    ]
    assert source.covered()[1:] == several * (answers > 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@of_cells
@of_uses
def test_of_marks_it_is_counted(make: Callable[[], Loop], use: Use, answers: int, dtype: torch.dtype) -> None:
    model = loop(make, dtype)
    marks = Marks(model.parameters)
    marks.arm(check=True)

    def mark(state: Any) -> Any:
        return marks.state(state[0], c=state[1]) if isinstance(state, tuple) else marks.state(state)

    mean_square(use(model(X.to(dtype), mark))).backward()
    (one,) = marks.take()
    assert one.answers == answers
    assert [sentence.startswith("state: the loss uses") for sentence in marks.covered()[1:]] == [True] * (answers > 1)


def in_words(model: Loop, use: Use) -> Tensor:
    """A decoder that is given what it said before."""
    h, said = torch.zeros(B, H, dtype=X.dtype), X[0]
    outputs = []
    for _ in range(T):
        h = model.cell(said, h)
        said = h[:, :D].softmax(1)
        outputs.append(said)
    return mean_square(use(torch.stack(outputs)))


def test_what_is_said_and_read_again_is_no_answer_by_itself_and_with_a_loss_on_it_nobody_knows() -> None:
    (one,), _ = trained(loop(MAKE["gru"], torch.float64), lambda model: in_words(model, lambda said: said[-1]))
    assert one.answers == 1
    (one,), source = trained(loop(MAKE["gru"], torch.float64), lambda model: in_words(model, lambda said: said))
    assert one.answers == 0
    assert source.covered()[-1].startswith(
        "cell: at how many timesteps the loss uses its state directly is not known. Where it is at several, "
    )


def test_with_a_second_state_that_nobody_told_of_it_is_not_known() -> None:
    model = loop(MAKE["lstm"], torch.float64)
    marks = Marks(model.parameters)
    marks.arm(check=True)
    mean_square(model(X, lambda state: (marks.state(state[0]), state[1]))[-1]).backward()
    (one,) = marks.take()
    assert one.answers == 0


def test_where_a_gradient_is_differentiated_it_is_not_known() -> None:
    def penalised(model: nn.Module) -> Tensor:
        x = X.clone().requires_grad_()
        loss = mean_square(model(x)[-1])
        return loss + torch.autograd.grad(loss, x, create_graph=True)[0].pow(2).sum()

    (one,), _ = trained(loop(MAKE["gru"], torch.float64), penalised)
    assert one.answers == 0


def test_of_two_calls_in_one_backward_pass_each_has_its_own() -> None:
    (one, two), source = trained(
        loop(MAKE["gru"], torch.float64), lambda model: mean_square(model(X)[-1]) + mean_square(model(2 * X)[[1, 3, 5]])
    )
    assert [one.answers, two.answers] == [1, 3]
    assert "the loss uses its state at 3 timesteps" in source.covered()[-1]


def test_it_is_counted_now_and_then_and_where_a_part_is_new() -> None:
    model = loop(MAKE["gru"], torch.float64)
    source, marks = cells.attach(model), Marks(model.parameters)
    for check, answers in ((False, 0), (False, 2), (True, 2)):  # first not asked for, then new
        for one_source in (source, marks):
            one_source.arm(check=check)
        states = model(X)
        h = torch.zeros(B, H, dtype=X.dtype)
        for state in states.detach():
            h = marks.state(h * model.cell.bias_hh[:H] + state)
        mean_square(torch.stack((h, states[2], states[4]))).backward()
        (one,) = source.take()
        (marked,) = marks.take()
        assert (one.answers, marked.answers) == (answers, answers // 2)
        assert len(source.covered()) == 1 + (answers > 0)
    source = cells.attach(model)
    found = []
    for number in range(uses.EVERY + 1):
        source.arm(check=True)
        mean_square(model(X)[number:]).backward() if number < T else mean_square(model(X)[-1]).backward()
        (one,) = source.take()
        found.append(one.answers)
    assert found == [T] * uses.EVERY + [1]


def test_a_fault_of_ours_leaves_the_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "_differs", lambda total, sent: torch.ones(2) + torch.ones(3))
    (one,), _ = trained(loop(MAKE["gru"], torch.float64), lambda model: mean_square(model(X)[-1]))
    assert one.answers == 0


@of_uses
def test_of_a_scan_the_last_answer_alone_is_that_of_the_loop(use: Use, answers: int) -> None:
    decay = torch.sigmoid(X.repeat(1, 1, 2)[..., :H])
    added = X.repeat(1, 1, 2)[..., :H].clone().requires_grad_()
    h, rows = torch.zeros(B, H, dtype=X.dtype), []
    for a, b in zip(decay, added, strict=True):
        h = a * h + b
        rows.append(h)
    marks = Marks()
    marks.arm()
    mean_square(use(marks.scan(torch.stack(rows), decay))).backward(retain_graph=True)
    (one,) = marks.take()
    assert one.answers == answers
    states = torch.stack(rows)
    (direct,) = torch.autograd.grad(mean_square(use(states)), states)
    (layer,) = one.layers
    if answers == 1:
        assert layer.last_answer is None
        return
    assert layer.last_answer is not None
    expected = torch.autograd.grad(rows[-1], rows, direct[-1], allow_unused=True)  # both uses end at the last
    for t, gradient in enumerate(expected):
        torch.testing.assert_close(layer.last_answer[0][t], gradient, rtol=1e-12, atol=1e-15)
    assert len(marks.covered()) == 1
