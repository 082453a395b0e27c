from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import watch
from diagnostics.watching import clip
from tests.diagnostics.watching.loops import Classifier, batches, mean_square, model, norm_of, only


@pytest.fixture
def network() -> Classifier:
    return model()


def gradients(network: nn.Module, count: int, *, zeroed: bool = True) -> Iterator[float]:
    """The norm of the gradient after each of ``count`` backward passes."""
    for x, y in batches(count):
        if zeroed:
            network.zero_grad()
        mean_square(network(x), y).backward()
        yield norm_of(network)


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), 0.01)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_updates_that_nobody_tells_of_are_told_once_and_nothing_more_is_held(
    network: Classifier, kind: type[torch.optim.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "UNSEEN_UPDATES", 4)
    optimizer = kind(network.parameters(), 0.01)  # type: ignore[call-arg]
    held = []
    with watch(network, every=1, store=False) as w, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in gradients(network, 12):
            optimizer.step()
            gc.collect()
            held.append(sum(type(one) is Tensor for one in gc.get_objects()))
    (said,) = [str(one.message) for one in caught if one.category is RuntimeWarning]
    assert said.startswith("4 updates have been made without a word to the watch, so nothing is recorded: call w.step(")
    assert w.runs == ()
    assert len(set(held[6:])) == 1
    assert "forward" not in vars(network.rnn)
    assert said in w.covered


def test_a_block_that_is_left_without_a_training_step_says_so(network: Classifier) -> None:
    optimizer = sgd(network)

    def alone() -> None:
        with watch(network, store=False):
            for _ in gradients(network, 2):
                optimizer.step()

    with pytest.warns(RuntimeWarning, match=r"Nothing was recorded, because neither w\.step nor w\.clipped was called"):
        alone()
    with watch(network, store=False):  # nobody trained: nothing to say
        network(next(batches(1))[0])


def test_parameters_that_the_person_writes_are_an_update_too(
    network: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "UNSEEN_PASSES", 5)

    def write() -> None:
        with watch(network, every=1, store=False):
            for _ in gradients(network, 8):
                for p in network.parameters():
                    p.data -= 0.01 * p.grad.data  # type: ignore[union-attr]

    with pytest.warns(RuntimeWarning, match="updates have been made without a word"):
        write()


def test_accumulation_and_a_part_with_an_optimizer_of_its_own_are_no_unseen_updates(
    network: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "UNSEEN_UPDATES", 1)
    optimizer, head = sgd(network), sgd(network.head)
    with watch(network, every=1, store=False) as w:
        for _ in range(3):
            network.zero_grad()
            for _ in gradients(network, 4, zeroed=False):
                head.step()
            w.step(optimizer)
    assert only(w).records["profile_step"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("rule", [None, "norm:0.1"])
def test_gradients_that_are_zeroed_are_nothing_to_speak_of(
    network: Classifier, set_to_none: bool, rule: str | None
) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        for x, y in batches(5):
            optimizer.zero_grad(set_to_none=set_to_none)
            for _ in range(2):
                mean_square(network(x), y).backward()
            w.step(optimizer, clip=rule)
    assert not any("zero_grad" in sentence for sentence in w.covered)


@pytest.mark.parametrize("rule", [None, "norm:0.1"])
def test_gradients_that_are_never_zeroed_are_told_of(network: Classifier, rule: str | None) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        passes = gradients(network, 3, zeroed=False)
        next(passes)
        w.step(optimizer, clip=rule)
        next(passes)
        with pytest.warns(RuntimeWarning, match=r"still there when the next backward pass added to them: call optim"):
            w.step(optimizer, clip=rule)
        next(passes)
        w.step(optimizer, clip=rule)  # said once


def test_a_step_without_a_backward_pass_is_told_of(network: Classifier) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        list(gradients(network, 1))
        w.step(optimizer)
        with pytest.warns(RuntimeWarning, match="A training step ended without a backward pass"):
            w.step(optimizer)
    assert only(w).records["step"].tolist() == [0, 1]


@pytest.mark.parametrize("end", ["step", "clipped"])
def test_gradients_that_were_taken_away_are_not_zeros(network: Classifier, end: str) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        list(gradients(network, 1))
        optimizer.zero_grad()
        with pytest.warns(
            RuntimeWarning, match=r"ended after optimizer\.zero_grad\(\), which takes the gradients away"
        ):
            w.step(optimizer) if end == "step" else w.clipped("norm:1.0")
    records = only(w).records
    assert math.isnan(records["grad_norm_pre"][0])
    assert math.isnan(records["grad_norm_post"][0])
    assert not [event for event in w.events if event.kind.startswith(("clip", "non"))]


@pytest.mark.parametrize("every", [1, 100])
def test_who_clips_at_some_steps_only_is_measured_before_and_after(network: Classifier, every: int) -> None:
    optimizer = sgd(network)
    before, after = [], []
    with watch(network, every=every, store=False) as w:
        for step, norm in enumerate(gradients(network, 9)):
            if step % 3 == 2:
                torch.nn.utils.clip_grad_norm_(network.parameters(), norm / 2)
            before.append(norm)
            after.append(norm_of(network))
            w.step(optimizer)
    records = only(w).records
    if every > 1:
        before[2] = math.nan  # the first time somebody clipped: nobody could know, and it is not made up
    assert records["grad_norm_pre"] == pytest.approx(before, rel=1e-12, nan_ok=True)
    assert records["grad_norm_post"] == pytest.approx(after, rel=1e-12)
    unsized = [row for row, sizes in enumerate(records["grad_sizes"]) if np.isnan(sizes).all()]
    assert unsized == ([2] if every == 1 else [])
    assert only(w).state == "finished"
    assert not [event for event in w.events if event.kind.startswith(("clip", "non"))]
    for key in ("clipping", "what_if_norm", "profile", "heatmap"):
        assert w.figure(key).data


def test_a_rule_by_which_nobody_clips_is_told_of_and_not_shown(network: Classifier) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False, clip="norm:1e-3") as w:
        list(gradients(network, 1))
        with pytest.warns(
            RuntimeWarning, match=r'watch\(clip="norm:1e-3"\) says that the gradients are clipped by hand'
        ):
            w.step(optimizer)
    assert only(w).spec["clip"] == "none"
    assert not [event for event in w.events if event.kind.startswith("clip")]


@pytest.mark.parametrize("rule", ["norm:{}", "value:{}"])
def test_who_clips_only_what_is_too_long_is_not_told_so(network: Classifier, rule: str) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False, clip=rule.format(1e3)) as w:
        list(gradients(network, 1))
        w.step(optimizer)
    assert only(w).spec["clip"] == rule.format(1e3)


