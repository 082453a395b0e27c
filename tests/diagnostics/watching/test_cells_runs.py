"""Several runs of autograd in a training step, states that begin detached, and loops that are marked and recognised."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching import cells
from diagnostics.watching.marks import Marks
from diagnostics.watching.passing import LayerPass, Pass
from diagnostics.watching.runs import AGAIN
from diagnostics.watching.sources import Sources
from diagnostics.watching.trust import SelfCheck

T, B, D, H = 6, 3, 4, 5
X = torch.randn(T, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


class Loop(nn.Module):
    """One of torch's cells over time, with a head on the last state; ``kept``: every state."""

    def __init__(self, kind: type[nn.RNNCellBase] = nn.GRUCell) -> None:
        super().__init__()
        self.cell, self.head = kind(D, H), nn.Linear(H, 1)
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor, h: Tensor | None = None, mark: Callable[[Tensor], Tensor] = lambda h: h) -> Tensor:
        h = torch.zeros(B, H, dtype=x.dtype) if h is None else h
        self.kept = []
        for x_t in x:
            h = mark(self.cell(x_t, h))
            self.kept.append(h)
        return self.head(h)


def loop(make: Callable[[], nn.Module] = Loop) -> Any:
    torch.manual_seed(0)
    return make().double()


def twin_of(model: Any) -> Any:
    model.kept = []  # which hold a graph
    return copy.deepcopy(model)


def penalised(model: nn.Module) -> Tensor:
    """A loss with the size of its own gradient in it."""
    x = X.clone().requires_grad_()
    output = model(x)
    (gradient,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    return output.pow(2).mean() + 10 * gradient.pow(2).mean()


def product_with_the_hessian(model: nn.Module) -> None:
    parameters = list(model.parameters())
    model(X).pow(2).mean().backward(create_graph=True)
    gradients = [parameter.grad for parameter in parameters]
    torch.autograd.grad(gradients, parameters, [torch.ones_like(one) for one in parameters])
    for parameter in parameters:  # the graph of the gradient would hold the parameter, and that its gradient
        parameter.grad = parameter.grad.detach()


def saliency(model: nn.Module) -> None:
    x = X.clone().requires_grad_()
    output = model(x)
    output.pow(2).mean().backward(retain_graph=True)
    torch.autograd.grad(output.sum(), x)


def twice(model: nn.Module) -> None:
    output = model(X)
    output.sum().backward(retain_graph=True)
    output.pow(2).mean().backward()


def step(model: nn.Module, train: Callable[[Any], None]) -> tuple[list[Pass], SelfCheck, cells.Cells]:
    """A recorded and checked training step that leaves the gradients of an unwatched one, and no hook."""
    plain = twin_of(model)
    train(plain)
    source, check = cells.attach(model), SelfCheck(model)
    source.arm(check=True)
    check.arm()
    train(model)
    passes = source.take()
    check.take(passes)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
        assert not one._post_accumulate_grad_hooks
        assert not one._backward_hooks
    return passes, check, source


def assert_gradients(layer: LayerPass, states: list[Tensor], loss: Tensor) -> None:
    found = torch.autograd.grad(loss, states, allow_unused=True)
    for t, (state, gradient) in enumerate(zip(states, found, strict=True)):
        assert torch.equal(layer.h[t], state.detach())
        expected = torch.zeros_like(state) if gradient is None else gradient
        torch.testing.assert_close(layer.grad_h[t], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.RNNCell])
def test_with_a_gradient_penalty_the_profile_is_of_the_whole_loss_and_nothing_is_alarmed(kind: type[Any]) -> None:
    model = loop(lambda: Loop(kind))
    (one,), check, source = step(model, lambda model: penalised(model).backward())
    twin = twin_of(model)
    loss = penalised(twin)
    assert_gradients(one.layers[0], twin.kept, loss)
    assert one.layers[0].weight_sum is None
    assert check.errors == {}
    assert AGAIN in source.covered()[0]


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")  # torch's own, of the cycle that it makes
@pytest.mark.parametrize("train", [product_with_the_hessian, saliency])
def test_a_run_that_no_gradient_is_left_of_is_not_recorded(train: Callable[[nn.Module], None]) -> None:
    model = loop()
    (one,), check, source = step(model, train)
    twin = twin_of(model)
    loss = twin(X).pow(2).mean()
    assert_gradients(one.layers[0], twin.kept, loss)
    assert check.errors == {}
    assert AGAIN in source.covered()[0]


