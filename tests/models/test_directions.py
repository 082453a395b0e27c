"""Lengths and two directions in a whole network against the same in plain autograd, in float64."""

import copy

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from models.initialise import initialise
from models.network import Network
from tests.models.twins import gradients, walked

torch.set_num_threads(1)

T, B, V, H, C = 6, 4, 7, 3, 5
LENGTHS = [6, 4, 1, 3]
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def network(cell: str, *, layers: int, every_step: bool, bidirectional: bool) -> Network:
    made = Network(
        cell,
        input_size=V,
        hidden=H,
        layers=layers,
        outputs=C,
        vocabulary=V,
        embedding=4,
        every_step=every_step,
        bidirectional=bidirectional,
    )
    initialise(made, "torch", None, T, Generator().manual_seed(1))
    return made.double()


def samples(every_step: bool) -> tuple[Tensor, Tensor]:
    inputs = torch.randint(1, V, (T, B), generator=Generator().manual_seed(2))
    shape = (T, B) if every_step else (B,)
    targets = torch.randint(0, C, shape, generator=Generator().manual_seed(3))
    for sample, length in enumerate(LENGTHS):
        inputs[length:, sample] = 0
        if every_step:
            targets[length:, sample] = -1
    return inputs, targets


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), ignore_index=-1)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_gradient_equals_plain_autograd(cell: str, layers: int, every_step: bool, bidirectional: bool) -> None:
    ours = network(cell, layers=layers, every_step=every_step, bidirectional=bidirectional)
    twin = copy.deepcopy(ours)
    inputs, targets = samples(every_step)
    run = ours(inputs, lengths=torch.tensor(LENGTHS), keep_input_grad=True)
    loss(run.outputs, targets).backward()

    assert twin.embedding is not None
    below = x = twin.embedding(inputs)
    x.retain_grad()
    D = twin.recurrent.directions
    handed = []
    for first in range(0, D * layers, D):
        walks = [walked(layer, below, LENGTHS) for layer in list(twin.recurrent.layers)[first : first + D]]
        below = torch.cat([states for states, _, _ in walks], 2)
        handed.append([states for _, _, states in walks])
        ends = [torch.stack([state[0] for state in finals]) for _, finals, _ in walks]
    outputs = twin.head(below if every_step else torch.cat(ends, 1))
    loss(outputs, targets).backward()

    torch.testing.assert_close(run.outputs, outputs, **EXACT)
    assert run.x.grad is not None
    torch.testing.assert_close(run.x.grad, x.grad, **EXACT)
    for (name, parameter), (_, wanted) in zip(ours.named_parameters(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, wanted.grad, **EXACT, msg=lambda m, name=name: f"{name}: {m}")
    assert len(run.traces) == layers
    for trace, states in zip(run.traces, handed, strict=True):
        torch.testing.assert_close(trace.grad_h, torch.cat([gradients(s, T, B) for s in states], 2), **EXACT)
        if trace.grad_c is not None:
            torch.testing.assert_close(trace.grad_c, torch.cat([gradients(s, T, B, 1) for s in states], 2), **EXACT)


@pytest.mark.parametrize("cell", ["relu", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("every_step", [False, True])
def test_padding_gets_a_gradient_of_exactly_zero_and_changes_nothing(
    cell: str, bidirectional: bool, every_step: bool
) -> None:
    made = network(cell, layers=2, every_step=every_step, bidirectional=bidirectional)
    inputs, targets = samples(every_step)
    run = made(inputs, lengths=torch.tensor(LENGTHS), keep_input_grad=True)
    loss(run.outputs, targets).backward()
    assert run.x.grad is not None
    assert made.embedding is not None
    assert made.embedding.weight.grad is not None
    for sample, length in enumerate(LENGTHS):
        assert run.x.grad[:length, sample].abs().sum() > 0
        assert (run.x.grad[length:, sample] == 0).all()
        for trace in run.traces:
            assert (trace.grad_h[length:, sample] == 0).all()
            assert (trace.h[length:, sample] == 0).all()
    assert (made.embedding.weight.grad[0] == 0).all()
    changed = inputs.clone()
    changed[LENGTHS[2] :, 2] = 5
    again = made(changed, lengths=torch.tensor(LENGTHS)).outputs
    asked = targets != -1 if every_step else slice(None)
    assert torch.equal(again[asked], run.outputs[asked])


def test_in_two_directions_one_answers_gradient_comes_from_before_it_forwards_and_from_after_it_backwards() -> None:
    made = network("tanh", layers=1, every_step=True, bidirectional=True)
    run = made(samples(True)[0], keep_input_grad=True)
    answer = 2
    run.outputs[answer].sum().backward()
    forward, backward = run.traces[0].grad_h.chunk(2, 2)
    assert (forward[answer + 1 :] == 0).all()
    assert (backward[:answer] == 0).all()
    assert (forward[: answer + 1].abs().sum((1, 2)) > 0).all()
    assert (backward[answer:].abs().sum((1, 2)) > 0).all()


def test_gate_blocks_of_both_directions_stay_together() -> None:
    made = network("lstm", layers=1, every_step=True, bidirectional=True)
    run = made(samples(True)[0])
    run.outputs.sum().backward()
    trace = run.traces[0]
    assert trace.grad_preactivation.shape == (T, B, 4 * 2 * H)
    block = trace.grad_preactivation.chunk(4, 2)[1]  # forget gates: δ_f = c₋ f (1 − f) ⊙ ċ
    slope = trace.gates["f"] * (1 - trace.gates["f"])
    assert block.shape == slope.shape
    assert (block[0][:, :H] == 0).all()  # c₋ is 0 where the forward direction begins
    assert (block[-1][:, H:] == 0).all()  # and where the other one does
    assert block[1:, :, :H].abs().min() > 0