def test_a_rule_by_which_somebody_clips_is_shown(network: Classifier) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False, clip="norm:1e-3") as w:
        list(gradients(network, 1))
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1e-3)
        w.step(optimizer)
    assert only(w).spec["clip"] == "norm:1e-3"
    assert only(w).records["grad_norm_post"][0] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("way", ["data", "in place", "assigned"])
@pytest.mark.parametrize("end", ["step", "clipped"])
def test_however_somebody_clips_it_is_measured_before(network: Classifier, way: str, end: str) -> None:
    optimizer = sgd(network)
    before, after = [], []
    with watch(network, every=1, store=False, clip="value:0.01") as w:
        for norm in gradients(network, 4):
            for p in network.parameters():
                assert p.grad is not None
                if way == "data":
                    p.grad.data.clamp_(-0.01, 0.01)
                elif way == "in place":
                    p.grad.clamp_(-0.01, 0.01)
                else:
                    p.grad = p.grad.clamp(-0.01, 0.01)
            before.append(norm)
            after.append(norm_of(network))
            if end == "step":
                w.step(optimizer)
            else:
                w.clipped()
                optimizer.step()
    assert only(w).records["grad_norm_pre"] == pytest.approx(before, rel=1e-12)
    assert only(w).records["grad_norm_post"] == pytest.approx(after, rel=1e-12)
    assert only(w).spec["clip"] == "value:0.01"


def test_gradients_that_are_zeroed_by_then_are_told_of_once_and_as_that(network: Classifier) -> None:
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        passes = gradients(network, 3, zeroed=False)
        next(passes)
        optimizer.zero_grad(set_to_none=False)
        with pytest.warns(RuntimeWarning, match="which takes the gradients away"):
            w.clipped("norm:1.0")
        for _ in passes:
            optimizer.zero_grad(set_to_none=False)
            w.clipped("norm:1.0")
    assert not [event for event in w.events if event.kind.startswith("clip")]


def test_gradients_that_are_zeroed_between_backward_passes_do_not_add_up(network: Classifier) -> None:
    """A map of saliency by backward(), before the pass that counts."""
    optimizer = sgd(network)
    with watch(network, every=1, store=False) as w:
        for x, y in batches(3):
            mean_square(network(x.requires_grad_()), y).backward()
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            w.step(optimizer)
    assert "backward passes" not in w.meaning