def test_runs_that_both_add_to_the_gradient_are_both_recorded_and_checked() -> None:
    model = loop()
    passes, check, source = step(model, twice)
    assert len(passes) == 2
    assert check.errors["cell.weight_hh"] < 1e-12
    assert AGAIN not in source.covered()[0]


def test_of_a_cell_that_is_run_apart_for_a_saliency_map_there_is_one_true_sentence() -> None:
    def train(model: nn.Module) -> None:
        x = X.clone().requires_grad_()
        torch.autograd.grad(model(x).sum(), x)
        model(X).pow(2).mean().backward()

    (one,), check, source = step(loop(), train)
    assert one.call == 0
    assert check.errors == {}
    (sentence,) = source.covered()
    assert "called once per timestep, 6 times; " in sentence
    assert AGAIN in sentence


@pytest.mark.parametrize("lengths", [(6, 4), (6, 4, 6, 4, 6, 4)])
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_sequences_of_one_backward_pass_are_calls_in_forward_order(kind: type[Any], lengths: tuple[int, ...]) -> None:
    model = loop(lambda: Sequences(kind, lengths))
    passes, check, source = step(model, lambda model: model(X).backward())
    twin = twin_of(model)
    loss = twin(X)
    assert [one.call for one in passes] == list(range(len(lengths)))
    for one, states in zip(passes, twin.each, strict=True):
        assert_gradients(one.layers[0], states, loss)
    assert check.errors["cell.weight_hh"] < 1e-12
    (sentence,) = source.covered()
    times = "6 and 4" if len(lengths) == 2 else "4 to 6"
    assert f"called once per timestep of each of {len(lengths)} sequences, {times} times" in sentence

    marks = Marks(model.parameters)
    marks.arm()
    model(X, marks.state).backward()
    for one, other in zip(marks.take(), passes, strict=True):
        assert one.call == other.call
        assert torch.equal(one.layers[0].grad_h, other.layers[0].grad_h)
    (sentence,) = marks.covered()
    assert f"marked by w.state in each of {len(lengths)} sequences at {times} timesteps" in sentence


class Sequences(nn.Module):
    """One cell that reads several sequences, as a Siamese network does."""

    def __init__(self, kind: type[nn.RNNCellBase], lengths: tuple[int, ...]) -> None:
        super().__init__()
        self.cell, self.lengths, self.each = kind(D, H), lengths, list[list[Tensor]]()

    @property
    def kept(self) -> list[Tensor]:
        return []

    @kept.setter
    def kept(self, _: list[Tensor]) -> None:
        self.each = []

    def forward(self, x: Tensor, mark: Callable[[Tensor], Tensor] = lambda h: h) -> Tensor:
        self.each = []
        for number, steps in enumerate(self.lengths):
            state: Any = None
            states = []
            for x_t in x[:steps]:
                state = self.cell(x_t + number, state)
                h = mark(state[0] if isinstance(state, tuple) else state)
                state = (h, state[1]) if isinstance(state, tuple) else h
                states.append(h)
            self.each.append(states)
        return sum(((k + 1) * states[-1].pow(2).sum() for k, states in enumerate(self.each)), torch.zeros(()))


