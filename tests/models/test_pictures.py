"""Networks that see: the CNN as a classifier, its features beside the word, and gradients of the whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

import tasks
from models import pictures
from models.count import fixed
from models.pictures import Pictures
from models.plan import Plan
from tests.models.test_captioning import network

SEEN = np.random.default_rng(4).random((2, 3, 32, 32))


def inputs() -> torch.Tensor:
    return torch.tensor([[1, 3, 4, 8], [1, 3, 6, 9]]).T


def maps_by_hand(made: Pictures, seen: torch.Tensor) -> torch.Tensor:
    """The features by torch's own modules, padding and maximum written out differently."""
    x = 3.0 * (0.94 - seen)
    for n in range(3):
        weight, bias = made.get_buffer(f"weight_{n}"), made.get_buffer(f"bias_{n}")
        wide = functional.pad(x, (1, 1, 1, 1))
        columns = functional.unfold(wide, 3)
        a = (weight.flatten(1) @ columns).unflatten(2, x.shape[2:]) + bias[:, None, None]
        x = a.clamp(min=0).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).amax(4)
    return x.flatten(1) * made.get_buffer("scale")


def test_v_beside_the_word_is_the_lectures_equation_with_its_own_matrix() -> None:
    """tanh([W_xh, W_ih] [x; v] + W_hh h) = tanh(W_xh x + W_ih v + W_hh h), step by step."""
    made = network("tanh", looks=3)
    layer = made.recurrent.layers[0]
    w_xh, w_ih = layer.weight_ih[:, :6], layer.weight_ih[:, 6:]
    seen = torch.from_numpy(SEEN)
    v = maps_by_hand(made.pictures, seen)
    h = torch.zeros(2, 7).double()
    outputs = []
    for t, words in enumerate(inputs()):
        x = made.embedding.weight[words]
        looked = v @ w_ih.T if t < 3 else 0.0
        h = torch.tanh(x @ w_xh.T + looked + h @ layer.weight_hh.T + layer.bias_ih + layer.bias_hh)
        outputs.append(made.head(h))
    torch.testing.assert_close(made(inputs(), pictures=seen).outputs, torch.stack(outputs), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("looks", [0, 2])
def test_gradients_of_the_whole_are_plain_autograds(cell: str, looks: int) -> None:
    """Of every parameter, of the convolutions and of the picture, against torch's own cells step by step."""
    made = network(cell, looks=looks, seed=2)
    eyes = [buffer.requires_grad_() for _, buffer in made.pictures.named_buffers()]
    seen = torch.from_numpy(SEEN).requires_grad_()
    leaves = [*made.parameters(), *eyes, seen]
    targets = torch.tensor([[3, 4, 8, 2], [3, 6, 9, -1]]).T
    lengths = torch.tensor([4, 3])

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=-1)

    ours = torch.autograd.grad(loss(made(inputs(), pictures=seen, lengths=lengths).outputs), leaves)
    layer = made.recurrent.layers[0]
    weights = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
    v = maps_by_hand(made.pictures, seen)
    state = torch.zeros(2, 7).double()
    memory = torch.zeros(2, 7).double()
    outputs = []
    for t, words in enumerate(inputs()):
        x = torch.cat([made.embedding.weight[words], v if not looks or t < looks else torch.zeros_like(v)], 1)
        if cell == "lstm":
            state, memory = torch.lstm_cell(x, [state, memory], *weights)
        else:
            state = (torch.gru_cell if cell == "gru" else torch.rnn_tanh_cell)(x, state, *weights)
        outputs.append(made.head(state))
    theirs = torch.autograd.grad(loss(torch.stack(outputs)), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert float(ours[-1].abs().max()) > 0
    assert all(float(one.abs().max()) > 0 for one in ours[-8:-1])


def test_the_convolutions_are_kept_but_not_trained() -> None:
    made = network("tanh")
    assert not any(name.startswith("pictures") for name, _ in made.named_parameters())
    assert {name for name in made.state_dict() if name.startswith("pictures")} == {
        *(f"pictures.{kind}_{n}" for kind in ("weight", "bias") for n in range(3)),
        "pictures.scale",
    }


def _learn_for(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setattr(Pictures.learn, "__defaults__", (steps, lambda: False))


def test_it_asks_before_each_step_whether_it_should_end_and_keeps_nothing_half_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "_learnt", {})
    answers = iter([False, False, True])
    made = Pictures(32)
    with pytest.raises(pictures.Stopped):
        made.prepare(tasks.build("captions", 1).labelled, 5, lambda _: None, lambda: next(answers))
    assert next(answers, "asked no more") == "asked no more"
    assert pictures._learnt == {}
    assert not made.get_buffer("weight_0").any()


def test_learning_says_so_once_and_is_the_same_for_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    _learn_for(monkeypatch, 3)
    monkeypatch.setattr(pictures, "_learnt", {})
    draw = tasks.build("captions", 1).labelled
    said: list[str] = []
    one, same, other = Pictures(32), Pictures(32), Pictures(32)
    told = one.prepare(draw, 5, said.append)
    assert said == [pictures.TRAINING, ""]
    assert same.prepare(tasks.build("captions", 8).labelled, 5, said.append) == told
    assert len(said) == 2, "a seed is learnt from once in a process"
    other.prepare(draw, 6, said.append)
    assert len(said) == 4
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.get_buffer("weight_0"), other.get_buffer("weight_0"))
    monkeypatch.setattr(pictures, "_learnt", {})
    again = Pictures(32)
    again.prepare(draw, 5, said.append)
    assert torch.equal(one.get_buffer("weight_2"), again.get_buffer("weight_2"))
    assert 0 <= float(told["picture accuracy"]) <= 1


def test_only_a_few_seeds_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    _learn_for(monkeypatch, 1)
    monkeypatch.setattr(pictures, "_learnt", {})
    monkeypatch.setattr(pictures, "TESTED", 2)
    for seed in range(6):
        Pictures(32).prepare(tasks.build("captions", 1).labelled, seed, lambda _: None)
    assert len(pictures._learnt) == 4


def test_what_is_kept_of_the_convolutions_is_counted_beforehand() -> None:
    plan = Plan("tanh", 16, 7, 1, 16, 16, 6, True, 9, pictures=32)
    assert fixed(plan) == sum(buffer.numel() for buffer in Pictures(32).buffers())
    assert fixed(dataclasses.replace(plan, pictures=0)) == 0
