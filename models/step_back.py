"""One timestep of a recurrent layer backward, in NumPy, from kept weights: the twin of ``models.inference.step``.

For pages, which never reach torch. Everything is computed in float64. Letters: B batch, I input size, H hidden size,
G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.cells import CELLS
from models.inference import Array, State, Weights, sigmoid

SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h**2,
    "sigmoid": lambda h: h * (1 - h),
    "relu": lambda h: (h > 0).astype(np.float64),
    "identity": np.ones_like,
}
"""φ′(a) as a function of h = φ(a)."""


def step_back(
    cell: str, weights: Weights, layer: int, x: Array, before: State, after: State, grad: State
) -> tuple[Array, State]:
    """The gradient with respect to the step's input [B,I] and to the state before it, from ``grad``, that of its state.

    ``x`` [B,I], ``before`` and ``after`` are what ``inference.step`` took and gave; ``grad`` is (∂L/∂h [B,H], and for
    an LSTM ∂L/∂c [B,H] by what follows). One sample may be given for many gradients (B = 1 there). Formulas: the
    chain rule on the equations in ``inference.step``. Raises ``KeyError`` where the cell or the layer is unknown.
    """
    kind = CELLS[cell].kind
    w_ih, w_hh, b_ih, b_hh = (
        np.asarray(weights[f"recurrent.layers.{layer}.{name}"], np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    (h_before, c_before), (h, c) = before, after
    grad_h, grad_c = grad
    with np.errstate(over="ignore", invalid="ignore"):  # what a diverged run kept is shown as it is
        if kind == "rnn":
            grad_a = grad_h * SLOPES[cell](h)
            return grad_a @ w_ih, (grad_a @ w_hh, None)
        from_x, from_h = x @ w_ih.T + b_ih, h_before @ w_hh.T + b_hh
        if kind == "lstm":
            assert c_before is not None
            assert c is not None
            grad_a, through = _lstm(from_x + from_h, c_before, c, grad_h, 0.0 if grad_c is None else grad_c)
            return grad_a @ w_ih, (grad_a @ w_hh, through)
        to_x, to_h, kept = _gru(from_x, from_h, h_before, grad_h)
        return to_x @ w_ih, (to_h @ w_hh + kept, None)


def _lstm(a: Array, c_before: Array, c: Array, grad_h: Array, grad_c: Array | float) -> tuple[Array, Array]:
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    squashed = np.tanh(c)
    of_c = grad_c + grad_h * o * (1 - squashed**2)
    return (
        np.concatenate(
            [
                of_c * g * i * (1 - i),
                of_c * c_before * f * (1 - f),
                of_c * i * (1 - g**2),
                grad_h * squashed * o * (1 - o),
            ],
            axis=1,
        ),
        of_c * f,
    )


def _gru(from_x: Array, from_h: Array, h_before: Array, grad_h: Array) -> tuple[Array, Array, Array]:
    """What goes to the two affine maps, [B,3H] each, and what the state before gets directly."""
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(from_x, 3, axis=1), np.split(from_h, 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * h_n)
    of_n = grad_h * (1 - z) * (1 - n**2)
    of_z = grad_h * (h_before - n) * z * (1 - z)
    of_r = of_n * h_n * r * (1 - r)
    return np.concatenate([of_r, of_z, of_n], 1), np.concatenate([of_r, of_z, of_n * r], 1), grad_h * z
