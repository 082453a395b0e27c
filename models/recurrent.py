"""Recurrent layers as torch modules: torch.nn's parameters, our instrumented recurrences.

Letters: T timesteps, B batch, I input size, H hidden size, G gates, L layers, D directions (1 or 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diagnostics.recurrence import Lengths, Trace, gru, lstm, rnn
from models.cells import CELLS, Cell

State = tuple[Tensor, Tensor | None]
"""What a layer begins with: h [B,H], and for an LSTM c [B,H]."""


class Layer(nn.Module):
    """One recurrent layer in one direction: ``weight_ih`` [G·H,I], ``weight_hh`` [G·H,H], ``bias_ih`` and ``bias_hh``
    [G·H].

    Names, shapes and gate order are those of ``torch.nn.RNN``, ``GRU`` and ``LSTM`` without what they append: ``_l0``
    and the like for the layer, ``_reverse`` for the direction. The parameters are zero until ``models.initialise``
    fills them.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int, reverse: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.reverse = reverse
        rows = cell.gates * hidden
        self.weight_ih = nn.Parameter(torch.zeros(rows, input_size))
        self.weight_hh = nn.Parameter(torch.zeros(rows, hidden))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State, Trace]:
        """The states [T,B,H] for the input ``x`` [T,B,I] from ``state`` (None: zeros), the state that the layer ends
        with, and their trace.

        ``lengths`` [B], each in 1…T, says how many steps each sample has (None: all); at the others the states are 0.
        Where the layer is in reverse, it goes from each sample's last step to its first.
        """
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        h0 = None if state is None else state[0]
        final: State
        if self.cell.kind == "lstm":
            output, final, trace = lstm(x, state, *weights, lengths=lengths, reverse=self.reverse)
        elif self.cell.kind == "gru":
            output, h_n, trace = gru(x, h0, *weights, lengths=lengths, reverse=self.reverse)
            final = (h_n, None)
        else:
            nonlinearity = self.cell.name
            output, h_n, trace = rnn(x, h0, *weights, nonlinearity, lengths=lengths, reverse=self.reverse)
            final = (h_n, None)
        return output, final, trace


class Recurrent(nn.Module):
    """L recurrent layers of one cell, each reading the states of the one below; ``bidirectional``: in D = 2 directions.

    ``layers`` holds a ``Layer`` per layer and direction, bottom first and forward before reverse, so that the
    parameters come in the order of ``torch.nn``'s, one for one.

    Raises ``KeyError`` where ``cell`` is not in ``models.cells.CELLS``.
    """

    def __init__(self, cell: str, input_size: int, hidden: int, layers: int = 1, bidirectional: bool = False) -> None:
        super().__init__()
        directions = (False, True) if bidirectional else (False,)
        self.directions = len(directions)
        sizes = [input_size] + [hidden * self.directions] * (layers - 1)
        self.layers = nn.ModuleList(
            Layer(CELLS[cell], size, hidden, reverse) for size in sizes for reverse in directions
        )

    def forward(
        self, x: Tensor, lengths: Lengths = None, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[Trace]]:
        """The states of the top layer [T,B,D·H], the forward direction's first, for the input ``x`` [T,B,I], and a
        trace for each of ``layers``.

        ``lengths`` [B], each in 1…T, says how many steps each sample has (None: all); at the others the states are 0.
        ``state`` has what each of ``layers`` begins with; None for zeros.
        """
        output, _, traces = self.run(x, lengths, state)
        return output, traces

    def run(
        self, x: Tensor, lengths: Lengths = None, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State], list[Trace]]:
        """As ``forward``, with the state that each of ``layers`` ends with, at each sample's own last step."""
        begins = [None] * len(self.layers) if state is None else list(state)
        finals: list[State] = []
        traces: list[Trace] = []
        for first in range(0, len(self.layers), self.directions):
            here = slice(first, first + self.directions)
            passes = [layer(x, lengths, begin) for layer, begin in zip(self.layers[here], begins[here], strict=True)]
            outputs = [output for output, _, _ in passes]
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)
            finals += [final for _, final, _ in passes]
            traces += [trace for _, _, trace in passes]
        return x, finals, traces
