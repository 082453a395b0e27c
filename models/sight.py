"""A picture's features and back, in NumPy: the convolutions of ``models.pictures`` from kept weights, without torch.

Everything is computed in float64. Letters: N pictures (or gradients), P pixels of a side, M maps, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.inference import Array, Weights

GROUND, CONTRAST = 0.94, 3.0
"""What the convolutions read is CONTRAST · (GROUND − picture): the light ground is about zero."""
_OFFSETS = [(row, column) for row in range(3) for column in range(3)]


class Looked(NamedTuple):
    """A picture that was looked at: its features v [F], and what the way back needs of each convolution."""

    v: Array
    inputs: tuple[Array, ...]
    """What each convolution read, [M,P,P] of its own size."""
    chosen: tuple[Array, ...]
    """Which of the four places under each maximum it is, −1 where the ReLU gave 0."""


def convolutions(weights: Weights) -> int:
    """How many convolutions the weights hold; 0 where the network sees no pictures."""
    return sum(name.startswith("pictures.weight_") for name in weights)


def look(weights: Weights, picture: Array) -> Looked:
    """Look at one picture [3,P,P] of 0 … 1."""
    seen = CONTRAST * (GROUND - np.asarray(picture, np.float64))
    inputs, chosen = [], []
    for number in range(convolutions(weights)):
        inputs.append(seen)
        weight, bias = (np.asarray(weights[f"pictures.{name}_{number}"], np.float64) for name in ("weight", "bias"))
        a = _convolved(seen, weight) + bias[:, None, None]
        places = _under(np.maximum(a, 0))
        of = places.argmax(-1)
        seen = places.max(-1)
        chosen.append(np.where(seen > 0, of, -1))
    return Looked(seen.reshape(-1) * float(weights["pictures.scale"]), tuple(inputs), tuple(chosen))


def look_back(weights: Weights, looked: Looked, grad_v: Array) -> Array:
    """The gradient with respect to the picture, [N,3,P,P], from N gradients with respect to its features, [N,F]."""
    of = looked.chosen[-1].shape
    grad = np.asarray(grad_v, np.float64).reshape(-1, *of) * float(weights["pictures.scale"])
    for number in reversed(range(len(looked.inputs))):
        chosen = looked.chosen[number]
        # Of the four places under a maximum the one that was the largest hears all, and none where it was 0.
        spread = (chosen[..., None] == np.arange(4)) * grad[..., None]
        n, maps, rows, columns = grad.shape
        whole = spread.reshape(n, maps, rows, columns, 2, 2).swapaxes(3, 4).reshape(n, maps, 2 * rows, 2 * columns)
        grad = _convolved_back(whole, np.asarray(weights[f"pictures.weight_{number}"], np.float64))
    return -CONTRAST * grad


def _under(a: Array) -> Array:
    """The four places [M,P/2,P/2,4] under each maximum, row by row."""
    maps, rows, columns = a.shape
    return a.reshape(maps, rows // 2, 2, columns // 2, 2).swapaxes(2, 3).reshape(maps, rows // 2, columns // 2, 4)


def _convolved(seen: Array, weight: Array) -> Array:
    """3 × 3 convolution (as torch has it: no flip) of [M,P,P] with a border of zeros."""
    rows, columns = seen.shape[1:]
    wide = np.pad(seen, ((0, 0), (1, 1), (1, 1)))
    found = np.zeros((len(weight), rows, columns))
    for r, c in _OFFSETS:
        found += np.tensordot(weight[:, :, r, c], wide[:, r : r + rows, c : c + columns], 1)
    return found


def _convolved_back(grad: Array, weight: Array) -> Array:
    n, _, rows, columns = grad.shape
    wide = np.zeros((n, weight.shape[1], rows + 2, columns + 2))
    for r, c in _OFFSETS:
        wide[:, :, r : r + rows, c : c + columns] += np.einsum("mk,nmrc->nkrc", weight[:, :, r, c], grad, optimize=True)
    return wide[:, :, 1:-1, 1:-1]