def test_sequences_with_a_backward_pass_each_are_no_separate_calls() -> None:
    def train(model: nn.Module) -> None:
        for _ in range(2):
            model(X).backward()

    model = loop(lambda: Sequences(nn.GRUCell, (6,)))
    passes, _, _ = step(model, train)
    assert [one.call for one in passes] == [0, 0]
    marks = Marks(model.parameters)
    marks.arm()
    for _ in range(2):
        loss = model(X, marks.state)
        (loss + marks.scan(torch.stack(model.each[0]), torch.zeros(1)).sum()).backward()
    assert [(one.group, one.call) for one in marks.take()] == [("state", 0), ("scan", 0)] * 2


def test_under_autocast_the_check_allows_for_the_rounding_of_its_dtype() -> None:
    torch.manual_seed(0)
    for kind in (nn.LSTMCell, nn.GRUCell):
        cell = kind(D, 16)
        source, check = cells.attach(cell), SelfCheck(cell)
        source.arm(check=True)
        check.arm()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            state: Any = None
            for x_t in torch.randn(30, B, D):
                state = cell(x_t, state)
            loss = (state[0] if isinstance(state, tuple) else state).float().pow(2).mean()
        loss.backward()
        (one,) = source.take()
        assert one.layers[0].rounding == torch.bfloat16
        ((_, error, tolerance),) = check.take([one])
        assert 0 < error < tolerance == 0.05


@pytest.mark.parametrize(("precision", "rounding"), [("medium", torch.bfloat16), ("highest", None)])
def test_coarser_products_are_told_as_native_does(precision: str, rounding: torch.dtype | None) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        cell = nn.GRUCell(D, H)
        source = cells.attach(cell)
        source.arm()
        cell(X[1].float(), cell(X[0].float())).sum().backward()
        (one,) = source.take()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            double = cell.double()
            source.arm()
            double(X[1], double(X[0])).sum().backward()
        (other,) = source.take()
    finally:
        torch.set_float32_matmul_precision(before)
    assert one.layers[0].rounding == rounding
    assert other.layers[0].rounding is None  # autocast leaves float64 as it is


def test_where_the_gradient_is_assigned_by_hand_the_last_run_is_recorded() -> None:
    def by_hand(model: nn.Module) -> None:
        output = model(X)
        torch.autograd.grad(output.sum(), list(model.parameters()), retain_graph=True)
        for parameter, gradient in zip(
            model.parameters(), torch.autograd.grad(output.pow(2).mean(), list(model.parameters())), strict=True
        ):
            parameter.grad = gradient

    model = loop()
    (one,), check, _ = step(model, by_hand)
    twin = twin_of(model)
    loss = twin(X).pow(2).mean()
    assert_gradients(one.layers[0], twin.kept, loss)
    assert check.errors == {}


def test_marked_states_and_scans_are_of_the_run_that_adds_to_the_gradient() -> None:
    model = loop()
    marks = Marks(model.parameters)
    marks.arm()
    x = X.clone().requires_grad_()
    output = model(x, mark=marks.state)
    scan = marks.scan(torch.stack(model.kept), torch.zeros(1, dtype=torch.float64))
    (output.pow(2).mean() + scan[-1].pow(2).sum()).backward(retain_graph=True)
    torch.autograd.grad(output.sum() + scan.sum(), x)
    states, scanned = marks.take()
    twin = twin_of(model)
    loss = twin(x).pow(2).mean() + twin.kept[-1].pow(2).sum()
    assert_gradients(states.layers[0], twin.kept, loss)
    torch.testing.assert_close(scanned.layers[0].grad_h[-1], 2 * twin.kept[-1].detach(), rtol=1e-12, atol=1e-12)
    assert not scanned.layers[0].grad_h[:-1].any()
    assert marks.covered()[0] == f"state: marked by w.state at 6 timesteps, in the order of the calls; {AGAIN}."
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())


