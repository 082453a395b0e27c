"""A network's forward pass in NumPy, from the weights that a run kept: for pages and reports, which never reach torch.

The equations are those of ``diagnostics.recurrence`` (torch.nn's gate order and variants), the names of the weights
those of ``models.network.Network``'s state. Everything is computed in float64, whatever the weights are kept in.

Letters: T timesteps, B batch, I input size, H hidden size, G gates, V words, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.cells import CELLS

Array = np.ndarray[Any, np.dtype[Any]]
Weights = Mapping[str, Array]
"""Weights by the names of the network's state, as they are kept."""
State = tuple[Array, Array | None]
"""What a layer hands to the next step: h [B,H], and for an LSTM c [B,H]."""


def sigmoid(a: Array) -> Array:
    """σ(a) = 1 / (1 + e⁻ᵃ), without overflow at either end."""
    small = np.exp(-np.abs(a))
    return np.asarray(np.where(a >= 0, 1 / (1 + small), small / (1 + small)))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda a: np.maximum(a, 0.0),
    "identity": np.positive,
}


def layer_count(weights: Weights) -> int:
    """How many recurrent layers (of one direction each) the weights hold."""
    return sum(name.startswith("recurrent.layers.") and name.endswith(".weight_hh") for name in weights)


def hidden_size(weights: Weights, layer: int = 0) -> int:
    """H of a layer. Raises ``KeyError`` where the weights have no such layer."""
    return int(weights[f"recurrent.layers.{layer}.weight_hh"].shape[1])


def entered(weights: Weights, words: Array) -> Array:
    """What the recurrence reads, [T,B,I], for the words [T,B]: their embeddings, or one-hot where there are none.

    Raises ``IndexError`` where a word is not in the vocabulary.
    """
    if "embedding.weight" in weights:
        return _number(weights["embedding.weight"])[words]
    return np.eye(weights["recurrent.layers.0.weight_ih"].shape[1])[words]


def step(cell: str, weights: Weights, layer: int, x: Array, state: State | None = None) -> State:
    """One timestep of one layer: its new state from the input ``x`` [B,I] and the ``state`` before (None: zeros).

    - tanh, sigmoid, ReLU, identity: h = φ(W_hh h₋ + W_ih x + b).
    - gru (the variant of torch and cuDNN): r, z = σ(…); n = tanh(W_in x + b_in + r ⊙ (W_hn h₋ + b_hn));
      h = (1 − z) ⊙ n + z ⊙ h₋.
    - lstm: i, f, o = σ(…), g = tanh(…); c = f ⊙ c₋ + i ⊙ g; h = o ⊙ tanh(c).

    Raises ``KeyError`` where the cell or the layer is unknown.
    """
    kind = CELLS[cell].kind
    w_ih, w_hh, b_ih, b_hh = (
        _number(weights[f"recurrent.layers.{layer}.{name}"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    zeros = np.zeros((len(x), w_hh.shape[1]))
    h, c = (zeros, None) if state is None else state
    with np.errstate(over="ignore", invalid="ignore"):  # what a diverged run kept is shown as it is
        from_x, from_h = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if kind == "gru":
            return _gru(from_x, from_h, h), None
        if kind == "lstm":
            return _lstm(from_x + from_h, zeros if c is None else c)
        return ACTIVATIONS[cell](from_x + from_h), None


def initial(cell: str, weights: Weights, layer: int, batch: int) -> State:
    """What a layer begins with: the state that was learned, where one was, else zeros."""
    memory = CELLS[cell].kind == "lstm"
    if "initial.h" not in weights:
        zeros = np.zeros((batch, hidden_size(weights, layer)))
        return zeros, zeros if memory else None
    h, c = (np.tile(_number(weights[name][layer]), (batch, 1)) if name in weights else None for name in _INITIAL)
    assert h is not None
    return h, c


_INITIAL = ("initial.h", "initial.c")


def _gru(from_x: Array, from_h: Array, h: Array) -> Array:
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(from_x, 3, axis=1), np.split(from_h, 3, axis=1)
    z = sigmoid(x_z + h_z)
    n = np.tanh(x_n + sigmoid(x_r + h_r) * h_n)
    return np.asarray((1 - z) * n + z * h)


def _lstm(a: Array, c: Array) -> State:
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    c = sigmoid(a_f) * c + sigmoid(a_i) * np.tanh(a_g)
    return sigmoid(a_o) * np.tanh(c), c


def run(cell: str, weights: Weights, x: Array, state: Sequence[State] | None = None) -> tuple[Array, list[State]]:
    """All layers over all timesteps: the states of the top layer [T,B,H], and each layer's last state, to go on from.

    ``x`` [T,B,I] as ``entered`` gives it, or the task's numbers; ``state`` has what each layer begins with (None:
    as ``initial``). With T = 0 the states are empty and what is handed back is what they begin with.
    """
    batch = x.shape[1]
    layers = range(layer_count(weights))
    carried = [initial(cell, weights, layer, batch) for layer in layers] if state is None else list(state)
    tops = []
    for below in x:
        for layer, before in enumerate(carried):
            carried[layer] = step(cell, weights, layer, below, before)
            below = carried[layer][0]
        tops.append(below)
    width = hidden_size(weights, len(carried) - 1)
    return (np.stack(tops) if tops else np.zeros((0, batch, width))), carried


def scores(weights: Weights, h: Array) -> Array:
    """The head's scores [..., C] for the states [..., H]: before any softmax."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(h @ _number(weights["head.weight"]).T + _number(weights["head.bias"]))


def softmax(scores: Array, temperature: float = 1.0) -> Array:
    """Probabilities exp(s/τ) / Σ exp(s/τ) over the last axis, at the temperature τ.

    τ = 1 is what the network was trained for; below 1 the likeliest grows likelier, above 1 all become alike. Scores
    that are not all finite give nan. Raises ``ValueError`` where τ is not a finite number above 0.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a finite number above 0, but got {temperature}")
    with np.errstate(invalid="ignore", over="ignore"):
        away = (scores - scores.max(axis=-1, keepdims=True)) / temperature
    raised = np.exp(away)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _number(values: Array) -> Array:
    return np.asarray(values, dtype=np.float64)
