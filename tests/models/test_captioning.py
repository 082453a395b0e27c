"""Captions in NumPy against torch: features, words, and the gradient of every word back to the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.captioning import Captioner, caption, gradients
from models.cells import CELLS
from models.initialise import initialise
from models.network import Network
from models.sight import look, look_back
from models.step_back import step_back
from tasks.captions import END, START, VOCABULARY, T

TOKENS = (3, 4, 8, 11, 13, 3, 6, 9, END)
WORDS = len(VOCABULARY)


def network(cell: str, looks: int = 8, layers: int = 1, seed: int = 0, embedding: int | None = 6) -> Network:
    made = Network(
        cell,
        input_size=WORDS,
        hidden=7,
        layers=layers,
        outputs=WORDS,
        vocabulary=WORDS,
        embedding=embedding,
        every_step=True,
        pictures=32,
        looks=looks,
    )
    generator = torch.Generator().manual_seed(seed)
    initialise(made, "torch", None, T, generator)
    for name, buffer in made.pictures.named_buffers():
        if name != "scale":
            buffer.normal_(0, 0.3, generator=generator)
    made.pictures.get_buffer("scale").fill_(0.4)
    return made.double()


def weights_of(made: Network) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in made.state_dict().items()}


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((3, 32, 32))


def spoken(made: Network, seen: torch.Tensor, tokens: tuple[int, ...]) -> torch.Tensor:
    """log p of each token [N], by the network itself."""
    inputs = torch.tensor([START, *tokens][: len(tokens)])[:, None]
    outputs = made(inputs, pictures=seen[None]).outputs[:, 0]
    return functional.log_softmax(outputs, 1)[torch.arange(len(tokens)), list(tokens)]


def test_the_features_are_torchs() -> None:
    made = network("tanh")
    expected = made.pictures.features(torch.from_numpy(picture())[None])[0]
    np.testing.assert_allclose(look(weights_of(made), picture()).v, expected.numpy(), rtol=1e-12, atol=1e-14)


def test_the_way_back_through_the_convolutions_is_autograds() -> None:
    made = network("tanh")
    seen = torch.from_numpy(picture()).requires_grad_()
    rows = np.random.default_rng(1).normal(size=(3, made.pictures.size))
    features = made.pictures.features(seen[None])[0]
    expected = [torch.autograd.grad(features, seen, torch.from_numpy(row), retain_graph=True)[0] for row in rows]
    found = look_back(weights_of(made), look(weights_of(made), picture()), rows)
    np.testing.assert_allclose(found, torch.stack(expected).numpy(), rtol=1e-10, atol=1e-13)


def test_where_the_relu_gave_nothing_nothing_goes_back() -> None:
    made = network("tanh")
    weights = weights_of(made)
    weights["pictures.bias_2"] = np.full_like(weights["pictures.bias_2"], -1e3)
    looked = look(weights, picture())
    assert not looked.v.any()
    assert not look_back(weights, looked, np.ones((1, len(looked.v)))).any()


def plain(
    cell: str, x: torch.Tensor, h: torch.Tensor, w: torch.Tensor, u: torch.Tensor, *b: torch.Tensor
) -> torch.Tensor:
    a = x @ w.T + h @ u.T + b[0] + b[1]
    return {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "identity": lambda a: a}[cell](a)


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 2])
def test_one_step_back_is_autograds(cell: str, layers: int) -> None:
    made = network(cell, layers=layers, seed=3)
    layer = made.recurrent.layers[layers - 1]
    weights = weights_of(made)
    draw = np.random.default_rng(2)
    width, H = layer.weight_ih.shape[1], 7
    x, h, c = (torch.from_numpy(draw.normal(size=(1, size))).requires_grad_() for size in (width, H, H))
    grad_h, grad_c = draw.normal(size=(1, H)), draw.normal(size=(1, H))
    parts = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
    wanted = [x, h]
    if cell == "lstm":
        after_h, after_c = torch.lstm_cell(x, [h, c], *parts)
        wanted.append(c)
        found = torch.autograd.grad((after_h, after_c), wanted, (torch.from_numpy(grad_h), torch.from_numpy(grad_c)))
        after = (after_h.detach().numpy(), after_c.detach().numpy())
    else:
        output = torch.gru_cell(x, h, *parts) if cell == "gru" else plain(cell, x, h, *parts)
        found = torch.autograd.grad(output, wanted, torch.from_numpy(grad_h))
        after = (output.detach().numpy(), None)
    before = (h.detach().numpy(), c.detach().numpy() if cell == "lstm" else None)
    of_x, (of_h, of_c) = step_back(
        cell, weights, layers - 1, x.detach().numpy(), before, after, (grad_h, grad_c if cell == "lstm" else None)
    )
    np.testing.assert_allclose(of_x, found[0].numpy(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(of_h, found[1].numpy(), rtol=1e-10, atol=1e-13)
    if of_c is not None:
        np.testing.assert_allclose(of_c, found[2].numpy(), rtol=1e-10, atol=1e-13)
    assert (of_c is None) == (cell != "lstm")


@pytest.mark.parametrize("looks", [8, 1, 3])
@pytest.mark.parametrize(("cell", "layers"), [(cell, 1) for cell in CELLS] + [("tanh", 2), ("gru", 2), ("lstm", 3)])
def test_each_words_gradient_reaches_the_picture_as_autograd_has_it(cell: str, layers: int, looks: int) -> None:
    made = network(cell, looks=looks, layers=layers)
    weights = weights_of(made)
    seen = torch.from_numpy(picture()).requires_grad_()
    logs = spoken(made, seen, TOKENS)
    expected = np.stack([torch.autograd.grad(one, seen, retain_graph=True)[0].numpy() for one in logs])
    captioner = Captioner(cell, weights, looks)
    found = gradients(captioner, look(weights, picture()), TOKENS, START)
    np.testing.assert_allclose(found.picture, expected, rtol=1e-8, atol=1e-13)
    assert np.abs(expected).max() > 1e-6
    assert not found.features[:, looks:].any(), "where the picture is not looked at nothing comes back"
    later = np.triu_indices(len(TOKENS), 1)
    assert not found.features[later].any(), "a word's gradient only goes back"


def test_one_hot_words_do_as_well() -> None:
    made = network("tanh", embedding=None)
    weights = weights_of(made)
    seen = torch.from_numpy(picture()).requires_grad_()
    expected = torch.autograd.grad(spoken(made, seen, TOKENS)[-2], seen)[0].numpy()
    found = gradients(Captioner("tanh", weights, 8), look(weights, picture()), TOKENS, START)
    np.testing.assert_allclose(found.picture[-2], expected, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_a_greedy_caption_is_what_the_network_itself_says_word_by_word(cell: str) -> None:
    made = network(cell, seed=5)
    seen = torch.from_numpy(picture())
    tokens: list[int] = []
    chances = []
    while len(tokens) < T and END not in tokens:
        inputs = torch.tensor([START, *tokens])[:, None]
        p = functional.softmax(made(inputs, pictures=seen[None]).outputs[-1, 0].detach(), 0)
        tokens.append(int(p.argmax()))
        chances.append(float(p.max()))
    weights = weights_of(made)
    found = caption(Captioner(cell, weights, 8), look(weights, picture()), start=START, end=END, longest=T)
    assert found.tokens == tuple(tokens)
    np.testing.assert_allclose(found.probabilities, chances, rtol=1e-10)
    np.testing.assert_allclose(found.offered.sum(1), 1)


def test_drawn_captions_repeat_with_their_seed_and_follow_the_probabilities() -> None:
    weights = weights_of(network("tanh"))
    looked = look(weights, picture())
    captioner = Captioner("tanh", weights, 8)

    def say(seed: int, temperature: float = 1.0) -> tuple[int, ...]:
        rng = np.random.default_rng(seed)
        return caption(captioner, looked, start=START, end=END, longest=T, temperature=temperature, rng=rng).tokens

    assert say(1) == say(1)
    firsts = np.bincount([say(seed)[0] for seed in range(1500)], minlength=WORDS) / 1500
    p = caption(captioner, looked, start=START, end=END, longest=T).offered[0]
    assert np.abs(firsts - p).max() < 4.5 * np.sqrt(p * (1 - p) / 1500).max()
    greedy = caption(captioner, looked, start=START, end=END, longest=T).tokens
    assert say(3, temperature=1e-9) == greedy


def test_absurd_temperatures_are_refused_and_a_diverged_network_says_nothing() -> None:
    weights = weights_of(network("tanh"))
    looked = look(weights, picture())
    captioner = Captioner("tanh", weights, 8)
    how = {"start": START, "end": END, "longest": T}
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, but got -1"):
        caption(captioner, looked, temperature=-1, rng=np.random.default_rng(0), **how)
    with pytest.raises(ValueError, match="rng must be given where words are drawn"):
        caption(captioner, looked, temperature=1, **how)
    broken = Captioner("tanh", {**weights, "head.bias": np.full(WORDS, np.nan)}, 8)
    assert caption(broken, looked, **how).tokens == ()
    assert gradients(broken, looked, (), START).picture.shape == (0, 3, 32, 32)