@pytest.mark.parametrize(("first", "cuts"), [(0.0, ()), (0.5, (0,))])
def test_a_line_that_begins_with_a_detached_state(first: float, cuts: tuple[int, ...]) -> None:
    given = torch.full((B, H), first, dtype=torch.float64)
    (one,), _, _ = step(loop(), lambda model: model(X, given).sum().backward())
    assert one.cuts == cuts
    learned = nn.Parameter(given.clone())
    (one,), _, _ = step(loop(), lambda model: model(X, learned).sum().backward())
    assert one.cuts == ()


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_truncated_backpropagation_over_training_steps_is_seen_in_cells_and_marks(kind: type[Any]) -> None:
    torch.manual_seed(0)
    cell: nn.Module = kind(D, H).double()
    source, marks = cells.attach(cell), Marks(cell.parameters)
    state: Any = None
    for number, armed in enumerate([True, False, True]):
        if armed:
            source.arm()
            marks.arm()
        for x_t in X:
            state = cell(x_t, state)
            h = marks.state(state[0] if isinstance(state, tuple) else state)
            state = (h, state[1]) if isinstance(state, tuple) else h
        h.sum().backward()
        state = (state[0].detach(), state[1].detach()) if isinstance(state, tuple) else state.detach()
        if armed:
            cuts = (0,) if number else ()
            assert [one.cuts for one in (*source.take(), *marks.take())] == [cuts, cuts]


class Linears(nn.Module):
    """A recurrence of nn.Linear alone: an LSTM, or a GRU."""

    def __init__(self, gates: int) -> None:
        super().__init__()
        self.below, self.across, self.head = nn.Linear(D, gates * H), nn.Linear(H, gates * H), nn.Linear(H, 1)

    def forward(self, x: Tensor, mark: Callable[[Tensor, Tensor], Any] = lambda h, c: (h, c)) -> Tensor:
        h = c = torch.zeros(B, H, dtype=x.dtype)
        for x_t in x:
            if self.across.out_features == 4 * H:
                i, f, g, o = (self.below(x_t) + self.across(h)).chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
            else:
                (i, f, g), (j, e, k) = self.below(x_t).chunk(3, 1), self.across(h).chunk(3, 1)
                z = (i + j).sigmoid()
                h = (1 - z) * (g + (f + e).sigmoid() * k).tanh() + z * h
            h, c = mark(h, c)
        return self.head(h)


@pytest.mark.parametrize(("gates", "said"), [(4, True), (3, False)])
def test_a_second_state_around_a_linear_module_is_told(gates: int, said: bool) -> None:
    (one,), _, source = step(loop(lambda: Linears(gates)), lambda model: model(X).sum().backward())
    assert one.layers[0].c is None
    assert one.answers == (0 if said else 1)  # what c is used for is then not told from a loss
    sentence, *_ = source.covered()
    around = "a second tensor goes around it (as an LSTM's c does) and is not seen: w.state(h, c=c) shows both"
    assert (around in sentence) is said


@pytest.mark.parametrize("named", [None, ["across"]])
@pytest.mark.parametrize("both", [True, False])
def test_what_is_marked_is_not_recorded_a_second_time(both: bool, named: list[str] | None) -> None:
    model = loop(lambda: Linears(4))
    marks = Marks(model.parameters)
    source = cells.attach(model, named, marks=marks.places)
    source.arm()
    marks.arm()
    model(X, lambda h, c: marks.state(h, c=c) if both else (marks.state(h), c)).sum().backward()
    assert source.take() == []
    assert [(one.group, len(one.layers[0].h)) for one in marks.take()] == [("state", T)]
    assert source.covered() == ["across (torch.nn.Linear): its states are those marked by w.state, and shown as these."]
    assert source.marked == {"across"}


def test_all_sources_together_record_what_is_marked_once_and_say_each_refusal_once() -> None:
    class Own(nn.LSTM):
        def forward(self, x: Tensor, hx: Any = None) -> Any:
            return super().forward(2 * x, hx)

    model = loop(lambda: nn.ModuleDict({"loop": Linears(4), "own": Own(D, H)}))
    sources = Sources(model, None, None)
    sources.arm()
    marked = model["loop"](X, lambda h, c: sources.marks.state(h, c=c))
    (marked.sum() + model["own"](X)[0].sum()).backward()
    groups = [one.group for one in sources.take()]
    sources.close()
    assert groups == ["state"]
    assert [sentence.split()[0] for sentence in sources.refused()] == ["own"]
    assert sources.missing(groups) == []


