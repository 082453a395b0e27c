"""Feed-forward, convolution, bag of words, and the recurrences beside them: against plain twins, and at padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from models.build import assemble
from models.initialise import initialise
from models.kinds import MODELS
from models.model import Model
from models.plan import Plan

torch.set_num_threads(1)

T, B, V, H, C = 9, 6, 11, 5, 3
EMBEDDING = 4
LENGTHS = torch.tensor([9, 1, 4, 2, 7, 9])
WITHOUT = ("feedforward", "convolution", "bag")
KINDS = (*WITHOUT, "tanh", "sigmoid", "relu", "gru", "lstm")


def plan(cell: str = "tanh", layers: int = 1, **changes: object) -> Plan:
    sizes: dict[str, object] = {
        "input_size": V,
        "hidden": H,
        "outputs": C,
        "vocabulary": V,
        "embedding": EMBEDDING,
        "every_step": False,
        "timesteps": T,
    }
    return Plan(cell=cell, layers=layers, **{**sizes, **changes})  # type: ignore[arg-type]


def network(kind: str, layers: int = 1, seed: int = 0, **changes: object) -> Model:
    """A network in float64 of a kind, or a recurrent one of a cell."""
    cell = "tanh" if kind in MODELS else kind
    made = assemble(kind if kind in MODELS else "recurrent", plan(cell, layers, **changes))
    initialise(made, "torch", None, T, Generator().manual_seed(seed))
    return made.double()


def words(seed: int = 1, lengths: Tensor | None = LENGTHS) -> Tensor:
    """Words, with PAD = 0 beyond the lengths."""
    drawn = torch.randint(1, V, (T, B), generator=Generator().manual_seed(seed))
    return drawn if lengths is None else drawn.masked_fill(torch.arange(T)[:, None] >= lengths, 0)


def feedforward_twin(net: Model, x: Tensor, length: int) -> Tensor:
    """One sentence [T,I] through a feed-forward net, written out."""
    features = torch.cat([x[t] if t < length else torch.zeros(x.shape[1], dtype=x.dtype) for t in range(T)])
    for place in range(len(net.layers)):  # type: ignore[arg-type]
        w, b = net.get_parameter(f"layers.{place}.weight"), net.get_parameter(f"layers.{place}.bias")
        features = torch.clamp(w @ features + b, min=0)
    return features


def convolution_twin(net: Model, x: Tensor, length: int) -> Tensor:
    """One sentence [T,I] through a convolutional net: only its own words, written out as sums over the window."""
    features = x[:length]
    for place in range(len(net.layers)):  # type: ignore[arg-type]
        w, b = net.get_parameter(f"layers.{place}.weight"), net.get_parameter(f"layers.{place}.bias")
        half = w.shape[2] // 2
        found = []
        for t in range(length):
            total = b
            for j in range(w.shape[2]):
                if 0 <= t + j - half < length:
                    total = total + w[:, :, j] @ features[t + j - half]
            found.append(torch.clamp(total, min=0))
        features = torch.stack(found)
    return torch.cat([features.max(0).values, features.sum(0) / length])


def bag_twin(net: Model, x: Tensor, length: int) -> Tensor:
    """One sentence [T,I] as the sum of its words."""
    return x[:length].sum(0)


TWINS: dict[str, Callable[[Model, Tensor, int], Tensor]] = {
    "feedforward": feedforward_twin,
    "convolution": convolution_twin,
    "bag": bag_twin,
}


def twin(kind: str, net: Model, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Outputs and the embedded words, sentence by sentence, in plain autograd."""
    assert net.embedding is not None
    x = net.embedding.weight[inputs]
    x.retain_grad()
    features = [TWINS[kind](net, x[:, b], T if lengths is None else int(lengths[b])) for b in range(B)]
    return functional.linear(torch.stack(features), net.head.weight, net.head.bias), x  # type: ignore[arg-type]


