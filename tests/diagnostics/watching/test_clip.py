from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch, watch
from diagnostics.measures.entry_sizes import entry_sizes
from tests.diagnostics.watching.loops import H, I, T, batches, kinds, mean_square, model, norm_of, only


def test_a_scaled_loss_leaves_the_same_numbers_and_a_skipped_step_no_profile() -> None:
    def trained(scaler: torch.amp.GradScaler | None) -> Watch:
        network = model(dtype=torch.float32)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        with watch(network, every=1, store=False) as w:
            for step, (x, y) in enumerate(batches(4, torch.float32)):
                loss = mean_square(network(x), y)
                optimizer.zero_grad()
                (loss if scaler is None else scaler.scale(loss)).backward()
                if scaler is not None and step == 2:
                    network.head.bias.grad[0] = math.inf  # type: ignore[index]
                if scaler is None and step == 2:
                    torch._foreach_mul_([p.grad for p in network.parameters()], 0.0)  # type: ignore[arg-type]
                w.step(optimizer, scaler=scaler, clip="norm:0.5", loss=loss)
        return w

    plain, scaled = trained(None), trained(torch.amp.GradScaler("cpu", init_scale=1024.0))
    one, other = only(plain).records, only(scaled).records
    assert other["profile_step"].tolist() == [0, 1, 3]
    kept = [0, 1, 3]
    assert other["grad_norm_pre"][kept] == pytest.approx(one["grad_norm_pre"][kept], rel=1e-5)
    assert other["grad_norm_post"][kept] == pytest.approx(one["grad_norm_post"][kept], rel=1e-5)
    assert other["state_grad"] == pytest.approx(one["state_grad"][kept], rel=1e-4)
    (skipped,) = [event for event in scaled.events if event.kind == "step_skipped"]
    assert skipped.step == 2
    assert "at a loss scale of 1024 the gradient overflowed in 1 entry" in skipped.sentence
    assert only(scaled).state == "finished"
    assert "the loss scale undone" in repr(scaled)


def test_whoever_unscales_and_clips_by_hand_is_measured_before_and_after() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    with watch(network, every=1, clip="norm:0.01", store=False) as w:
        for x, y in batches(3):
            optimizer.zero_grad()
            scaler.scale(mean_square(network(x), y)).backward()
            raw = norm_of(network) / 256
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
            w.step(optimizer, scaler=scaler)
    records = only(w).records
    assert records["grad_norm_pre"][-1] == pytest.approx(raw, rel=1e-12)
    assert records["grad_norm_post"] == pytest.approx(np.full(3, 0.01), rel=1e-3)
    assert kinds(w) == []


def test_clipped_knows_what_was_there_before() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    raw = []
    with watch(network, every=2, store=False) as w:
        for x, y in batches(3):
            optimizer.zero_grad()
            loss = mean_square(network(x), y)
            loss.backward()
            raw.append(norm_of(network))
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
            w.clipped("norm:0.01", loss=loss)
            optimizer.step()
    records = only(w).records
    assert records["grad_norm_pre"] == pytest.approx(np.array(raw), rel=1e-12)
    assert records["grad_norm_post"] == pytest.approx(np.full(3, 0.01), rel=1e-3)
    assert only(w).spec["clip"] == "norm:0.01"
    assert kinds(w) == []


def by_hand(w: Watch, network: nn.Module, when: str, harm: Callable[[nn.Module], None] = lambda network: None) -> None:
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    for x, y in batches(2, next(network.parameters()).dtype):
        optimizer.zero_grad(set_to_none=False)
        if when == "before":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        mean_square(network(x), y).backward()
        harm(network)
        if when == "after":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        w.clipped("norm:0.01")
        optimizer.step()


def test_clipping_before_backward_is_found() -> None:
    network = model()
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    with watch(network, store=False) as w:
        by_hand(w, network, "before")
    assert kinds(w) == ["clip_not_applied"]
    assert "it got the raw gradient" in w.events[-1].sentence


def test_clipping_that_erases_or_breaks_the_gradient_is_found() -> None:
    huge = model(dtype=torch.float32)
    with watch(huge, store=False) as w:
        handle = huge.head.weight.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
        by_hand(w, huge, "after")
        handle.remove()
    assert kinds(w) == ["clip_erased"]
    infinite = model(dtype=torch.float32)
    with watch(infinite, store=False) as w:
        handle = infinite.head.weight.register_hook(lambda gradient: torch.full_like(gradient, math.inf))
        by_hand(w, infinite, "after")
        handle.remove()
    assert kinds(w) == ["clip_made_nan", "non_finite"]


def test_clipping_by_us_scales_what_float32_cannot_square() -> None:
    network = model(dtype=torch.float32)
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    ((x, y),) = batches(1, torch.float32)
    with watch(network, store=False) as w:
        handle = network.head.weight.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
        mean_square(network(x), y).backward()
        handle.remove()
        w.step(optimizer, clip="norm:1.0")
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(1e30 * math.sqrt(2 * H), rel=1e-6)
    assert records["grad_norm_post"][0] == pytest.approx(1.0, rel=1e-5)
    assert kinds(w) == []


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, I, sparse=True)
        self.rnn = nn.GRU(I, H)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(H, 9, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embedding(x))[0][-1])


