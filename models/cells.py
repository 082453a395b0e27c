"""The recurrent cells that can be chosen: one literal table, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """A recurrent cell as a person chooses it.

    ``kind`` is the function of ``diagnostics.recurrence`` that runs it (``rnn`` with ``nonlinearity`` = the cell's
    name, ``gru``, or ``lstm``); ``gates`` is the number G of row blocks of its weights, ``[G·H, ·]``;
    ``memory_gate`` is the gate that a gate bias opens, or None where there is none to open.
    """

    name: str
    title: str
    kind: Literal["rnn", "gru", "lstm"]
    gates: int
    memory_gate: str | None
    meaning: str


CELLS: Mapping[str, Cell] = {
    cell.name: cell
    for cell in (
        Cell("tanh", "tanh", "rnn", 1, None, "h = tanh(W h + U x + b), the plain recurrent network"),
        Cell("sigmoid", "sigmoid", "rnn", 1, None, "h = σ(W h + U x + b); a slope of at most ¼: gradients fade fast"),
        Cell("relu", "ReLU", "rnn", 1, None, "h = max(0, W h + U x + b); no upper limit: much explodes, units die"),
        Cell("identity", "identity", "rnn", 1, None, "h = W h + U x + b, linear; the closed forms hold exactly"),
        Cell("gru", "GRU", "gru", 3, "update", "a gated state: h = (1 − z) n + z h, with update gate z"),
        Cell("lstm", "LSTM", "lstm", 4, "forget", "a gated memory: c = f c + i g, with forget gate f"),
    )
}
