"""Recurrences by torch's own cells, sample by sample and step by step, in plain autograd: what ours must equal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.recurrent import Layer

Handed = dict[tuple[int, int], tuple[Tensor, ...]]
"""(timestep, sample) → the state that is handed on there, h and for an LSTM c, each [H], gradients retained."""


def walked(
    layer: Layer, x: Tensor, lengths: Sequence[int], begin: list[tuple[Tensor, ...]] | None = None
) -> tuple[Tensor, list[tuple[Tensor, ...]], Handed]:
    """One layer in its direction over each sample's own steps of ``x`` [T,B,I]: its states [T,B,H], 0 at padding, what
    each sample ends with, and every state that was handed on."""
    H = layer.weight_hh.shape[1]
    weights = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
    columns, finals, handed = [], [], {}
    for sample, length in enumerate(lengths):
        size = 2 if layer.cell.kind == "lstm" else 1
        state = (torch.zeros(H).to(x),) * size if begin is None else begin[sample]
        states = [torch.zeros(H).to(x)] * len(x)
        for t in range(length)[:: -1 if layer.reverse else 1]:
            given = x[t, sample][None]
            before = tuple(part[None] for part in state)
            if layer.cell.kind == "lstm":
                after = torch.lstm_cell(given, list(before), *weights)
            elif layer.cell.kind == "gru":
                after = (torch.gru_cell(given, *before, *weights),)
            elif layer.cell.name == "relu":
                after = (torch.rnn_relu_cell(given, *before, *weights),)
            else:
                after = (torch.rnn_tanh_cell(given, *before, *weights),)
            state = tuple(part[0].clone() for part in after)
            for part in state:
                part.retain_grad()
            handed[t, sample] = state
            states[t] = state[0]
        columns.append(torch.stack(states))
        finals.append(state)
    return torch.stack(columns, 1), finals, handed


def gradients(handed: Handed, T: int, B: int, part: int = 0) -> Tensor:
    """What came to part ``part`` of each state that was handed on, [T,B,H], 0 where none was or nothing came."""
    H = next(iter(handed.values()))[part].shape[0]
    found = torch.zeros(T, B, H, dtype=torch.float64)
    for (t, sample), state in handed.items():
        if (grad := state[part].grad) is not None:
            found[t, sample] = grad
    return found