@pytest.mark.parametrize("clip", ["norm:0.01", "value:0.001"])
def test_sparse_gradients_and_parameters_without_one(clip: str) -> None:
    torch.manual_seed(0)
    network = Embedded()
    network.rnn.weight_ih_l0.requires_grad_(False)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    symbols = torch.tensor([[1, 2, 2, 8]] * T)
    with watch(network, store=False) as w:
        network(symbols).square().sum(dim=1).mean().backward()
        dense = [p.grad.to_dense().clone() for p in network.parameters() if p.grad is not None]
        w.step(optimizer, clip=clip)
        after = [p.grad.to_dense().clone() for p in network.parameters() if p.grad is not None]
    records = only(w).records
    assert records["grad_norm_pre"][0] == pytest.approx(
        math.sqrt(sum(float(g.square().sum()) for g in dense)), rel=1e-5
    )
    assert records["grad_norm_post"][0] == pytest.approx(
        math.sqrt(sum(float(g.square().sum()) for g in after)), rel=1e-5
    )
    assert records["zero_count"][0] == sum(int((g == 0).sum()) for g in dense)
    if clip.startswith("value"):
        assert max(float(g.abs().max()) for g in after) <= 0.001001


def test_several_optimizers_of_one_backward_pass_are_given_together() -> None:
    network = model()
    one, other = (torch.optim.SGD(part.parameters(), 0.1) for part in (network.rnn, network.head))
    with watch(network, store=False) as w:
        for x, y in batches(2):
            network.zero_grad()
            mean_square(network(x), y).backward()
            wanted = norm_of(network)
            w.step([one, other], clip="norm:0.01")
        assert only(w).records["grad_norm_pre"][-1] == pytest.approx(wanted, rel=1e-12)
        network.zero_grad()
        mean_square(network(x), y).backward()
        w.step(one)
        before = network.head.weight.detach().clone()
        with pytest.warns(RuntimeWarning, match=r"w\.step was called with another optimizer and no backward pass"):
            w.step(other)
        assert not torch.equal(network.head.weight, before)
    assert only(w).records["step"].tolist() == [0, 1, 2]


def test_an_optimizer_whose_parameters_are_new_is_no_second_call() -> None:
    network = model()
    with watch(network, every=1, store=False) as w:
        for round in range(3):  # a head of its own for each task, its optimiser made anew
            head = nn.Linear(H, 2).double()
            optimizer = torch.optim.SGD([*(network.rnn.parameters() if round == 0 else ()), *head.parameters()], 0.1)
            for x, y in batches(2):
                network.zero_grad()
                optimizer.zero_grad()
                mean_square(head(network.rnn(x)[0][-1]), y).backward()
                w.step(optimizer)
    assert only(w).records["profile_step"].tolist() == [*range(6)]


@pytest.mark.parametrize("freeze", [False, True])
def test_two_networks_against_each_other_are_trained_without_a_word(freeze: bool) -> None:
    """A generator's backward pass goes through the watched critic, whose gradients are zeroed before it is used."""
    critic, generator = model(), nn.Linear(I, I).double()
    of_critic, of_generator = (torch.optim.SGD(one.parameters(), 0.01) for one in (critic, generator))
    with watch(critic, every=1, store=False) as w:
        for x, y in batches(4):
            of_critic.zero_grad()
            mean_square(critic(generator(x).detach()), y).backward()
            w.step(of_critic)
            critic.requires_grad_(not freeze)
            of_generator.zero_grad()
            (-mean_square(critic(generator(x)), y)).backward()
            of_generator.step() if freeze else w.step(of_generator)
            critic.requires_grad_(True)
    assert only(w).records.rows("step") == (4 if freeze else 8)
    assert "backward passes" not in w.meaning


def test_parameters_outside_of_the_model_are_clipped_with_it() -> None:
    network, scale = model(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.SGD([*network.parameters(), scale], 0.1)
    ((x, y),) = batches(1)
    with watch(network, store=False) as w:
        mean_square(network(x) * scale, y).backward()
        assert scale.grad is not None
        wanted = math.hypot(norm_of(network), float(scale.grad.norm()))
        w.step(optimizer, clip="norm:1.0")
    assert only(w).records["grad_norm_pre"][0] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_sizes_of_the_entries_are_those_before_clipping(by_hand: bool) -> None:
    network = model(dtype=torch.float32)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    wanted = []
    with watch(network, every=2, store=False) as w:
        for x, y in batches(5, torch.float32):
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            flat = np.concatenate([p.grad.flatten().numpy() for p in network.parameters() if p.grad is not None])
            wanted.append(entry_sizes(flat))
            if by_hand:
                torch.nn.utils.clip_grad_norm_(network.parameters(), 0.01)
                w.clipped("norm:0.01")
                optimizer.step()
            else:
                w.step(optimizer, clip="norm:0.01")
    assert only(w).records["grad_sizes"] == pytest.approx(np.array(wanted[::2]), rel=1e-12)
    assert len(w.figure("what_if_value").data) > 0