def gradients(net: Model, outputs: Tensor, x: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    functional.cross_entropy(outputs, torch.arange(B) % C).backward()
    assert x.grad is not None
    return {"x": x.grad, **{name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}}


@pytest.mark.parametrize("lengths", [LENGTHS, None])
@pytest.mark.parametrize(("kind", "layers"), [("feedforward", 1), ("feedforward", 3), ("convolution", 1), ("bag", 1)])
def test_outputs_and_gradients_agree_with_plain_twins(kind: str, layers: int, lengths: Tensor | None) -> None:
    net, inputs = network(kind, layers), words(lengths=lengths)
    run = net(inputs, lengths=lengths, keep_input_grad=True)
    outputs, x = twin(kind, net, inputs, lengths)
    torch.testing.assert_close(run.outputs, outputs, rtol=1e-12, atol=1e-14)
    ours, plain = gradients(net, run.outputs, run.x), gradients(net, outputs, x)
    assert ours.keys() == plain.keys() == {"x", *(name for name, _ in net.named_parameters())}
    for name, value in plain.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-11, atol=1e-14, msg=lambda m, name=name: f"{name}: {m}")


def test_a_deep_convolution_agrees_with_its_twin() -> None:
    net, inputs = network("convolution", 3), words()
    run = net(inputs, lengths=LENGTHS, keep_input_grad=True)
    outputs, x = twin("convolution", net, inputs, LENGTHS)
    torch.testing.assert_close(run.outputs, outputs, rtol=1e-12, atol=1e-14)
    ours, plain = gradients(net, run.outputs, run.x), gradients(net, outputs, x)
    for name, value in plain.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-11, atol=1e-14)
    assert len(run.traces) == 3


@pytest.mark.parametrize("kind", WITHOUT)
def test_autograd_agrees_with_finite_differences(kind: str) -> None:
    net, inputs = network(kind), words()
    names, values = zip(*net.named_parameters(), strict=True)

    def outputs(*given: Tensor) -> Tensor:
        return torch.func.functional_call(
            net, dict(zip(names, given, strict=True)), (inputs,), {"lengths": LENGTHS}
        ).outputs

    assert torch.autograd.gradcheck(outputs, values)


