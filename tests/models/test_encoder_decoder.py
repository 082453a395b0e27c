"""An encoder and a decoder against the same in plain autograd, in float64."""

import copy

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from models.build import assemble
from models.encoder_decoder import EncoderDecoder
from models.initialise import initialise
from models.plan import Plan
from tests.models.twins import Handed, gradients, walked

torch.set_num_threads(1)

S, U, B, V, H = 5, 4, 3, 9, 4
T = S + U
LENGTHS = [5, 3, 1]
EXACT = {"rtol": 1e-10, "atol": 1e-13}


def network(cell: str, layers: int = 1, embedding: int | None = 3) -> EncoderDecoder:
    plan = Plan(cell, V, H, layers, V, V, embedding, every_step=True, timesteps=T, bridge=S)
    made = assemble("recurrent", plan)
    assert isinstance(made, EncoderDecoder)
    initialise(made, "torch", None, T, Generator().manual_seed(1))
    return made.double()


def words() -> tuple[Tensor, Tensor]:
    inputs = torch.randint(1, V, (T, B), generator=Generator().manual_seed(2))
    targets = torch.full((T, B), -1)
    targets[S:] = torch.randint(1, V, (U, B), generator=Generator().manual_seed(3))
    targets[T - 1, 1] = -1  # this one's sentence ends a word earlier
    for sample, length in enumerate(LENGTHS):
        inputs[length:S, sample] = 0
    return inputs, targets


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=-1)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_every_gradient_equals_plain_autograd_across_the_bridge(cell: str, layers: int) -> None:
    ours = network(cell, layers)
    twin = copy.deepcopy(ours)
    inputs, targets = words()
    run = ours(inputs, lengths=torch.tensor(LENGTHS), keep_input_grad=True)
    loss(run.outputs, targets).backward()

    assert twin.embedding is not None
    x = twin.embedding(inputs)
    x.retain_grad()
    read, written, handed = x[:S], x[S:], []
    for below, above in zip(twin.encoder.layers, twin.decoder.layers, strict=True):
        read, finals, source = walked(below, read, LENGTHS)
        written, _, target = walked(above, written, [U] * B, finals)
        handed.append({**source, **{(S + t, sample): state for (t, sample), state in target.items()}})
    outputs = twin.head(written)
    loss(outputs, targets[S:]).backward()

    torch.testing.assert_close(run.outputs[S:], outputs, **EXACT)
    assert run.x.grad is not None
    torch.testing.assert_close(run.x.grad, x.grad, **EXACT)
    for (name, parameter), (_, wanted) in zip(ours.named_parameters(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, wanted.grad, **EXACT, msg=lambda m, name=name: f"{name}: {m}")
    assert len(run.traces) == layers
    for trace, states in zip(run.traces, handed, strict=True):
        assert_trace(trace.grad_h, trace.grad_c, states)


def assert_trace(grad_h: Tensor, grad_c: Tensor | None, states: Handed) -> None:
    torch.testing.assert_close(grad_h, gradients(states, T, B), **EXACT)
    if grad_c is not None:
        torch.testing.assert_close(grad_c, gradients(states, T, B, 1), **EXACT)


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_padding_on_either_side_gets_a_gradient_of_exactly_zero(cell: str) -> None:
    made = network(cell)
    inputs, targets = words()
    run = made(inputs, lengths=torch.tensor(LENGTHS), keep_input_grad=True)
    loss(run.outputs, targets).backward()
    assert run.x.grad is not None
    assert made.embedding is not None
    for sample, length in enumerate(LENGTHS):
        assert (run.x.grad[length:S, sample] == 0).all()
        assert (run.traces[0].grad_h[length:S, sample] == 0).all()
        assert run.x.grad[length - 1, sample].abs().max() > 0
    assert (run.x.grad[T - 1, 1] == 0).all()  # nothing was asked there
    assert (made.embedding.weight.grad[0] == 0).all()  # type: ignore[index]
    outputs = run.outputs.detach()
    inputs[LENGTHS[1] : S, 1] = 7  # whatever stands where nothing is read
    assert torch.equal(made(inputs, lengths=torch.tensor(LENGTHS)).outputs, outputs)


def test_nothing_is_answered_before_the_bridge() -> None:
    run = network("gru")(words()[0], lengths=torch.tensor(LENGTHS))
    assert run.outputs.shape == (T, B, V)
    assert (run.outputs[:S] == 0).all()
    assert run.traces[0].h.shape == (T, B, H)
    assert [trace.kind for trace in run.traces] == ["gru"]
