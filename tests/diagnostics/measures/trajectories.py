"""Trajectories of real cells for the tests of Jacobians, and their Jacobians by autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.jacobian import GATES, Trajectory
from diagnostics.recurrence import reference

torch.set_num_threads(1)


def step_function(cell: str, parameters: list[Tensor], x: Tensor) -> Callable[[Tensor], Tensor]:
    """State [B,S] → next state [B,S] of a cell's plain autograd twin, at the input x [B,I]."""

    def step(state: Tensor) -> Tensor:
        H = parameters[1].shape[1]
        if cell == "lstm":
            _, (h, c), _ = reference.lstm(x[None], (state[:, :H], state[:, H:]), *parameters)
            return torch.cat((h, c), 1)
        if cell == "gru":
            return reference.gru(x[None], state, *parameters)[1]
        return reference.rnn(x[None], state, *parameters, cell)[1]

    return step


def problem(
    cell: str, T: int, B: int, H: int, seed: int = 0, scale: float = 1.0
) -> tuple[list[Tensor], Tensor, Tensor]:
    """(parameters, x [T,B,3], the state before the first step [B,S]), all random."""
    make = torch.Generator().manual_seed(seed)
    G = GATES[cell]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=make, dtype=torch.float64)

    parameters = [draw(G * H, 3), scale * draw(G * H, H) / H**0.5, 0.3 * draw(G * H), 0.3 * draw(G * H)]
    return parameters, draw(T, B, 3), 0.5 * draw(B, 2 * H if cell == "lstm" else H)


def trajectory(cell: str, parameters: list[Tensor], x: Tensor, state: Tensor) -> Trajectory:
    """The way of a cell through x, as the instrumented recurrences would give it."""
    H = parameters[1].shape[1]
    w_hh = parameters[1].numpy()
    if cell == "lstm":
        _, _, trace = reference.lstm(x, (state[:, :H], state[:, H:]), *parameters)
        gates = np.stack([trace.gates[name].numpy() for name in "ifgo"])
        h0, c0 = state[:, :H].numpy(), state[:, H:].numpy()
        return Trajectory(cell, w_hh, trace.h.numpy(), trace.c.numpy(), gates, h0=h0, c0=c0)
    if cell == "gru":
        _, _, trace = reference.gru(x, state, *parameters)
        gates = np.stack([trace.gates[name].numpy() for name in "rzn"])
        b_hn = parameters[3][2 * H :].numpy()
        return Trajectory(cell, w_hh, trace.h.numpy(), gates=gates, b_hn=b_hn, h0=state.numpy())
    _, _, trace = reference.rnn(x, state, *parameters, cell)
    return Trajectory(cell, w_hh, trace.h.numpy(), h0=state.numpy())


def linear(matrices: np.ndarray) -> Trajectory:
    """A stand-in whose Jacobians are ``matrices`` [T,B,S,S], whatever they are."""

    class Given(Trajectory):
        def at(self, t: int) -> np.ndarray:
            return matrices[t]

    T, B, S, _ = matrices.shape
    return Given("identity", np.eye(S), np.zeros((T, B, S)))


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]
