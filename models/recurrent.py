"""Recurrent layers as torch modules: torch.nn's parameters, our instrumented recurrences.

Letters: T timesteps, B batch, I input size, H hidden size, G gates, L layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diagnostics.recurrence import Trace, gru, lstm, rnn
from models.cells import CELLS, Cell


class Layer(nn.Module):
    """One recurrent layer: ``weight_ih`` [G·H,I], ``weight_hh`` [G·H,H], ``bias_ih`` and ``bias_hh`` [G·H].

    Names, shapes and gate order are those of layer 0 of ``torch.nn.RNN``, ``GRU`` and ``LSTM``. The parameters are
    zero until ``models.initialise`` fills them.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int) -> None:
        super().__init__()
        self.cell = cell
        rows = cell.gates * hidden
        self.weight_ih = nn.Parameter(torch.zeros(rows, input_size))
        self.weight_hh = nn.Parameter(torch.zeros(rows, hidden))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))

    def forward(self, x: Tensor) -> tuple[Tensor, Trace]:
        """The states [T,B,H] for the input ``x`` [T,B,I] from a zero state, and their trace."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if self.cell.kind == "lstm":
            output, _, trace = lstm(x, None, *weights)
        elif self.cell.kind == "gru":
            output, _, trace = gru(x, None, *weights)
        else:
            output, _, trace = rnn(x, None, *weights, nonlinearity=self.cell.name)
        return output, trace


class Recurrent(nn.Module):
    """L recurrent layers of one cell, each reading the states of the one below.

    Raises ``KeyError`` where ``cell`` is not in ``models.cells.CELLS``.
    """

    def __init__(self, cell: str, input_size: int, hidden: int, layers: int = 1) -> None:
        super().__init__()
        sizes = [input_size] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(Layer(CELLS[cell], size, hidden) for size in sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Trace]]:
        """The states of the top layer [T,B,H] for the input ``x`` [T,B,I], and one trace per layer, bottom first."""
        traces = []
        for layer in self.layers:
            x, trace = layer(x)
            traces.append(trace)
        return x, traces
