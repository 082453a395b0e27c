from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics import Watch, watch
from diagnostics.store import Store
from diagnostics.watching.coverage import NotCovered
from tests.diagnostics.watching.loops import B, H, I, T, batches, lstm_profile, mean_square, model, only, train


@pytest.mark.parametrize("calls", [2, 6])
def test_a_layer_that_is_called_anew_is_a_part_for_each_call(calls: int) -> None:
    torch.manual_seed(0)
    lstm, head = nn.LSTM(I, H).double(), nn.Linear(calls * H, 2).double()
    network = nn.ModuleDict({"lstm": lstm, "head": head})
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    ((x, y),) = batches(1, steps=9)
    with watch(network, every=1, store=False) as w:
        for _ in range(3):
            optimizer.zero_grad()
            ends = [lstm(x[: 9 - call] * (1 + call))[0][-1] for call in range(calls)]
            alone = [
                torch.autograd.grad(mean_square(head(torch.cat(ends, 1)), y), end, retain_graph=True) for end in ends
            ]
            at_the_loss = [B * np.median(one.norm(dim=1).numpy()) for (one,) in alone]
            mean_square(head(torch.cat(ends, 1)), y).backward()
            w.step(optimizer)
    names = ["lstm", *(f"lstm (call {call})" for call in range(2, min(calls, 4) + 1))]
    assert list(w.verdicts) == names
    assert [run.spec["watched"]["timesteps"] for run in w.runs] == [9 - call for call in range(len(names))]
    assert [run.records.rows("profile") for run in w.runs] == [3] * len(names)
    assert [run.records["grad_h"][-1, 0, -1] for run in w.runs] == pytest.approx(at_the_loss[: len(names)], rel=1e-12)
    said = "lstm is called 6 times in a training step without its state going from one call to the next"
    assert any(sentence.startswith(said) for sentence in w.covered) == (calls > 4)
    assert not any("is not watched" in sentence or "was not called" in sentence for sentence in w.covered)
    assert w.self_check["lstm.weight_hh_l0"] < 1e-12


