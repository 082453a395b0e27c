"""The itemised gradient: every answer's loss by itself, followed back to every timestep and layer.

L_τ is the loss of the answer at timestep τ. The recursion back through time is linear in what it starts from, so that
all τ go through one walk, as an axis beside the samples. Letters: L layers, T timesteps, B samples, H hidden size, G
gates, A answers.

Source: Cashman, Patterson, Mosca, Watts, Robinson, Chang, "RNNbow: visualizing learning via backpropagation gradients
in recurrent neural networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diagnostics.measures.jacobian import Progress, Trajectory
from diagnostics.records import Array

MOST_ANSWERS = 64
"""How many answers' losses are followed."""


def itemised_steps(steps: int, answers: Sequence[int], most: int = MOST_ANSWERS) -> Array:
    """The timesteps whose loss is taken by itself, rising, int64 [A], at most ``most``: all ``steps`` where they are no
    more, else the task's ``answers`` (at most half of ``most``, evenly) and others spread evenly over the sequence.
    """
    if steps < 1 or most < 1:
        raise ValueError(f"steps and most must be at least 1, but got {steps} and {most}")
    if steps <= most:
        return np.arange(steps, dtype=np.int64)
    wanted = np.unique(np.asarray(answers, dtype=np.int64))
    half = max(most // 2, 1)
    if len(wanted) > half:
        wanted = wanted[np.linspace(0, len(wanted) - 1, half).round().astype(int)]
    evenly = np.linspace(0, steps - 1, max(most - len(wanted), 0)).round().astype(np.int64)
    return np.union1d(wanted, evenly)


def itemised(
    paths: Sequence[Trajectory],
    w_ih: Sequence[Array],
    direct: Array,
    answer_steps: Sequence[int] | Array,
    progress: Progress | None = None,
) -> Array:
    """‖∂L_τ/∂s_k‖ per layer, answer, timestep and sample, [L,A,T,B]; 0 where k > τ.

    ``paths`` has each layer's trajectory, bottom first; ``w_ih`` their input weights [G·H,I] (the first is not read);
    ``direct`` [A,B,H] is ∂⁺L_τ/∂h_τ, the loss's own use of the top layer's state at τ, for the rising ``answer_steps``
    τ. The state s is h, and for an LSTM h and c together, each apart from the other's step, as in ``Trace.grad_c``.
    Samples are taken as ``direct`` has them: a mean over the batch is not undone.

    Raises ``ValueError`` where the answers do not rise within the trajectory.
    """
    answers = np.asarray(answer_steps, dtype=np.int64)
    T, B, H = paths[0].h.shape
    if not len(answers) or answers[0] < 0 or answers[-1] >= T or (np.diff(answers) < 1).any():
        raise ValueError(f"answer_steps must rise within 0 to {T - 1}, but got {answers.tolist()[:8]}")
    A = len(answers)
    found = np.zeros((len(paths), A, T, B))
    of_h = np.zeros((len(paths), A, B, H))
    of_c = np.zeros_like(of_h)
    backs = [_back(path) for path in paths]
    for t in range(int(answers[-1]), -1, -1):
        first = int(np.searchsorted(answers, t))  # answers before t hear nothing of it
        here = slice(first, None)
        from_above: Array | float = 0.0
        if answers[first] == t:
            of_h[-1, first] += direct[first]
        for layer in reversed(range(len(paths))):
            g_h, g_c = of_h[layer, here], of_c[layer, here]
            g_h += from_above
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                found[layer, here, t] = np.hypot(_lengths(g_h), _lengths(g_c))
                delta, of_h[layer, here], of_c[layer, here] = backs[layer](t, g_h, g_c)
                if layer:
                    from_above = delta @ w_ih[layer]
        if progress is not None:
            progress(1 - t / (int(answers[-1]) + 1))
    return found


def lag_profile(matrix: Array, answer_steps: Sequence[int] | Array) -> Array:
    """The mean of ``matrix`` [L,A,T] over the pairs (τ, k) that lie τ − k = lag steps apart, [L,T]; nan where no pair
    does. It makes tasks with many answers comparable with those that have one, whose profile by lag this is."""
    answers = np.asarray(answer_steps, dtype=np.int64)
    L, _, T = matrix.shape
    total, pairs = np.zeros((L, T)), np.zeros(T)
    for row, answer in enumerate(answers):
        total[:, : answer + 1] += matrix[:, row, answer::-1]
        pairs[: answer + 1] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, total / pairs, np.nan)


