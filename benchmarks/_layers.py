"""One training step's forward and backward of recurrent layers, in the ways that the benchmarks compare."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from diagnostics.measures.norms import sample_norms
from diagnostics.measures.saturation import saturated
from diagnostics.recurrence import Trace, gru, lstm, rnn

Size = tuple[int, int, int, int]
"""T timesteps, B samples, I inputs, H hidden units."""

Way = Callable[[], None]


class Cell(NamedTuple):
    """A cell in its torch forms and ours. torch has no sigmoid and no identity: its tanh stands in."""

    layer: type[nn.RNN | nn.GRU | nn.LSTM]
    step: type[nn.RNNCell | nn.GRUCell | nn.LSTMCell]
    ours: Callable[..., Any]
    gates: int
    of_torch: Mapping[str, str]
    of_ours: Mapping[str, str]


def _simple(ours: str, torch_has: str = "tanh") -> Cell:
    return Cell(nn.RNN, nn.RNNCell, rnn, 1, {"nonlinearity": torch_has}, {"nonlinearity": ours})


CELLS: Mapping[str, Cell] = {
    "tanh": _simple("tanh"),
    "ReLU": _simple("relu", "relu"),
    "sigmoid": _simple("sigmoid"),
    "identity": _simple("identity"),
    "GRU": Cell(nn.GRU, nn.GRUCell, gru, 3, {}, {}),
    "LSTM": Cell(nn.LSTM, nn.LSTMCell, lstm, 4, {}, {}),
}


class Case:
    """Layers of one cell with torch's weights, an input [T,B,I] and the gradient [T,B,·] that arrives at the output.

    ``lengths`` gives every sample its own number of timesteps, half of T to T, in no order.
    """

    def __init__(
        self, cell: str, size: Size, *, layers: int = 1, bidirectional: bool = False, lengths: bool = False
    ) -> None:
        T, B, inputs, H = size
        self.size, self.cell = size, CELLS[cell]
        self.layer = self.cell.layer(inputs, H, layers, bidirectional=bidirectional, **self.cell.of_torch)
        self.x = torch.randn(T, B, inputs, requires_grad=True)
        self.arriving = torch.randn(T, B, H * (2 if bidirectional else 1))
        self.lengths = torch.randint((T + 1) // 2, T + 1, (B,)) if lengths else None
        if self.lengths is not None:
            self.lengths[B // 2] = T

    def torch_nn(self) -> None:
        """The layer that records nothing."""
        if self.lengths is None:
            output = self.layer(self.x)[0]
        else:
            packed = pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
            output, _ = pad_packed_sequence(self.layer(packed)[0], total_length=len(self.x))
        output.backward(self.arriving)

    def ours(self) -> list[Trace]:
        """Every timestep's states, gates and gradients, in a trace per layer and direction."""
        x, traces = self.x, []
        directions = (False, True) if self.layer.bidirectional else (False,)
        weights = iter(self.layer.all_weights)
        for _ in range(self.layer.num_layers):
            outputs = []
            for reverse in directions:
                output, *_, trace = self.cell.ours(
                    x, None, *next(weights), **self.cell.of_ours, lengths=self.lengths, reverse=reverse
                )
                outputs.append(output)
                traces.append(trace)
            x = torch.cat(outputs, 2) if len(outputs) > 1 else outputs[0]
        x.backward(self.arriving)
        assert all(trace.grad_h.shape == trace.h.shape for trace in traces)
        return traces

    def recorded(self) -> None:
        """Ours, and of every timestep the gradients' norms, sample by sample, and the share of saturated units."""
        for trace in self.ours():
            sample_norms(trace.grad_h)
            if trace.grad_c is not None:
                sample_norms(trace.grad_c)
            saturated(trace, self.cell.of_ours.get("nonlinearity", ""))

    def retain_grad(self) -> Way:
        """A loop of torch's cells, every state of which keeps its gradient."""
        _, _, inputs, H = self.size
        one = self.cell.step(inputs, H, **self.cell.of_torch)
        for mine, theirs in zip(one.parameters(), self.layer.parameters(), strict=True):
            mine.data.copy_(theirs.data)

        def run() -> None:
            one.zero_grad()
            state, outputs, kept = None, [], []
            for x_t in self.x.unbind(0):
                state = one(x_t, state)
                for part in state if isinstance(state, tuple) else (state,):
                    part.retain_grad()
                    kept.append(part)
                outputs.append(state[0] if isinstance(state, tuple) else state)
            torch.stack(outputs).backward(self.arriving)
            assert all(part.grad is not None for part in kept[:-1])

        return run

    def fresh(self, way: Callable[[], object]) -> Way:
        """The way, started without gradients, as a training step starts."""

        def run() -> None:
            self.x.grad = None
            self.layer.zero_grad()
            way()

        return run

    def flops(self) -> float:
        """Floating-point operations of the products of a step: one layer, one direction."""
        T, B, inputs, H = self.size
        return 6.0 * T * B * self.cell.gates * H * (inputs + H)

    def products(self) -> Way:
        """The products that any implementation has to do, into memory that is there, with nothing between them."""
        T, B, inputs, H = self.size
        K = self.cell.gates * H
        x, h, delta = torch.randn(T, B, inputs), torch.randn(T, B, H), torch.randn(T, B, K)
        w_ih, w_hh = torch.randn(K, inputs), torch.randn(K, H)
        a, g = torch.empty(T, B, K), torch.empty(T, B, H)

        def run() -> None:
            torch.mm(x.view(-1, inputs), w_ih.t(), out=a.view(-1, K))
            w_hh_t = w_hh.t().contiguous()
            for a_t, h_t in zip(a.unbind(0), h.unbind(0), strict=True):
                a_t.addmm_(h_t, w_hh_t)
            for g_t, delta_t in zip(g.unbind(0), delta.unbind(0), strict=True):
                g_t.addmm_(delta_t, w_hh)
            x.view(-1, inputs).t() @ delta.view(-1, K)  # a product with few columns is slow, one with few rows is not
            w_ih.t() @ delta.view(-1, K).t()
            delta.view(-1, K).t() @ h.view(-1, H)

        return run


def medians(ways: Mapping[str, Way], repeats: int, clock: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Median milliseconds per way. The ways alternate, so that what else the machine does meets them alike.

    With one thread the processor time of this process is its time on a quiet machine; more threads need another clock.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(2):
        for way in ways.values():
            way()
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, way in ways.items():
                begin = clock()
                way()
                taken[name].append((clock() - begin) * 1e3)
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in taken.items()}
