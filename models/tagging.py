"""A network in one direction or in two over one sentence, in NumPy: every word's answer, and what one answer hears.

The names of the weights are those of ``models.network.Network``'s state; for pages and reports, which never reach
torch. Letters: T timesteps, H hidden size, D directions (1 or 2), C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagnostics.measures.jacobian import Trajectory
from models.inference import Array, Weights, entered, scores, softmax
from models.trail import answer_gradient, back, trail


@dataclass(frozen=True)
class Tagged:
    """A sentence that went through: ``probabilities`` [T,C], and the top layer's way, ``backward`` None for D = 1.

    ``backward`` is in the order in which it went: its step k is timestep T − 1 − k.
    """

    probabilities: Array
    forward: Trajectory
    backward: Trajectory | None


def directions(weights: Weights) -> int:
    """D: the head reads the states of both directions, D·H numbers."""
    return int(weights["head.weight"].shape[1] // weights["recurrent.layers.0.weight_hh"].shape[1])


def tag(cell: str, weights: Weights, words: Array) -> Tagged:
    """Run the network over the words [T], T ≥ 1. Raises ``IndexError`` where a word is not in the vocabulary."""
    D = directions(weights)
    layers = sum(name.startswith("recurrent.layers.") and name.endswith("weight_hh") for name in weights)
    x = entered(weights, np.asarray(words)[:, None])[:, 0]
    forward: Trajectory
    backward: Trajectory | None = None
    for first in range(0, layers, D):
        forward = trail(cell, weights, f"recurrent.layers.{first}", x)
        states = [forward.h[:, 0]]
        if D == 2:
            backward = trail(cell, weights, f"recurrent.layers.{first + 1}", x[::-1])
            states.append(backward.h[::-1, 0])
        x = np.concatenate(states, axis=1)
    return Tagged(softmax(scores(weights, x)), forward, backward)


def heard(tagged: Tagged, weights: Weights, at: int, target: int) -> tuple[Array, Array | None]:
    """What the loss of the answer ``target`` at timestep ``at`` says to the states of either direction.

    ‖∂L/∂h→_t‖ [at + 1] for the timesteps 0 … at, and ‖∂L/∂h←_t‖ [T − at] for at … T − 1 (None for D = 1); with an
    LSTM's c in the norm. The other timesteps' states have no part in the answer: there the gradient is exactly 0.
    """
    H = tagged.forward.h.shape[2]
    arriving = answer_gradient(weights["head.weight"], tagged.probabilities[at], target)
    past, _ = back(tagged.forward, at, arriving[:H])
    if tagged.backward is None:
        return past, None
    future, _ = back(tagged.backward, tagged.backward.steps - 1 - at, arriving[H:])
    return past, future[::-1]
