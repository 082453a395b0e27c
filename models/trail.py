"""One layer's way through one sentence in NumPy, and the gradient of one answer's loss back along it.

For pages and reports, which never reach torch: a forward pass that keeps the gates, from the weights that a run kept,
and the recursion s̄_{t−1} = J_tᵀ s̄_t of the state gradient, with the Jacobians of ``diagnostics.measures.jacobian``.
Everything is computed in float64.

Letters: T timesteps, I input size, H hidden size, G gates, S state size (H; an LSTM's state is (h, c), h first: 2H).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from diagnostics.measures.jacobian import Trajectory
from models.cells import CELLS
from models.inference import ACTIVATIONS, Array, State, sigmoid


def trail(cell: str, weights: Mapping[str, Array], layer: str, x: Array, begin: State | None = None) -> Trajectory:
    """The layer's states along ``x`` [T,I], in the order of its rows, from ``begin`` ([1,H] each; None: zeros).

    ``layer`` is what the names of its weights begin with, as in ``recurrent.layers.0``. Source: the equations of
    ``diagnostics.recurrence``. Raises ``KeyError`` where the cell or the layer is unknown.
    """
    kind = CELLS[cell].kind
    w_ih, w_hh, b_ih, b_hh = (
        np.asarray(weights[f"{layer}.{name}"], dtype=np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    T, H = len(x), w_hh.shape[1]
    h0, c0 = (np.zeros((1, H)), np.zeros((1, H))) if begin is None else begin
    if c0 is None:
        c0 = np.zeros((1, H))
    states, cells, gates = np.zeros((T, H)), np.zeros((T, H)), np.zeros((len(w_hh) // H, T, H))
    h, c = h0[0], c0[0]
    with np.errstate(over="ignore", invalid="ignore"):  # what a diverged run kept is shown as it is
        for t, from_x in enumerate(x @ w_ih.T + b_ih):
            from_h = w_hh @ h + b_hh
            if kind == "gru":
                (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.reshape(3, H), from_h.reshape(3, H)
                r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
                n = np.tanh(x_n + r * h_n)
                h = (1 - z) * n + z * h
                gates[:, t] = r, z, n
            elif kind == "lstm":
                a_i, a_f, a_g, a_o = (from_x + from_h).reshape(4, H)
                i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
                c = f * c + i * g
                h = o * np.tanh(c)
                gates[:, t] = i, f, g, o
            else:
                h = ACTIVATIONS[cell](from_x + from_h)
            states[t], cells[t] = h, c
    return Trajectory(
        cell,
        w_hh,
        states[:, None],
        c=cells[:, None] if kind == "lstm" else None,
        gates=gates[:, :, None] if kind != "rnn" else None,
        b_hn=b_hh[-H:] if kind == "gru" else None,
        h0=h0,
        c0=c0 if kind == "lstm" else None,
    )


def end(path: Trajectory) -> State:
    """The state after the last step, [1,H] each, to go on from; the one before the first where there is no step."""
    if not path.steps:
        zeros = np.zeros(path.h.shape[1:])
        return zeros if path.h0 is None else path.h0, path.c0
    return path.h[-1], None if path.c is None else path.c[-1]


def back(path: Trajectory, at: int, arriving: Array) -> tuple[Array, Array]:
    """The norm of the state gradient after each step up to ``at``, [at + 1], and the gradient [S] with respect to the
    state before the first step.

    ``arriving`` is the gradient of the loss with respect to the state after step ``at``: [S], or [H] of h alone, where
    the loss does not see c. Nothing else of the loss comes in on the way: it is that of one answer.
    """
    gradient = np.zeros(path.size)
    gradient[: len(arriving)] = arriving
    norms = np.zeros(at + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(at, -1, -1):
            norms[t] = np.linalg.norm(gradient)
            gradient = gradient @ path.at(t)[0]
    return norms, gradient


def answer_gradient(head: Array, probabilities: Array, target: int) -> Array:
    """∂L/∂s of the cross-entropy L = −ln p[target] with respect to what the head [C,S] reads: Wᵀ(p − y), [S]."""
    wanted = np.zeros(len(probabilities))
    wanted[target] = 1.0
    return np.asarray((probabilities - wanted) @ np.asarray(head, dtype=np.float64))