def lengths(
    w: Watch, network: nn.Module, steps: Sequence[int], before: Callable[[int], None] = lambda step: None
) -> None:
    """Train on batches of these lengths."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for step, length in enumerate(steps):
        before(step)
        ((x, y),) = batches(1, steps=length)
        optimizer.zero_grad()
        mean_square(network(x), y).backward()
        w.step(optimizer)


def test_a_batch_that_is_too_short_has_the_next_one_stand_in() -> None:
    with watch(network := model(), every=2, store=False) as w:
        lengths(w, network, (5, 4, 4, 8, 4, 5))
    # Step 2 was too short and so was 4: the next that is long enough stands in.
    assert only(w).records["profile_step"].tolist() == [0, 3, 5]
    assert only(w).facts.tokens == ("end−4", "end−3", "end−2", "end−1", "end")  # type: ignore[union-attr]
    assert "rnn: 2 passes with fewer than 5 timesteps gave no profile." in w.covered
    assert any(
        "1 pass had more timesteps than the profile, up to 8; of them the last 5 that are walked" in one
        for one in w.covered
    )


@pytest.mark.parametrize(
    ("steps", "settled", "recorded"),
    [
        ((5, *[30] * 12), 30, [*range(1, 13)]),  # the first was too short to stand for them
        ((30, *[5] * 12), 5, [*range(13)]),  # and here too long
        ((4, 9, 5, 8, 6, 7, 9, 4, 5, 8), 7, [1, 3, 5, 6, 9]),  # half of them have as many
        ((3, 9, 9), 9, [1, 2]),  # and training ends before there are ten
    ],
)
def test_the_profile_has_the_timesteps_that_half_of_the_first_batches_have(
    steps: Sequence[int], settled: int, recorded: list[int]
) -> None:
    network = model()
    wanted = []

    def plain(step: int) -> None:
        ((x, y),) = batches(1, steps=steps[step])
        wanted.append(lstm_profile(network, x, y))

    with watch(network, every=1, store=False) as w:
        lengths(w, network, steps, plain)
    run = only(w)
    assert run.state == "finished"
    assert run.spec["watched"]["timesteps"] == settled
    assert run.records["profile_step"].tolist() == recorded
    assert run.records["step"].tolist() == [*range(len(steps))]
    for row, step in enumerate(recorded):
        assert run.records["state_grad"][row, 0, :, 1] == pytest.approx(wanted[step][-settled:], rel=1e-12)
    assert w.run_ids == (run.id,)
    assert not w._profiles._misses
    assert w.newest["rnn"].records["state_grad"].shape[2] == settled
    facts = run.facts
    assert facts is not None
    assert (facts.loss_step, facts.distance) == (settled - 1, settled - 1)
    assert facts.tokens[0] == (f"end−{settled - 1}" if max(steps) > settled else "t=0")


def test_a_profile_with_other_timesteps_takes_the_place_of_the_first_in_the_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with watch(network := model(), every=1, store=store) as w:
        lengths(w, network, (5,))
        (before,) = w.run_ids
        lengths(w, network, [9] * 12)
        (after,) = w.run_ids
        assert after != before
        assert [row.state for row in store.runs(include_deleted=True)] == ["running"]
    (row,) = store.runs(include_deleted=True)
    assert (row.id, row.state, row.comparison) == (after, "finished", w.comparison)
    assert store.check() == []


def test_batches_that_grow_later_on_are_told_of() -> None:
    said = r"rnn: the first batches had up to 5 timesteps, .* far longer ones, of which only 5 timesteps are recorded"
    with watch(network := model(), every=1, store=False) as w:
        lengths(w, network, [5] * 10)
        assert only(w).facts.tokens[0] == "t=0"  # type: ignore[union-attr]
        with pytest.warns(NotCovered, match=said):
            lengths(w, network, [9] * 10)
    assert only(w).records["profile_step"].tolist() == [*range(20)]
    assert only(w).facts.tokens[0] == "end−4"  # type: ignore[union-attr]
    assert any("10 passes had more timesteps than the profile, up to 9" in one for one in w.covered)


def test_batches_that_grow_step_by_step_are_told_of_and_those_that_vary_are_not() -> None:
    with watch(network := model(), every=1, store=False) as w:
        lengths(w, network, [4, 9, 5, 8, 6, 7, 9, 4, 5, 8] * 3)
    with watch(network := model(), every=1, store=False) as w, pytest.warns(NotCovered, match="by now there are far"):
        lengths(w, network, range(3, 33))


def test_a_part_that_is_gone_is_told_of() -> None:
    network = model()
    with watch(network, every=1, store=False) as w:
        lengths(w, network, [5] * 3)
        network.rnn = nn.LSTM(I, H).double()
        with pytest.warns(NotCovered, match=r"rnn: no gradient has come back to it for 10 recorded training steps"):
            lengths(w, network, [5] * 12)
    assert only(w).records["profile_step"].tolist() == [0, 1, 2]
    assert any("leave it, and watch anew" in sentence for sentence in w.covered)


def test_who_asked_a_run_to_stop_has_it_stopped_where_it_is_begun_anew(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with watch(network := model(), every=1, store=store) as w:
        lengths(w, network, (5,))
        store.request_stop(*w.run_ids)
        lengths(w, network, [9] * 9)
        assert store.row(*w.run_ids).stop_requested


def test_batches_that_are_never_long_enough_are_told_of_and_not_watched_at_every_step() -> None:
    said = "10 training steps in a row had fewer timesteps than the profile has, 9"
    network = model()
    with watch(network, every=2, timesteps=9, store=False) as w, pytest.warns(RuntimeWarning, match=said):
        lengths(w, network, (9, *[4] * 30))
    assert only(w).records["profile_step"].tolist() == [0]


def test_timesteps_waits_for_a_batch_that_is_long_enough() -> None:
    with watch(network := model(), every=1, timesteps=6, store=False) as w:
        lengths(w, network, (5, 6, 9))
    assert only(w).records["profile_step"].tolist() == [1, 2]
    assert only(w).records["step"].tolist() == [0, 1, 2]
    assert only(w).facts.tokens[0] == "end−5"  # type: ignore[union-attr]


def test_a_distance_beyond_the_first_timestep_is_said() -> None:
    network = model()
    with watch(network, distance=40, store=False) as w:
        train(network, w, 1)
    assert only(w).spec["watched"]["timesteps"] == T
    assert any(f"distance must be at most the {T - 1} steps from the loss" in sentence for sentence in w.covered)
