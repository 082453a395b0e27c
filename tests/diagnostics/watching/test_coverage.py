"""What is not covered says so, with the reason; each sentence in full."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching import cells
from diagnostics.watching.coverage import NotCovered, cuts, missing

T, B, D, H = 6, 3, 4, 5
X = torch.randn(T, B, D, generator=torch.Generator().manual_seed(3))


def said(model: nn.Module, x: Tensor = X, seen: tuple[str, ...] = (), **options: Any) -> list[str]:
    """The sentences after a step of which the cells were recorded, and ``seen`` by others."""
    source = cells.attach(model, **options)
    source.arm()
    output = model(x)
    if output.requires_grad:
        output.sum().backward()
    passes = source.take()
    return missing(model, {*seen, *(one.group for one in passes)}, source)


class Holds(nn.Module):
    """A model with a module ``part`` that is used as the person says."""

    def __init__(self, part: nn.Module, use: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.part, self.use, self.head = part, use, nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.part, self.head(x))


def loop(cell: nn.Module, x: Tensor) -> Tensor:
    h = torch.zeros(B, H)
    for x_t in x:
        h = cell(x_t, h)
    return h


class OwnForward(nn.LSTM):
    def forward(self, x: Tensor, hx: Any = None) -> Any:
        return super().forward(2 * x, hx)


def no_graph(cell: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return loop(cell, x) + 0 * x.sum()


def test_what_is_covered_says_nothing() -> None:
    assert issubclass(NotCovered, UserWarning)
    assert said(Holds(nn.GRUCell(D, H), loop)) == []
    model = Holds(nn.LSTM(D, H, bidirectional=True), lambda lstm, x: lstm(x)[0])
    assert said(model, seen=("part →", "part ←"), skip=[model.part]) == []


@pytest.mark.parametrize(
    ("part", "use", "sentence"),
    [
        (
            OwnForward(D, H),
            lambda part, x: part(x)[0],
            "part (tests.diagnostics.watching.test_coverage.OwnForward) is a subclass of torch.nn.LSTM with a forward "
            "of its own, which cannot be seen through: call torch.nn.LSTM inside it, or mark the states "
            "with w.state(h).",
        ),
        (
            nn.GRUCell(D, H),
            lambda part, x: x,
            "part (torch.nn.GRUCell) was not called in the recorded training step, or only inside a graph of "
            "torch.compile: if it is meant to be, train the very model that is watched, and watch it before "
            "torch.compile.",
        ),
        (
            nn.GRUCell(D, H),
            no_graph,
            "part (torch.nn.GRUCell) was called without a graph (under torch.no_grad, or inside a checkpoint with "
            "use_reentrant=True), so there is no gradient to record: call it with one (a checkpoint with "
            "use_reentrant=False).",
        ),
        (
            nn.GRUCell(D, H),
            lambda part, x: part(x[0]),
            "part (torch.nn.GRUCell) was called once in the training step, and one timestep hands its state to no "
            "other: call it once for each timestep, with the state that the call before returned.",
        ),
        (
            nn.GRUCell(D, H),
            lambda part, x: sum((part(x_t) for x_t in x), torch.zeros(B, H)),
            "part (torch.nn.GRUCell) was called 6 times, but either no state went from one call to the next, or no "
            "gradient came back to them: mark the states with w.state(h), or name them with cells= and state=.",
        ),
    ],
)
def test_a_recurrent_module_that_was_not_recorded(
    part: nn.Module, use: Callable[[nn.Module, Tensor], Tensor], sentence: str
) -> None:
    assert said(Holds(part, use)) == [sentence]


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile asks every tensor for it
def test_of_a_part_that_others_have_refused_nothing_is_said_again() -> None:
    model = Holds(OwnForward(D, H), lambda part, x: part(x)[0])
    model(X)
    assert missing(model, (), None, refused=["part"]) == []
    whole = torch.compile(model, backend="eager")
    assert missing(whole, (), None, refused=["_orig_mod.part"]) == []
    assert len(missing(whole, (), None, refused=["_orig_mod.other"])) == 1
    frozen = Holds(nn.LSTM(D, H).requires_grad_(False), lambda part, x: part(x)[0])
    assert missing(frozen, (), None, refused=["part"]) == []


def test_a_layer_that_others_watch_and_that_was_not_called() -> None:
    model = Holds(nn.LSTM(D, H), lambda lstm, x: x)
    assert said(model, skip=[model.part]) == [
        "part (torch.nn.LSTM) was not called with a graph in the recorded training step, or no gradient came back to "
        "it: if it is meant to be trained, see that the loss depends on it."
    ]


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_scripted_module_that_holds_an_lstm() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(D, H)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x)[0]

    assert said(Holds(torch.jit.script(Inner()), lambda part, x: part(x))) == [
        "part (Inner) is scripted by torch.jit and holds LSTM, which cannot be seen through: watch the model that it "
        "was scripted from."
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantised_layer() -> None:
    part = torch.ao.nn.quantized.dynamic.LSTM(D, H)
    assert said(Holds(part, lambda part, x: part(x.detach())[0] + x.sum())) == [
        "part (torch.ao.nn.quantized.dynamic.modules.rnn.LSTM) is quantised: no gradient goes through it. Watch the "
        "model before it is quantised."
    ]


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile asks every tensor for it
@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_model_and_a_compiled_part(whole: bool) -> None:
    compiled = torch.compile(nn.GRUCell(D, H), backend="eager")
    model = Holds(compiled, loop)
    if whole:
        model = torch.compile(Holds(nn.GRUCell(D, H), loop), backend="eager")
    (sentence,) = said(model)
    assert sentence.endswith(
        "is compiled by torch.compile, and no state inside a compiled graph can be seen: watch the model before "
        "torch.compile, and train that one while it is watched."
    )
    assert sentence.startswith("The model (tests.diag" if whole else "part (torch.nn.GRUCell)")
    in_place = Holds(nn.GRUCell(D, H), loop)
    in_place.compile(backend="eager")
    (sentence,) = said(in_place)
    assert sentence.startswith(
        "The model (tests.diagnostics.watching.test_coverage.Holds) is compiled by torch.compile"
    )


def test_hooks_do_nothing_where_a_watched_model_is_compiled_afterwards() -> None:
    model = Holds(nn.GRUCell(D, H), loop)
    source = cells.attach(model)
    source.arm()
    torch.compile(model, backend="eager", fullgraph=True)(X).sum().backward()
    assert source.take() == []
    (sentence,) = missing(model, set(), source)
    assert "was not called in the recorded training step, or only inside a graph of torch.compile" in sentence


SELF = (
    "as far as can be seen: no state goes from timestep to timestep, so there is no state gradient to record. If it "
    "has a loop over time of its own, mark the state there with w.state(h); a parallel scan, with w.scan(h, decay)."
)


@pytest.mark.parametrize(
    ("model", "x", "what"),
    [
        (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(D, 2, 8), 2, enable_nested_tensor=False),
            X,
            "The model (torch.nn.TransformerEncoder) works by attention, not by recurrence,",
        ),
        (
            nn.Sequential(nn.Conv1d(B, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 2)),
            X,
            "The model (torch.nn.Sequential) works by convolution, not by recurrence,",
        ),
        (
            nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 2)),
            X,
            "The model (torch.nn.Sequential) is a feed-forward model,",
        ),
    ],
)
def test_a_model_without_a_state(model: nn.Module, x: Tensor, what: str) -> None:
    assert said(model, x) == [f"{what} {SELF}"]


def test_a_model_of_which_a_copy_is_trained() -> None:
    model = Holds(nn.Linear(D, D), lambda part, x: part(x))
    source = cells.attach(model)
    source.arm()
    copy.deepcopy(model)(X).sum().backward()
    source.take()
    assert missing(model, (), source) == [
        "The model (tests.diagnostics.watching.test_coverage.Holds) was not called with a graph in the recorded "
        "training step, nor was any part of it: train the very model that is watched, and not a copy, a compiled form "
        "or nn.DataParallel's replicas of it."
    ]


@pytest.mark.parametrize("product", [lambda h, w: h @ w.T, torch.mul, lambda h, w: nn.functional.linear(h, w)])
def test_a_loop_in_plain_tensor_operations(product: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.Parameter(torch.eye(D) if product is not torch.mul else torch.ones(D))

        def forward(self, x: Tensor) -> Tensor:
            h = torch.zeros(B, D)
            for x_t in x:
                h = torch.tanh(product(h, self.recurrent) + x_t)
            return h

    assert said(Plain()) == [
        "The model (tests.diagnostics.watching.test_coverage.test_a_loop_in_plain_tensor_operations.<locals>.Plain) "
        "uses recurrent 6 times in a row, each time on what was computed with it before: a loop over time, of which it "
        "is not seen what goes from one timestep to the next. Mark its state with w.state(h), or with w.state(h, c=c) "
        "where there are two, as an LSTM's."
    ]


def test_a_loop_over_a_linear_module_that_is_given_the_state_beside_the_input() -> None:
    def run(part: nn.Module, x: Tensor) -> Tensor:
        h = torch.zeros(B, H)
        for x_t in x:
            h = torch.tanh(part(torch.cat([x_t, h], 1)))
        return h

    (sentence,) = said(Holds(nn.Linear(D + H, H), run))
    assert "uses part.weight 6 times in a row" in sentence


def test_modules_that_were_named_and_hand_nothing_on() -> None:
    model = Holds(nn.Linear(D, D), lambda part, x: sum(part(x_t) for x_t in x))
    assert said(model, cells=["part"]) == [
        "part (torch.nn.Linear) is named in cells and was called 6 times, but nothing that it was given came from an "
        "earlier call of it, or no gradient came back: say with state= what it hands on, or mark it with "
        "w.state(h)."
    ]
    assert said(Holds(nn.Linear(D, D), lambda part, x: part(x)), cells=["part"]) == [
        "part (torch.nn.Linear) is named in cells, but was called once with a graph in the training step: name "
        "the module that is called once for each timestep."
    ]


def test_refusals_are_passed_on() -> None:
    def both(cell: nn.Module, x: Tensor) -> Tensor:
        first = cell(x[0], torch.zeros(B, H))
        return cell(x[1], first) + cell(x[2], first)

    assert said(Holds(nn.GRUCell(D, H), both)) == [
        "part (torch.nn.GRUCell) hands the same state to two calls (a tree, a search), so there is no one line of "
        "timesteps: mark the states along one of them with w.state(h). It is not recorded."
    ]


@pytest.mark.parametrize(
    ("found", "steps", "sentence"),
    [
        ((), 6, ""),
        ((4,), 6, "part: the state is detached before timestep 4 of 6, so no gradient goes further back than that."),
        (
            range(1, 6),
            6,
            "part: the state is detached at every timestep of 6, so no gradient goes further back than that.",
        ),
        (
            range(5, 40, 5),
            40,
            "part: the state is detached before timestep 5, 10, 15, 20, 25, 30, … (7 times) of 40, so no gradient goes "
            "further back than that.",
        ),
        (
            (0,),
            6,
            "part begins with a state that was detached from what came before (truncated backpropagation): no gradient "
            "goes further back than the first timestep of the batch.",
        ),
        (
            (0, 3),
            6,
            "part begins with a state that was detached from what came before (truncated backpropagation): no gradient "
            "goes further back than the first timestep of the batch; the state is detached before timestep 3 of 6, so "
            "no gradient goes further back than that.",
        ),
    ],
)
def test_states_that_are_detached(found: Sequence[int], steps: int, sentence: str) -> None:
    assert cuts("part", found, steps) == sentence
