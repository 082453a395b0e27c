"""Jacobians of a recurrence along the states that it went through, and their singular values, one step and many.

Letters: T timesteps, B samples, H hidden size, G gates, S state size (H; an LSTM's state is (h, c), h first: S = 2H).
s_t is the state after step t, and J_t = ∂s_t/∂s_{t−1}, at a fixed input; ``products.py`` is about J_t J_{t−1} ….
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diagnostics.records import Array

GATES = {"tanh": 1, "sigmoid": 1, "relu": 1, "identity": 1, "gru": 3, "lstm": 4}
"""The cells that there are formulas for, by name, with their number of row blocks of W_hh."""
MOST_STEPS = 64
"""How many timesteps' singular values are looked at."""

_SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "sigmoid": lambda h: h * (1 - h),
    "relu": lambda h: np.where(np.isnan(h), np.nan, h > 0),
    "identity": np.ones_like,
}
"""φ′ from h = φ(a)."""
Progress = Callable[[float], None]
"""Is told the share that is done, 0 to 1; what it raises ends the computation."""


@dataclass(frozen=True)
class Trajectory:
    """One layer's way through its states, in float64: all that its Jacobians are made of.

    ``cell`` a name of ``GATES``; ``w_hh`` [G·H,H], gate blocks in torch's order; ``h`` [T,B,H], the states after each
    step; ``c`` [T,B,H] for an LSTM; ``gates`` [G,T,B,H] after their nonlinearity (GRU r, z, n; LSTM i, f, g, o), None
    for simple cells; ``b_hn`` [H], the last block of b_hh, for a GRU (None: zeros); ``h0`` and ``c0`` [B,H], the states
    before the first step (None: zeros).

    Raises ``ValueError`` where an array is missing or has another shape.
    """

    cell: str
    w_hh: Array
    h: Array
    c: Array | None = None
    gates: Array | None = None
    b_hn: Array | None = None
    h0: Array | None = None
    c0: Array | None = None

    def __post_init__(self) -> None:
        if self.cell not in GATES:
            raise ValueError(f"cell must be one of {', '.join(GATES)}, but got {self.cell!r}")
        if np.ndim(self.h) != 3:
            raise ValueError(f"h must have the shape [T,B,H], but got {np.shape(self.h)}")
        (T, B, H), G = np.shape(self.h), GATES[self.cell]
        gated, lstm = G > 1, self.cell == "lstm"
        shapes = {
            "w_hh": ((G * H, H), True),
            "c": ((T, B, H), lstm),
            "gates": ((G, T, B, H), gated),
            "b_hn": ((H,), False),
            "h0": ((B, H), False),
            "c0": ((B, H), False),
        }
        for name, (shape, needed) in shapes.items():
            value = getattr(self, name)
            if value is None and needed:
                raise ValueError(f"{name} must be given for the cell {self.cell}")
            if value is not None and np.shape(value) != shape:
                raise ValueError(f"{name} must have the shape {shape}, but got {np.shape(value)}")
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, dtype=np.float64))
        object.__setattr__(self, "h", np.asarray(self.h, dtype=np.float64))

    @property
    def steps(self) -> int:
        """T."""
        return int(self.h.shape[0])

    @property
    def samples(self) -> int:
        """B."""
        return int(self.h.shape[1])

    @property
    def size(self) -> int:
        """S, the size of the whole state."""
        return int(self.h.shape[2]) * (2 if self.cell == "lstm" else 1)

    def at(self, t: int) -> Array:
        """J_t = ∂s_t/∂s_{t−1} of every sample, [B,S,S]; at t = 0 with respect to the state before the first step.

        Raises ``ValueError`` where there is no step t.

        Source: the chain rule on the cells' equations (``diagnostics.recurrence``); the GRU is torch's, in which the
        reset gate multiplies the recurrent part of the candidate.
        """
        if not 0 <= t < self.steps:
            raise ValueError(f"t must be a timestep from 0 to {self.steps - 1}, but got {t}")
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            return {"gru": self._gru, "lstm": self._lstm}.get(self.cell, self._simple)(t)

    def _before(self, states: Array, initial: Array | None, t: int) -> Array:
        if t == 0:
            return np.zeros_like(states[0]) if initial is None else initial
        return np.asarray(states[t - 1])

    def _simple(self, t: int) -> Array:
        """J = D(φ′) W, with φ′ from h alone: 1−h², h(1−h), 1[h>0], 1."""
        h = self.h[t]
        return _rows(_SLOPES[self.cell](h), self.w_hh)

    def _gru(self, t: int) -> Array:
        """J = D(z) + D((h₋−n) z(1−z)) U_z + D((1−z)(1−n²)) [D(r) U_n + D(m r(1−r)) U_r], m = U_n h₋ + b_hn."""
        assert self.gates is not None
        H = self.h.shape[2]
        u_r, u_z, u_n = self.w_hh.reshape(3, H, H)
        r, z, n = self.gates[:, t]
        before = self._before(self.h, self.h0, t)
        m = before @ u_n.T + (0.0 if self.b_hn is None else self.b_hn)
        candidate = (1 - z) * (1 - n * n)
        J = _rows((before - n) * z * (1 - z), u_z)
        J += _rows(candidate * r, u_n)
        J += _rows(candidate * m * r * (1 - r), u_r)
        _diagonal(J)[...] += z
        return J

    def _lstm(self, t: int) -> Array:
        """∂c/∂c₋ = D(f); A = ∂c/∂h₋ = D(c₋ f(1−f)) U_f + D(g i(1−i)) U_i + D(i(1−g²)) U_g; K = D(o(1−tanh²c));
        ∂h/∂h₋ = K A + D(tanh c · o(1−o)) U_o; ∂h/∂c₋ = K D(f)."""
        assert self.gates is not None
        assert self.c is not None
        B, H = self.h.shape[1:]
        u_i, u_f, u_g, u_o = self.w_hh.reshape(4, H, H)
        i, f, g, o = self.gates[:, t]
        before, squashed = self._before(self.c, self.c0, t), np.tanh(self.c[t])
        J = np.zeros((B, 2 * H, 2 * H))
        A = J[:, H:, :H]
        A += _rows(before * f * (1 - f), u_f)
        A += _rows(g * i * (1 - i), u_i)
        A += _rows(i * (1 - g * g), u_g)
        K = o * (1 - squashed * squashed)
        J[:, :H, :H] = K[:, :, None] * A + _rows(squashed * o * (1 - o), u_o)
        _diagonal(J[:, :H, H:])[...] = K * f
        _diagonal(J[:, H:, H:])[...] = f
        return J


