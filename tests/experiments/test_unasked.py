"""Answers that are not asked, and samples of different lengths: what the loss and the profiles are then over."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from diagnostics.measures.saturation import saturated
from experiments.backward import Backward, mean_loss
from experiments.record import answer_row, profile_row
from models.initialise import initialise
from models.network import Network
from tasks.base import UNASKED

torch.set_num_threads(1)

T, B, V, C = 7, 5, 6, 4


def network(cell: str = "lstm", every_step: bool = True) -> Network:
    made = Network(
        cell, input_size=V, hidden=3, layers=2, outputs=C, vocabulary=V, embedding=4, every_step=every_step
    )  # fmt: skip
    initialise(made, "torch", None, T, Generator().manual_seed(0))
    return made.double()


def samples() -> tuple[Tensor, Tensor]:
    inputs = torch.randint(0, V, (T, B), generator=Generator().manual_seed(1))
    targets = torch.randint(0, C, (T, B), generator=Generator().manual_seed(2))
    targets[:3] = UNASKED
    targets[4, 2:] = UNASKED
    targets[6, [0, 3]] = UNASKED
    return inputs, targets


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return mean_loss("cross_entropy", outputs, targets)


def flat(network: Network) -> Tensor:
    return torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in network.parameters()])


def test_the_loss_is_the_mean_over_what_is_asked() -> None:
    inputs, targets = samples()
    outputs = network()(inputs).outputs
    asked = targets != UNASKED
    wanted = torch.stack([
        functional.cross_entropy(outputs[t, b][None], targets[t, b][None]) for t, b in asked.nonzero().tolist()
    ]).mean()  # fmt: skip
    torch.testing.assert_close(cross_entropy(outputs, targets), wanted)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 6])
def test_truncated_the_loss_stays_the_mean_over_the_whole_sequences_answers(chunk: int) -> None:
    inputs, targets = samples()
    ours, twin = network(), network()
    found = Backward(ours, inputs, targets, cross_entropy, chunk)
    torch.testing.assert_close(found.loss, cross_entropy(twin(inputs).outputs, targets).detach())
    # The same by hand: every answer's part of the mean, cut off from what was before its chunk.
    asked = int((targets != UNASKED).sum())
    borders = [*range(T, 0, -chunk), 0][::-1]
    state = None
    for first, last in pairwise(borders):
        part = twin(inputs[first:last], state=state)
        loss = functional.cross_entropy(
            part.outputs.flatten(0, 1), targets[first:last].flatten(), ignore_index=UNASKED, reduction="sum"
        )
        (loss / asked).backward()
        state = part.carried
    torch.testing.assert_close(flat(ours), flat(twin))
    assert math.isfinite(float(found.loss))


@pytest.mark.parametrize("truncate", [None, 3])
def test_an_answer_in_the_middle_has_a_profile_of_its_own_over_those_who_are_asked(truncate: int | None) -> None:
    inputs, targets = samples()
    step = 4
    asked = (targets[step] != UNASKED).numpy()
    made = network()
    back = Backward(made, inputs, targets, cross_entropy, truncate, answer_step=step)
    before = flat(made)
    back.of_last_answer()
    torch.testing.assert_close(flat(made), before)
    row = answer_row(back.traces, int(asked.sum()), asked)["answer_grad"]
    alone = Backward(network(), inputs[:, asked], targets[:, asked], cross_entropy, truncate, answer_step=step)
    alone.of_last_answer()
    np.testing.assert_allclose(row, answer_row(alone.traces, int(asked.sum()))["answer_grad"], rtol=1e-12)
    assert (row[:, step + 1 :] == 0).all()
    assert (row[:, step, 1] > 0).all()


def test_nobody_asked_is_a_profile_that_is_not_a_number() -> None:
    inputs, targets = samples()
    made = network()
    back = Backward(made, inputs, targets, cross_entropy, answer_step=0)
    back.of_last_answer()
    row = answer_row(back.traces, 0, np.zeros(B, bool))["answer_grad"]
    assert row.shape == (2, T, 3)
    assert np.isnan(row).all()


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_a_profile_over_some_samples_is_theirs_alone_and_exactly_zero_at_padding(cell: str) -> None:
    inputs, _ = samples()
    targets = torch.tensor([0, 1, 2, 3, 0])
    lengths = torch.tensor([7, 5, 5, 2, 5])
    some = (lengths == 5).numpy()
    back = Backward(network(cell, False), inputs, targets, cross_entropy, lengths=lengths)
    row = profile_row(back.traces, back.input_grad, cell, some)
    alone = Backward(network(cell, False), inputs[:, some], targets[some], cross_entropy, lengths=lengths[some])
    wanted = profile_row(alone.traces, alone.input_grad, cell)
    assert set(row) == set(wanted)
    for name, values in row.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-10, err_msg=name)
    for name in ("state_grad", "grad_h", "input_grad", "state_norm", "saturated"):
        padding = row[name][5:] if name == "input_grad" else row[name][:, 5:]
        assert (padding == 0).all(), name
    assert (row["state_grad"][:, 4, 1] > 0).all()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "identity", "gru", "lstm"])
def test_a_profile_over_nobody_is_not_a_number(cell: str, padded: bool) -> None:
    """As in a small batch none of whose sentences ends where the profile is taken."""
    inputs, _ = samples()
    lengths = torch.tensor([7, 5, 5, 2, 5]) if padded else None
    back = Backward(network(cell, False), inputs, torch.tensor([0, 1, 2, 3, 0]), cross_entropy, lengths=lengths)
    row = profile_row(back.traces, back.input_grad, cell, np.zeros(B, bool))
    assert row["state_grad"].shape == (2, T, 3)
    assert row["input_grad"].shape == (T, 3)
    for name in set(row) - {"saturated"}:
        assert np.isnan(row[name]).all(), name
    np.testing.assert_array_equal(row["saturated"], np.zeros((2, T)))


@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "identity", "gru", "lstm"])
def test_padding_is_no_saturated_unit(cell: str) -> None:
    inputs, _ = samples()
    lengths = torch.tensor([7, 5, 5, 2, 5])
    made = network(cell)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(20)
    (trace, _), (full, _) = made(inputs, lengths=lengths).traces, made(inputs).traces
    found = saturated(trace, cell)
    for t in range(T):
        here = lengths > t
        one = Network.forward(made, inputs[:, here])  # those alone who have the timestep
        np.testing.assert_allclose(found[t], saturated(one.traces[0], cell)[t], atol=1e-12)
    if cell in ("sigmoid", "gru", "lstm"):
        assert found.max() > 0
    assert saturated(full, cell).shape == (T,)
