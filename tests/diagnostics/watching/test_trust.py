from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch, watch
from diagnostics.watching import trust
from diagnostics.watching.trust import SelfCheck, Stopwatch
from tests.diagnostics.watching.loops import B, H, I, T, a_pass, batches, mean_square, model


def train(network: nn.Module, w: Watch, count: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    for x, y in batches(count, next(network.parameters()).dtype):
        optimizer.zero_grad()
        mean_square(network(x), y).backward()
        w.step(optimizer, clip="norm:0.001")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_shares_sum_to_the_gradient(kind: type[nn.RNNBase], dtype: torch.dtype) -> None:
    network = model(kind=kind, dtype=dtype, num_layers=2, bidirectional=True)
    with watch(network, every=1, store=False) as w:
        train(network, w, 12)
    names = {f"rnn.weight_hh_l{layer}{way}" for layer in (0, 1) for way in ("", "_reverse")}
    assert set(w.self_check) == names
    assert max(w.self_check.values()) < (1e-12 if dtype == torch.float64 else 1e-5)
    assert [event for event in w.events if event.kind == "self_check"] == []


class UsedTwice(nn.Module):
    """The recurrent weight is also a part of the loss, which no share by timestep tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(I, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][-1]) + self.rnn.weight_hh_l0.sum()


def test_a_weight_that_is_used_elsewhere_is_an_event() -> None:
    torch.manual_seed(0)
    network = UsedTwice().double()
    with watch(network, every=1, store=False) as w:
        train(network, w, 2)
    (event,) = [event for event in w.events if event.kind == "self_check"]
    assert w.self_check["rnn.weight_hh_l0"] > 1e-3
    assert event.step == 0
    assert "the shares of rnn.weight_hh_l0 by timestep sum to its gradient but for a relative" in event.sentence


def test_it_is_checked_at_the_first_recorded_step_and_every_tenth() -> None:
    check = SelfCheck(nn.Linear(1, 1))
    assert [number for number in range(31) if check.due(number)] == [0, 10, 20, 30]


def test_what_is_held_for_the_check_goes_with_it() -> None:
    network = model()
    check = SelfCheck(network)
    check.arm()
    ((x, y),) = batches(1)
    mean_square(network(x), y).backward()
    assert check.take([]) == []
    assert not any(p._backward_hooks for p in network.parameters())
    assert not check._added


def test_an_error_is_relative_to_what_was_added_and_nothing_is_no_error() -> None:
    weight = torch.full((2, 2), 1e-200, dtype=torch.float64)
    assert trust._relative(weight * 1.5, weight) == pytest.approx(0.5)
    assert trust._relative(0 * weight, 0 * weight) == 0.0
    assert math.isnan(trust._relative(weight, weight * math.nan))
    assert trust._relative(weight * math.inf, weight) == math.inf


def test_a_step_whose_gradient_is_broken_is_no_fault_of_the_record() -> None:
    network = model(dtype=torch.float32)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, store=False) as w:
        x, y = next(batches(1, torch.float32))
        x[2, 0, 0] = math.nan
        mean_square(network(x), y).backward()
        w.step(optimizer)
    assert [event.kind for event in w.events] == ["non_finite"]
    assert w.self_check == {}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_under_autocast_the_check_allows_for_its_rounding(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    lstm = kind(8, 32)
    head = nn.Linear(32, 2)
    network = nn.ModuleList([lstm, head])
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with watch(network, every=1, store=False) as w:
        for _ in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                output = head(lstm(torch.randn(30, 16, 8))[0][-1])
            (100 * output.float().square().mean()).backward()
            w.step(optimizer)
    assert 1e-4 < w.self_check["0.weight_hh_l0"] < trust.TOLERANCE_HALF
    assert not [event for event in w.events if event.kind == "self_check"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(trust.time, "perf_counter", lambda: now[0])
    return now


def test_what_watching_costs(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    assert math.isnan(stopwatch.overhead().share)
    clock[0] = 100.0  # the first step has nothing to be timed from
    stopwatch.add(50.0)
    stopwatch.step(True)
    for recorded in (False, False, True, False):
        clock[0] += 3.5 if recorded else 2.5
        stopwatch.add(0.5)
        stopwatch.step(recorded)
    found = stopwatch.overhead()
    assert found.recorded_ratio == pytest.approx(1.5)
    assert found.bookkeeping_s == pytest.approx(52.0)
    assert found.share == pytest.approx((2.0 + 1.0) / 11.0)
    assert found.sentence == (
        "Watching took 27 % of the time; bookkeeping apart, a recorded step takes 1.5 times as long."
    )


def test_a_recorded_step_that_was_quicker_by_chance_is_not_said_to_be(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    for recorded in (False, True, False, True, False):
        clock[0] += 1.5 if recorded else 2.5
        stopwatch.add(0.5)
        stopwatch.step(recorded)
    assert stopwatch.overhead().recorded_ratio == pytest.approx(0.5)
    assert stopwatch.overhead().sentence == (
        "Watching took 25 % of the time; bookkeeping apart, a recorded step takes no longer than another."
    )


def test_where_every_step_is_recorded_there_is_nothing_to_compare(clock: list[float]) -> None:
    stopwatch = Stopwatch()
    for _ in range(3):
        clock[0] += 2.0
        stopwatch.add(0.5)
        stopwatch.step(True)
    assert math.isnan(stopwatch.overhead().recorded_ratio)
    assert stopwatch.overhead().sentence.startswith("Watching took more than 25 % of the time, ")


def test_of_many_steps_only_the_newest_are_held() -> None:
    stopwatch = Stopwatch()
    for _ in range(3 * trust.MOST_STEPS):
        stopwatch.step(False)
    assert sum(map(len, stopwatch._steps.values())) == trust.MOST_STEPS


def test_passes_of_the_same_weight_are_summed() -> None:
    network = nn.Linear(H, H, bias=False).double()
    check = SelfCheck(network)
    check.arm()
    (network(torch.ones(1, H, dtype=torch.float64)).sum() * 3).backward()
    one = a_pass().layers[0]
    assert network.weight.grad is not None
    share = network.weight.grad / 2
    halves = [a_pass(layer=type(one)(one.h, one.grad_h, weight="weight", weight_sum=share)) for _ in range(2)]
    assert check.take(halves) == [("weight", 0.0, 1e-9)]
    assert one.h.shape == (T, B, H)