def inspected_steps(steps: int, most: int = MOST_STEPS) -> Array:
    """The timesteps whose Jacobians are looked at, int64 [J]: all from 1 on, or ``most`` of them spread evenly.

    Step 0 is left out (where there is another): its Jacobian is with respect to a state that nothing was put into.
    Raises ``ValueError`` where there is no step.
    """
    if steps < 1 or most < 1:
        raise ValueError(f"steps and most must be at least 1, but got {steps} and {most}")
    first = min(1, steps - 1)
    return np.unique(np.linspace(first, steps - 1, min(most, steps - first)).round().astype(np.int64))


def singular_values(path: Trajectory, steps: Sequence[int] | Array, progress: Progress | None = None) -> Array:
    """Singular values of J_t at ``steps``, descending, [J,B,S]; nan where a sample's J_t is not finite.

    Exactly 0 where one is 0 to rounding: at most S · 2⁻⁵² of the largest, below which LAPACK knows none.
    """
    found = np.empty((len(steps), path.samples, path.size))
    for j, t in enumerate(steps):
        found[j] = _singular_values(path.at(int(t)))
        if progress is not None:
            progress((j + 1) / len(steps))
    return found


def _singular_values(matrices: Array) -> Array:
    """[B,S] of [B,S,S]; LAPACK refuses what is not finite, so that is kept from it."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    found = np.full(matrices.shape[:2], np.nan)
    if finite.any():
        sizes = np.linalg.svd(matrices[finite], compute_uv=False)
        found[finite] = np.where(sizes <= lost(sizes[:, :1], sizes.shape[1]), 0.0, sizes)
    return found


def lost(largest: Array, size: int) -> Array:
    """The size at or below which a singular value of an S × S matrix with this ``largest`` one is 0 to rounding."""
    return np.asarray(size * np.finfo(np.float64).eps * largest)


def _rows(scale: Array, matrix: Array) -> Array:
    """D(scale) · matrix for every sample: [B,H] and [H,H] make [B,H,H]."""
    return np.asarray(scale[:, :, None] * matrix)


def _diagonal(matrices: Array) -> Array:
    """A view of the diagonals, [B,S] of [B,S,S], that can be written to."""
    return np.asarray(np.einsum("bii->bi", matrices))
