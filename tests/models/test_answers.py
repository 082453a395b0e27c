"""The NumPy networks that answer once, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.records import Array
from models.answers import answers, embedded, hangs_on
from models.model import Model
from tests.models.test_without_recurrence import KINDS, LENGTHS, B, T, network, words

torch.set_num_threads(1)


def kept(net: Model) -> dict[str, Array]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


def kind_and_cell(kind: str) -> tuple[str, str]:
    return (kind, "") if kind in ("feedforward", "convolution", "bag") else ("recurrent", kind)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_are_those_of_torch(kind: str, layers: int, whole: bool) -> None:
    net = network(kind, 1 if kind == "bag" else layers)
    lengths = None if whole else LENGTHS
    inputs = words(lengths=lengths)
    wanted = net(inputs, lengths=lengths).outputs.detach().numpy()
    found = answers(*kind_and_cell(kind), kept(net), inputs.numpy(), None if whole else LENGTHS.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_answer_hangs_on_is_the_gradient_and_exactly_nothing_at_padding(kind: str) -> None:
    net, inputs = network(kind, outputs=2), words()
    for b in range(B):
        length = LENGTHS[b : b + 1]
        run = net(inputs[:, b : b + 1], lengths=length, keep_input_grad=True)
        (run.outputs[0, 0] - run.outputs[0, 1]).backward()
        assert run.x.grad is not None
        wanted = run.x.grad[:, 0].norm(dim=1).numpy()
        found = hangs_on(*kind_and_cell(kind), kept(net), inputs[:, b].numpy(), int(length))
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
        assert (found[int(length) :] == 0).all()
        assert kind == "relu" or (found[: int(length)] > 0).all()


def test_the_bag_says_the_same_of_the_same_words_bit_for_bit() -> None:
    net, inputs = network("bag"), words(lengths=None).numpy()
    rng = np.random.default_rng(0)
    one = answers("bag", "", kept(net), inputs)
    for _ in range(20):
        assert answers("bag", "", kept(net), rng.permuted(inputs, axis=0)).tobytes() == one.tobytes()


def test_a_feed_forward_net_refuses_another_number_of_positions() -> None:
    with pytest.raises(ValueError, match=r"^words must have 9 timesteps, one for each position, but got 8$"):
        answers("feedforward", "", kept(network("feedforward")), words().numpy()[: T - 1])


def test_words_are_looked_up() -> None:
    net = network("bag")
    weights = kept(net)
    np.testing.assert_array_equal(embedded(weights, np.array([[3]]))[0, 0], weights["embedding.weight"][3])
