"""Captions of a picture from kept weights, in NumPy: <START> to <END>, and the gradient of each word with respect to
the picture. For pages, which never reach torch.

At step t the network reads the word x_t and, while the picture is looked at, its features v:
W_xh x_t + W_ih v + W_hh h_{t−1}, with [W_xh, W_ih] side by side in the lowest layer's ``weight_ih``.

Letters: T timesteps, H hidden size, V words, F features of the picture, P pixels of a side, N words of a caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.cells import CELLS
from models.inference import Array, State, Weights, hidden_size, layer_count, scores, softmax, step
from models.sight import Looked, look_back
from models.step_back import step_back


@dataclass(frozen=True)
class Captioner:
    """A network that captions pictures: its cell, kept weights, and for how many timesteps it looks (``looks``)."""

    cell: str
    weights: Weights
    looks: int

    def zeros(self) -> list[State]:
        """What every layer begins with."""
        found: list[State] = []
        for layer in range(layer_count(self.weights)):
            zero = np.zeros((1, hidden_size(self.weights, layer)))
            found.append((zero, zero if CELLS[self.cell].kind == "lstm" else None))
        return found

    def read(self, token: int, looked: Looked, t: int) -> Array:
        """What the lowest layer reads at step t, [1,I+F]: the word, and the features while the picture is looked at."""
        if "embedding.weight" in self.weights:
            word = np.asarray(self.weights["embedding.weight"][token], np.float64)
        else:
            word = np.eye(len(self.weights["head.weight"]))[token]
        return np.concatenate([word, looked.v if t < self.looks else np.zeros_like(looked.v)])[None]

    def on(self, x: Array, states: Sequence[State]) -> list[State]:
        """The states of all layers after one more step."""
        after = []
        for layer, before in enumerate(states):
            after.append(step(self.cell, self.weights, layer, x, before))
            x = after[-1][0]
        return after


@dataclass(frozen=True)
class Caption:
    """A caption: its ``tokens`` with ``END`` last (unless it got too long), and each one's probability when it came."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    offered: Array
    """The probabilities of all words at each step, [N,V]."""


def caption(
    captioner: Captioner,
    looked: Looked,
    *,
    start: int,
    end: int,
    longest: int,
    temperature: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Caption:
    """Say a caption: from ``start``, word by word, each fed back, until ``end`` or ``longest`` words.

    With the temperature 0 each word is the likeliest (greedy); else it is drawn from ``rng`` at that temperature.
    Where the scores are not finite, as a diverged run's are, the caption ends. Raises ``ValueError`` where a
    temperature other than 0 is not a finite number above 0, or comes without ``rng``.
    """
    if temperature and rng is None:
        raise ValueError(f"rng must be given where words are drawn, but got none at temperature {temperature}")
    states, token = captioner.zeros(), start
    tokens: list[int] = []
    probabilities: list[float] = []
    offered = []
    for t in range(longest):
        states = captioner.on(captioner.read(token, looked, t), states)
        found = scores(captioner.weights, states[-1][0])[0]
        if not np.isfinite(found).all():
            break
        chances = softmax(found, temperature or 1.0)
        token = int(chances.argmax()) if rng is None or not temperature else int(rng.choice(len(chances), p=chances))
        tokens.append(token)
        probabilities.append(float(chances[token]))
        offered.append(chances)
        if token == end:
            break
    width = len(captioner.weights["head.weight"])
    return Caption(tuple(tokens), tuple(probabilities), np.array(offered).reshape(len(offered), width))


@dataclass(frozen=True)
class Gradients:
    """Of log p(word) for each word of a caption."""

    picture: Array
    """With respect to the picture, [N,3,P,P]."""
    features: Array
    """With respect to the features as they were read at each step, [N,T,F]; 0 where the picture was not looked at."""


def gradients(captioner: Captioner, looked: Looked, tokens: Sequence[int], start: int) -> Gradients:
    """The gradient of the log-probability of each of ``tokens``, given those before it, back to the picture.

    Through the recurrence and the convolutions: the picture's is the sum over all steps at which it was looked at.
    """
    weights, cell = captioner.weights, captioner.cell
    reads, states = [], [captioner.zeros()]
    for t, token in enumerate([start, *tokens][: len(tokens)]):
        reads.append(captioner.read(token, looked, t))
        states.append(captioner.on(reads[-1], states[-1]))
    N, F = len(tokens), len(looked.v)
    features = np.zeros((N, N, F))
    if not N:
        return Gradients(np.zeros((0, 3, *looked.inputs[0].shape[1:])), features)
    tops = np.concatenate([after[-1][0] for after in states[1:]])
    # ∂ log p(word) / ∂ scores = one-hot − p, and one row per word: all words go back together, each from its own step.
    of_scores = np.eye(len(weights["head.weight"]))[list(tokens)] - softmax(scores(weights, tops))
    of_top = of_scores @ np.asarray(weights["head.weight"], np.float64)
    layers = len(states[0])
    grads = [[np.zeros((N, hidden_size(weights, layer))) for _ in range(2)] for layer in range(layers)]
    for t in reversed(range(N)):
        grads[-1][0][t] += of_top[t]
        for layer in reversed(range(layers)):
            x = reads[t] if layer == 0 else states[t + 1][layer - 1][0]
            gradient = (grads[layer][0], grads[layer][1])
            before, after = states[t][layer], states[t + 1][layer]
            of_x, (of_h, of_c) = step_back(cell, weights, layer, x, before, after, gradient)
            grads[layer] = [of_h, grads[layer][1] if of_c is None else of_c]
            if layer:
                grads[layer - 1][0] = grads[layer - 1][0] + of_x
            elif t < captioner.looks:
                features[:, t] = of_x[:, -F:]
    return Gradients(look_back(weights, looked, features.sum(1)), features)
