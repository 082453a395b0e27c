"""Small recurrences in float64 with a loss, for measures that are checked against autograd."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.jacobian import Trajectory
from diagnostics.recurrence import Trace
from models.recurrent import Recurrent

CELLS = ("tanh", "sigmoid", "relu", "identity", "gru", "lstm")


class Case(NamedTuple):
    recurrent: Recurrent
    x: Tensor
    output: Tensor
    traces: list[Trace]

    def path(self, layer: int) -> Trajectory:
        module, trace = self.recurrent.layers[layer], self.traces[layer]
        gates = [gate.numpy() for gate in trace.gates.values()]
        H = trace.h.shape[2]
        return Trajectory(
            module.cell.name,
            module.weight_hh.detach().numpy(),
            trace.h.numpy(),
            None if trace.c is None else trace.c.numpy(),
            np.stack(gates) if gates else None,
            module.bias_hh.detach().numpy()[2 * H :] if trace.kind == "gru" else None,
        )

    def gates(self, layer: int) -> np.ndarray | None:
        gates = list(self.traces[layer].gates.values())
        return np.stack([gate.numpy() for gate in gates]) if gates else None


def case(cell: str, T: int = 7, B: int = 3, H: int = 5, layers: int = 1, seed: int = 0, scale: float = 0.6) -> Case:
    generator = torch.Generator().manual_seed(seed)
    recurrent = Recurrent(cell, 4, H, layers).double()
    with torch.no_grad():
        for parameter in recurrent.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(T, B, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    output, traces = recurrent(x)
    return Case(recurrent, x, output, traces)