def test_of_a_scan_that_is_refused_nobody_says_that_there_is_no_state() -> None:
    model = loop(lambda: nn.Linear(D, H))
    sources = Sources(model, None, None)
    sources.arm()
    x = X.clone().requires_grad_()
    h = sources.marks.scan(model(x).tanh(), torch.zeros(1, dtype=X.dtype))
    (gradient,) = torch.autograd.grad(h.sum(), x, create_graph=True)
    gradient.pow(2).sum().backward()
    assert sources.take() == []
    sources.close()
    (refusal,) = sources.refused()
    assert refusal in sources.covered()
    assert sources.missing([]) == []


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_a_cell_whose_states_are_marked_is_not_recorded_a_second_time(kind: type[Any]) -> None:
    cell = kind(D, H).double()
    marks = Marks(cell.parameters)
    source = cells.attach(cell, marks=marks.places)
    source.arm()
    marks.arm()
    state: Any = None
    for x_t in X:
        state = cell(x_t, state)
        state = marks.state(state[0], c=state[1]) if isinstance(state, tuple) else marks.state(state)
    (state[0] if isinstance(state, tuple) else state).sum().backward()
    assert source.take() == []
    (one,) = marks.take()
    assert len(one.layers[0].h) == T
    assert source.marked == {""}


def test_a_cell_that_cannot_be_followed_is_not_refused_where_its_loop_is_marked() -> None:
    def run(mark: Callable[[Tensor], Tensor]) -> Tensor:
        first = mark(cell(X[0], torch.zeros(B, H, dtype=X.dtype)))
        second = mark(cell(X[1], first))
        return mark(cell(X[2], first)) + second

    torch.manual_seed(0)
    cell = nn.GRUCell(D, H).double()
    marks = Marks(cell.parameters)
    source = cells.attach(cell, marks=marks.places)
    for mark, refusals in ((lambda h: h, 1), (marks.state, 0)):
        source.arm()
        marks.arm()
        run(mark).sum().backward()
        source.take()
        marks.take()
        assert len(source.refusals) == refusals


class Sometimes(nn.Module):
    """A module that hands a state on, in some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.across, self.head = nn.Linear(H, H), nn.Linear(H, 1)
        self.recurrent = False

    def forward(self, x: Tensor) -> Tensor:
        h = self.across(x[0].sum() + torch.zeros(B, H, dtype=x.dtype))
        for _ in x if self.recurrent else ():
            h = torch.tanh(self.across(h))
        return self.head(h)


def hooked(model: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_where_nothing_is_handed_on_it_is_looked_at_only_now_and_then() -> None:
    model = loop(Sometimes)
    source = cells.attach(model)
    looked = []
    for _ in range(2 * cells.LOOK_AGAIN + 1):
        source.arm()
        looked.append(hooked(model))
        model(X).sum().backward()
        assert source.take() == []
        assert not hooked(model)
        assert source.calls["across"].recorded == 1
    assert [number for number, found in enumerate(looked) if found] == [0, 1, 2, 10, 20]
    model.recurrent = True
    recorded = []
    for _ in range(2 * cells.LOOK_AGAIN):
        source.arm()
        model(X).sum().backward()
        recorded.append(len(source.take()))
    assert recorded == [0] * (cells.LOOK_AGAIN - 1) + [1] * (cells.LOOK_AGAIN + 1)


@pytest.mark.parametrize("named", [True, False])
def test_cells_and_named_modules_are_looked_at_in_every_step(named: bool) -> None:
    model = loop(Sometimes if named else Loop)
    source = cells.attach(model, ["across"] if named else None)
    for _ in range(cells.IDLE + 2):
        source.arm()
        assert hooked(model)
        model(X[:1]).sum().backward()
        assert source.take() == []
