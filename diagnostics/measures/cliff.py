"""The cliff: the loss of a network of one unit that runs for T steps, its gradient, and descent on it.

    x_t = w σ(x_{t−1}) + b,  x_0 = ½,      E(w, b) = (σ(x_T) − 0.7)²

The gradient goes forward with the state, u_t = ∂x_t/∂w and v_t = ∂x_t/∂b:

    u_t = σ(x_{t−1}) + w σ′(x_{t−1}) u_{t−1},   v_t = 1 + w σ′(x_{t−1}) v_{t−1},   ∂E = 2 (σ(x_T) − 0.7) σ′(x_T) ∂x_T

On the line b = ½ − w σ(½) the state stays at ½, and with m = w σ′(½) the sum is closed, v_T = (m^T − 1)/(m − 1): where
|m| > 1 it grows with |m|^T, and there the wall stands. Wherever else the state is, a step multiplies a change of it by
w σ′(x), which is at most |w|/4.

Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, figure 6; drawn
again as figure 10.17 in Goodfellow, Bengio and Courville, "Deep Learning", 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from diagnostics.records import Array

TARGET = 0.7
FIRST_STATE = 0.5
LONGEST, MOST_STEPS = 100, 200
"""The largest unit length T and number of updates: what is computed while a person looks."""


def sigmoid(x: Array) -> Array:
    """σ(x), written so that no x overflows."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def wall(w: Array) -> Array:
    """The b at which the state stays at ½: where the wall stands, wherever |w σ′(½)| > 1."""
    return np.asarray(FIRST_STATE - w * sigmoid(np.asarray(FIRST_STATE)))


def growth_at_half(w: float) -> float:
    """m = w σ′(½): by how much a step multiplies a change of a state that stays at ½; a wall stands where |m| > 1."""
    return float(w * (s := sigmoid(np.asarray(FIRST_STATE))) * (1 - s))


def most_growth(w: float) -> float:
    """|w|/4: no step multiplies a change of the state by more, whatever the state; at the state 0 it is as much."""
    return abs(w) / 4


def loss(w: Array, b: Array, T: int) -> Array:
    """E for ``w`` and ``b`` of one shape, or of shapes that go together."""
    x = np.full(np.broadcast_shapes(np.shape(w), np.shape(b)), FIRST_STATE)
    for _ in range(T):
        x = w * sigmoid(x) + b
    return np.asarray((sigmoid(x) - TARGET) ** 2)


def loss_and_gradient(w: float, b: float, T: int) -> tuple[float, float, float]:
    """E, ∂E/∂w and ∂E/∂b at one place: on plain numbers, of which a descent needs thousands, one after the other."""
    x, u, v = FIRST_STATE, 0.0, 0.0
    for _ in range(T):
        s = 0.5 * (1.0 + math.tanh(0.5 * x))
        growth = w * s * (1 - s)
        x, u, v = w * s + b, s + growth * u, 1 + growth * v
    s = 0.5 * (1.0 + math.tanh(0.5 * x))
    outer = 2 * (s - TARGET) * s * (1 - s)
    off = s - TARGET
    return off * off, outer * u, outer * v


@dataclass(frozen=True)
class Descent:
    """Gradient descent from one start; arrays ``[updates + 1]``, the start first."""

    w: Array
    b: Array
    loss: Array
    norm: Array
    """Norm of the gradient at each place, before clipping."""
    threshold: float
    """Infinite where nothing is clipped."""

    @property
    def clipped(self) -> int:
        """How many of the updates were clipped."""
        return int(np.count_nonzero(self.norm[:-1] > self.threshold))

    @property
    def longest(self) -> tuple[int, float]:
        """The longest update, counted from 1, and its length."""
        lengths = np.hypot(np.diff(self.w), np.diff(self.b))
        return (int(np.argmax(lengths)) + 1, float(lengths.max())) if lengths.size else (0, 0.0)


def descend(w: float, b: float, *, step_size: float, threshold: float, T: int, updates: int) -> tuple[Descent, Descent]:
    """Descend from (w, b) twice: as the gradient says, and clipped by norm at ``threshold``.

    Raises ``ValueError`` where T is not 1 to 100, ``updates`` not 1 to 200, or another argument not finite or, for
    step size and threshold, not above 0.
    """
    for name, value, most in (("T", T, LONGEST), ("updates", updates, MOST_STEPS)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be from 1 to {most}, but got {value}")
    for name, number in (("step_size", step_size), ("threshold", threshold)):
        if not (np.isfinite(number) and number > 0):
            raise ValueError(f"{name} must be a finite number above 0, but got {number}")
    for name, number in (("w", w), ("b", b)):
        if not np.isfinite(number):
            raise ValueError(f"{name} must be a finite number, but got {number}")
    raw, clipped = (_descent(float(w), float(b), step_size, limit, T, updates) for limit in (math.inf, threshold))
    return raw, clipped


def _descent(w: float, b: float, step_size: float, threshold: float, T: int, updates: int) -> Descent:
    went = []
    for _ in range(updates + 1):
        E, dw, db = loss_and_gradient(w, b, T)
        norm = math.hypot(dw, db)
        went.append((w, b, E, norm))
        step = step_size * (threshold / norm if norm > threshold else 1.0)
        w, b = w - step * dw, b - step * db
    ws, bs, losses, norms = np.array(went).T
    return Descent(ws, bs, losses, norms, float(threshold))
