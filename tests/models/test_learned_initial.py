"""A learned initial state: what it is to the network, and its gradient against autograd in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from diagnostics.recurrence import reference
from experiments.cost import predict
from experiments.spec import Refusal, RunSpec
from experiments.train import Trainer, train
from models.cells import CELLS
from models.initialise import initialise
from models.network import Network

torch.set_num_threads(1)


def network(cell: str, layers: int = 1, learned: bool = True, bidirectional: bool = False) -> Network:
    made = Network(
        cell, input_size=6, hidden=5, layers=layers, outputs=3, vocabulary=6, embedding=4, every_step=True,
        learned_initial=learned, bidirectional=bidirectional,
    ).double()  # fmt: skip
    initialise(made, "torch", None, 10, Generator().manual_seed(0))
    return made


def plain(cell: str, x: Tensor, made: Network, layer: int) -> Tensor:
    """The states of one layer by the plain twins."""
    assert made.initial is not None
    one = made.recurrent.layers[layer]
    weights = (one.weight_ih, one.weight_hh, one.bias_ih, one.bias_hh)
    h0 = made.initial.h[layer].expand(x.shape[1], -1)
    if CELLS[cell].kind == "lstm":
        assert made.initial.c is not None
        return reference.lstm(x, (h0, made.initial.c[layer].expand(x.shape[1], -1)), *weights)[0]  # type: ignore[arg-type]
    if CELLS[cell].kind == "gru":
        return reference.gru(x, h0, *weights)[0]  # type: ignore[arg-type]
    return reference.rnn(x, h0, *weights, cell)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 2])
def test_its_gradient_is_autograds(cell: str, layers: int) -> None:
    made = network(cell, layers)
    assert made.initial is not None
    assert made.embedding is not None
    for parameter in made.initial.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=Generator().manual_seed(4))
    words = torch.randint(0, 6, (7, 3), generator=Generator().manual_seed(1))
    weight = torch.randn(7, 3, 3, dtype=torch.float64, generator=Generator().manual_seed(2))
    (made(words).outputs * weight).sum().backward()
    ours = [parameter.grad.clone() for parameter in made.initial.parameters() if parameter.grad is not None]
    assert len(ours) == 1 + (cell == "lstm")
    made.zero_grad()
    x = made.embedding(words)
    for layer in range(layers):
        x = plain(cell, x, made, layer)
    (made.head(x) * weight).sum().backward()
    for mine, parameter in zip(ours, made.initial.parameters(), strict=True):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", list(CELLS))
def test_at_first_it_is_the_zero_state_and_costs_no_random_number(cell: str) -> None:
    words = torch.randint(0, 6, (7, 3), generator=Generator().manual_seed(1))
    learned, zero = network(cell), network(cell, learned=False)
    assert torch.equal(learned(words).outputs, zero(words).outputs)


def test_both_directions_have_one_each() -> None:
    made = network("gru", layers=2, bidirectional=True)
    assert made.initial is not None
    assert made.initial.h.shape == (4, 5)
    made(torch.randint(0, 6, (7, 3))).outputs.sum().backward()
    assert made.initial.h.grad is not None
    assert (made.initial.h.grad.abs().sum(1) > 0).all()


class Ignored:
    """A recorder that remembers the last weights alone."""

    weights: dict[str, np.ndarray]

    def begin(self, facts: object, info: object) -> None: ...

    def add(self, columns: object) -> None: ...

    def keep(self, step: int, weights: dict[str, np.ndarray], update_ratio: object) -> None:
        self.weights = weights

    def stop_requested(self) -> bool:
        return False


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
@pytest.mark.parametrize("truncate", [None, 2])
def test_it_is_trained_with_the_rest_and_counted(cell: str, truncate: int | None) -> None:
    spec = RunSpec.make(task="text", gap=3, cell=cell, hidden=6, steps=20, initial="learned", truncate=truncate)
    trainer, kept = Trainer(spec), Ignored()
    assert "learned initial state" in spec.label()
    assert predict(spec).parameters == trainer.flat.parameters.numel()
    assert train(spec, kept).state == "finished"
    moved = [name for name in ("initial.h", "initial.c") if name in kept.weights and kept.weights[name].any()]
    assert moved == ["initial.h", "initial.c"][: 1 + (cell == "lstm")]


def test_a_truncated_answer_at_the_end_says_nothing_to_it() -> None:
    spec = RunSpec.make(task="text", gap=3, wiring="many-to-one", hidden=6, steps=5, initial="learned", truncate=2)
    kept = Ignored()
    train(spec, kept)
    assert not kept.weights["initial.h"].any()


def test_where_there_is_no_first_state_to_learn_it_is_refused() -> None:
    with pytest.raises(Refusal, match="initial must be zero for the task translation"):
        RunSpec.make(task="translation", gap=6, initial="learned")
    with pytest.raises(Refusal, match="initial must be left out for the model bag"):
        RunSpec.make(task="sentiment", gap=4, model="bag", initial="learned")
    with pytest.raises(Refusal, match="initial must be one of zero, learned, but got 'random'"):
        RunSpec.make(initial="random")


def test_a_spec_from_before_it_means_the_zero_state() -> None:
    old = {name: value for name, value in RunSpec.make().to_json().items() if name != "initial"}
    assert RunSpec.from_json(old).initial == "zero"