_Back = Callable[[int, Array, Array], tuple[Array, Array, Array]]
"""Timestep, ∂L/∂h_t and the direct path's ∂L/∂c_t [A,B,H] → δ of the inputs [A,B,G·H], and the same two at t−1."""


def _back(path: Trajectory) -> _Back:
    return {"gru": _gru, "lstm": _lstm}.get(path.cell, _simple)(path)


def _simple(path: Trajectory) -> _Back:
    """δ = φ′ ⊙ g;  g₋ = Wᵀ δ."""

    def back(t: int, g: Array, g_c: Array) -> tuple[Array, Array, Array]:
        h = path.h[t]
        if path.cell == "tanh":
            delta = g * (1 - h * h)
        elif path.cell == "sigmoid":
            delta = g * (h * (1 - h))
        else:
            delta = g * (h > 0) if path.cell == "relu" else g.copy()  # what g is a view of is written next
        return delta, delta @ path.w_hh, g_c

    return back


def _gru(path: Trajectory) -> _Back:
    """As in ``diagnostics.recurrence.gru``: the recurrent weights see δ_m = r ⊙ δ_n where the input's see δ_n."""
    H = path.h.shape[2]
    gates, u_n = path.gates, path.w_hh[2 * H :]
    assert gates is not None

    def back(t: int, g: Array, g_c: Array) -> tuple[Array, Array, Array]:
        r, z, n = gates[:, t]
        before = _before(path.h, path.h0, t)
        m = before @ u_n.T + (0.0 if path.b_hn is None else path.b_hn)
        of_n = g * ((1 - z) * (1 - n * n))
        of_rz = of_n * (m * r * (1 - r)), g * ((before - n) * z * (1 - z))
        recurrent = np.concatenate([*of_rz, of_n * r], axis=2)
        return np.concatenate([*of_rz, of_n], axis=2), g * z + recurrent @ path.w_hh, g_c

    return back


def _lstm(path: Trajectory) -> _Back:
    """As in ``diagnostics.recurrence.lstm``: ċ = g_c + o(1−tanh²c) ⊙ g_h, from which all but δ_o come."""
    cells, gates = path.c, path.gates
    assert cells is not None
    assert gates is not None

    def back(t: int, g_h: Array, g_c: Array) -> tuple[Array, Array, Array]:
        i, f, g, o = gates[:, t]
        before, squashed = _before(cells, path.c0, t), np.tanh(cells[t])
        of_c = g_c + g_h * (o * (1 - squashed * squashed))
        delta = np.concatenate(
            [
                of_c * (g * i * (1 - i)),
                of_c * (before * f * (1 - f)),
                of_c * (i * (1 - g * g)),
                g_h * (squashed * o * (1 - o)),
            ],
            axis=2,
        )
        return delta, delta @ path.w_hh, of_c * f

    return back


def _before(states: Array, initial: Array | None, t: int) -> Array:
    if t:
        return np.asarray(states[t - 1])
    return np.zeros_like(states[0]) if initial is None else initial


def _lengths(values: Array) -> Array:
    """‖values[a, b]‖ of [A,B,H] without squares that leave the range, [A,B]."""
    largest = np.abs(values).max(axis=2)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(np.sqrt(((values / scale[..., None]) ** 2).sum(axis=2)) * scale)
