"""What a network that answers once says to sentences of different lengths, and which words its answer hangs on (NumPy).

For pages and reports, which never reach torch: the four kinds of ``models.kinds``, from the weights that a run kept, by
the names of the network's state. Everything is computed in float64.

Letters: T timesteps, B batch, I input size, H features, k window, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.inference import Array, State, Weights, layer_count, scores, step

_NUDGE = 1e-5
"""How far each number is moved: the error of a central difference is then near 1e-10 on either side, of the square
that is left out and of rounding."""


def embedded(weights: Weights, words: Array) -> Array:
    """The embeddings [T,B,I] of words [T,B]. Raises ``KeyError`` where the network has none (one-hot words)."""
    return np.asarray(weights["embedding.weight"], dtype=np.float64)[words]


def answers(kind: str, cell: str, weights: Weights, words: Array, lengths: Array | None = None) -> Array:
    """The head's scores [B,C] for words [T,B], of which each sample has ``lengths`` [B] (None: all).

    ``kind`` is a name of ``models.kinds.MODELS``, ``cell`` that of a recurrent network's cell. Raises ``KeyError``
    where there is no such kind, and ``ValueError`` where a feed-forward network has not T positions.
    """
    return answered(kind, cell, weights, embedded(weights, words), lengths, words)


def answered(kind: str, cell: str, weights: Weights, x: Array, lengths: Array | None, words: Array) -> Array:
    """As ``answers``, for words that enter as ``x`` [T,B,I]."""
    T, B = x.shape[:2]
    told = np.full(B, T) if lengths is None else np.asarray(lengths)
    with np.errstate(over="ignore", invalid="ignore"):  # what a diverged run kept is shown as it is
        return _KINDS[kind](cell, weights, x, told, words)


def hangs_on(kind: str, cell: str, weights: Weights, words: Array, length: int) -> Array:
    """‖∂m/∂x_t‖ [T]: how much the answer to the sentence ``words`` [T] with ``length`` words hangs on each position.

    m is the lead of one of two classes over the other, a difference of scores. Each number of each embedded word,
    padding included, is moved a little up and a little down and the answer computed anew (a central difference). So 0
    means that the two answers were equal to the last bit.
    """
    x = embedded(weights, words[:, None])  # [T,1,I]
    T, _, size = x.shape
    moved = np.zeros((T, 2, T, size, size))  # what is added where: up or down, at which position, to which number
    at, number = np.arange(T)[:, None], np.arange(size)
    moved[at, 0, at, number, number] = _NUDGE
    moved[at, 1, at, number, number] = -_NUDGE
    nudged = x + moved.reshape(T, -1, size)
    every = nudged.shape[1]
    found = answered(kind, cell, weights, nudged, np.full(every, length), np.broadcast_to(words[:, None], (T, every)))
    up, down = (found[:, 0] - found[:, 1]).reshape(2, T, size)
    return np.asarray(np.linalg.norm((up - down) / (2 * _NUDGE), axis=1))


def _there(x: Array, lengths: Array) -> Array:
    """Which positions [T,B,1] are not padding."""
    there: Array = np.arange(len(x))[:, None, None] < lengths[:, None]
    return there


def _recurrent(cell: str, weights: Weights, x: Array, lengths: Array, words: Array) -> Array:
    layers = layer_count(weights)
    states: list[State | None] = [None] * layers
    for below, there in zip(x, _there(x, lengths), strict=True):
        if not there.any():
            break
        for layer in range(layers):
            before, after = states[layer], step(cell, weights, layer, below, states[layer])
            states[layer] = after if before is None else _kept(there, before, after)
            below = after[0]
    top = states[-1]
    assert top is not None  # every sample has a first word
    return scores(weights, top[0])


def _kept(there: Array, before: State, after: State) -> State:
    """The state after a step where a sample has that step, else the one before."""
    (h, c), (new_h, new_c) = before, after
    return np.where(there, new_h, h), None if c is None or new_c is None else np.where(there, new_c, c)


def _layers(weights: Weights) -> list[tuple[Array, Array]]:
    """Weight and bias of each of ``layers``, lowest first."""
    found: list[tuple[Array, Array]] = []
    while (name := f"layers.{len(found)}") + ".weight" in weights:
        pair = (weights[f"{name}.{part}"] for part in ("weight", "bias"))
        weight, bias = (np.asarray(part, dtype=np.float64) for part in pair)
        found.append((weight, bias))
    return found


def _feedforward(cell: str, weights: Weights, x: Array, lengths: Array, words: Array) -> Array:
    layers = _layers(weights)
    if layers[0][0].shape[1] != x.shape[0] * x.shape[2]:
        positions = layers[0][0].shape[1] // x.shape[2]
        raise ValueError(f"words must have {positions} timesteps, one for each position, but got {len(x)}")
    features = np.where(_there(x, lengths), x, 0.0).swapaxes(0, 1).reshape(x.shape[1], -1)
    for weight, bias in layers:
        features = np.maximum(features @ weight.T + bias, 0.0)
    return scores(weights, features)


def _convolution(cell: str, weights: Weights, x: Array, lengths: Array, words: Array) -> Array:
    there = _there(x, lengths)
    features = np.where(there, x, 0.0)
    for weight, bias in _layers(weights):  # [H,I,k]
        k = weight.shape[2]
        around = np.pad(features, ((k // 2, k // 2), (0, 0), (0, 0)))
        total = sum(around[j : j + len(x)] @ weight[:, :, j].T for j in range(k)) + bias
        features = np.where(there, np.maximum(total, 0.0), 0.0)
    pooled = [np.where(there, features, -np.inf).max(0), features.sum(0) / lengths[:, None]]
    return scores(weights, np.concatenate(pooled, axis=1))


def _bag(cell: str, weights: Weights, x: Array, lengths: Array, words: Array) -> Array:
    """As ``models.bag``: added up word by word in the order of the vocabulary, and number by number, so that the same
    words give the same scores bit for bit."""
    order = np.argsort(words, axis=0, kind="stable")
    shown = np.take_along_axis(np.where(_there(x, lengths), x, 0.0), order[:, :, None], axis=0)
    total = np.zeros(shown.shape[1:])
    for one in shown:
        total = total + one
    head, bias = (np.asarray(weights[f"head.{part}"], dtype=np.float64) for part in ("weight", "bias"))
    found = np.broadcast_to(bias, (len(total), len(bias)))
    for number, column in zip(total.T, head.T, strict=True):
        found = found + number[:, None] * column
    return np.asarray(found)


_KINDS: Mapping[str, Callable[[str, Weights, Array, Array, Array], Array]] = {
    "recurrent": _recurrent,
    "feedforward": _feedforward,
    "convolution": _convolution,
    "bag": _bag,
}