@pytest.mark.parametrize("kind", KINDS)
def test_at_padding_the_gradient_is_exactly_zero_and_before_it_is_not(kind: str) -> None:
    net, inputs = network(kind), words()
    run = net(inputs, lengths=LENGTHS, keep_input_grad=True)
    functional.cross_entropy(run.outputs, torch.arange(B) % C).backward()
    padding = torch.arange(T)[:, None] >= LENGTHS
    assert padding.any()
    assert run.x.grad is not None
    for gradient in (run.x.grad, *(trace.grad_h for trace in run.traces)):
        assert not gradient[padding].any(), "exactly 0"
    arrives = run.x.grad.abs().sum(2)
    if kind == "relu":  # dead units may stop it
        assert (arrives[~padding] > 0).float().mean() > 0.5
    else:
        assert (arrives[~padding] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_stands_at_padding_matters_to_the_last_bit(kind: str) -> None:
    net, inputs = network(kind), words()
    other = torch.where(torch.arange(T)[:, None] >= LENGTHS, 7, inputs)
    one, two = (net(given, lengths=LENGTHS).outputs for given in (inputs, other))
    assert torch.equal(one, two)
    with torch.no_grad():
        assert net.embedding is not None
        net.embedding.weight[0] = 1e6
    torch.testing.assert_close(net(inputs, lengths=LENGTHS).outputs, one, rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", ["convolution", "bag", "tanh", "gru", "lstm"])
def test_more_padding_changes_nothing_where_positions_share_their_weights(kind: str) -> None:
    net, inputs = network(kind), words()
    longer = torch.cat([inputs, torch.zeros(4, B, dtype=torch.int64)])
    torch.testing.assert_close(net(longer, lengths=LENGTHS).outputs, net(inputs, lengths=LENGTHS).outputs)


def test_a_convolution_answers_the_same_where_a_pattern_stands_elsewhere() -> None:
    """The maximum over positions does not move with the words, but for the ends of the sentence."""
    net = network("convolution")
    one = torch.zeros(T, 1, dtype=torch.int64)
    one[2:5, 0] = torch.tensor([3, 4, 5])
    two = one.roll(1, 0)
    assert net.embedding is not None
    with torch.no_grad():
        net.embedding.weight[0] = 0.0
    torch.testing.assert_close(net(one).outputs, net(two).outputs, rtol=1e-12, atol=0)
    assert not torch.allclose(network("feedforward")(one).outputs, network("feedforward")(two).outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("embedding", [EMBEDDING, 7, None])
def test_a_bag_has_the_same_outputs_for_the_same_words_bit_for_bit(dtype: torch.dtype, embedding: int | None) -> None:
    net = network("bag", embedding=embedding).to(dtype)
    rng = np.random.default_rng(0)
    length = torch.from_numpy(rng.integers(1, T + 1, 200))
    one = torch.from_numpy(rng.integers(1, V, (T, 200)))
    two = one.clone()
    for b, n in enumerate(length):
        one[n:, b] = two[n:, b] = 0
        two[:n, b] = one[:n, b][torch.from_numpy(rng.permutation(int(n)))]
    whole = net(torch.cat([one, two], 1), lengths=torch.cat([length, length])).outputs
    assert torch.equal(whole[:200], whole[200:])
    alone = torch.cat([net(two[:, b : b + 1], lengths=length[b : b + 1]).outputs for b in range(200)])
    assert torch.equal(whole[:200], alone), "whatever else is in the batch"


def test_sums_that_a_library_cuts_up_would_not_be_the_same_bit_for_bit() -> None:
    """The negative control: what the bag's sums are ordered for."""
    table = torch.randn(V, 32, generator=Generator().manual_seed(0))
    one = torch.randint(1, V, (40, 300), generator=Generator().manual_seed(1))
    two = one[torch.randperm(40, generator=Generator().manual_seed(2))]
    assert not torch.equal(table[one].sum(0), table[two].sum(0))


@pytest.mark.parametrize("kind", WITHOUT)
def test_weights_depend_on_the_generator_and_on_nothing_else(kind: str) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = network(kind)
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's random numbers are asked"
    torch.manual_seed(2)
    two, other = network(kind), network(kind, seed=1)
    pairs = zip(one.state_dict().items(), two.state_dict().values(), other.state_dict().values(), strict=True)
    for (name, a), b, c in pairs:
        assert torch.equal(a, b), name
        assert not torch.equal(a, c), name
        assert a.any(), name


@pytest.mark.parametrize("kind", WITHOUT)
def test_numbers_enter_as_they_are_and_words_one_hot(kind: str) -> None:
    numbers = network(kind, vocabulary=0, input_size=2)
    assert numbers(torch.randn(T, B, 2, dtype=torch.float64)).outputs.shape == (B, C)
    assert network(kind, embedding=None)(words(), lengths=LENGTHS).x.shape == (T, B, V)


@pytest.mark.parametrize("kind", WITHOUT)
def test_what_makes_no_sense_is_refused_in_one_sentence(kind: str) -> None:
    with pytest.raises(
        ValueError, match=r"^every_step must be False for a .* network, which answers once, but got True$"
    ):
        network(kind, every_step=True)
    with pytest.raises(ValueError, match=r"^state must be left out for a .* network, which hands none on$"):
        network(kind)(words(), state=[])


def test_a_feed_forward_net_has_a_fixed_number_of_positions() -> None:
    with pytest.raises(ValueError, match=r"^inputs must have 9 timesteps, one for each position, but got 8$"):
        network("feedforward")(words()[:8])
