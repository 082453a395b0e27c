"""A whole network: words or numbers in, recurrent layers, a linear head that answers at the end or at every step.

Letters: T timesteps, B batch, I input size, H hidden size, V words, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.recurrence import Trace
from models.recurrent import Recurrent, State


@dataclass(frozen=True)
class Pass:
    """One forward pass: ``outputs`` [B,C] (or [T,B,C]), ``x`` [T,B,I] as the recurrence read it, a trace per layer."""

    outputs: Tensor
    x: Tensor
    traces: list[Trace]

    @property
    def carried(self) -> list[State]:
        """The state of each layer after the last step, detached: what a next pass may begin with."""
        return [(trace.h[-1], None if trace.c is None else trace.c[-1]) for trace in self.traces]


class Head(nn.Linear):
    """``torch.nn.Linear`` that begins at zero and asks nobody's random numbers.

    ``torch.nn.utils.skip_init`` would go through the meta device, which imports sympy: half a second of every start.
    """

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Zeros, until ``models.initialise`` fills them."""
        self.weight.zero_()
        self.bias.zero_()


class Network(nn.Module):
    """Input → recurrent layers → head.

    ``vocabulary`` is the number of words V, or 0 where the inputs are numbers; ``embedding`` the size of a word's
    learned embedding, or None for one-hot words; ``input_size`` I of one-hot words or numbers. ``every_step`` puts the
    head on every timestep instead of the last. Parameters are zero until ``models.initialise`` fills them.
    """

    def __init__(
        self,
        cell: str,
        *,
        input_size: int,
        hidden: int,
        layers: int,
        outputs: int,
        vocabulary: int,
        embedding: int | None,
        every_step: bool,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.every_step = every_step
        self.embedding: nn.Embedding | None = None
        if vocabulary and embedding is not None:
            self.embedding = nn.Embedding(vocabulary, embedding, _weight=torch.zeros(vocabulary, embedding))
            input_size = embedding
        self.recurrent = Recurrent(cell, input_size, hidden, layers)
        self.head = Head(hidden, outputs)

    def forward(self, inputs: Tensor, *, keep_input_grad: bool = False, state: Sequence[State] | None = None) -> Pass:
        """Run on int64 words [T,B], or numbers [T,B,I] of the parameters' dtype, from ``state`` (None: zeros).

        With ``keep_input_grad``, ``x.grad`` holds the gradient with respect to x after ``backward()``.
        """
        if self.embedding is not None:
            x = looked_up(self.embedding.weight, inputs)
            if keep_input_grad:
                x.retain_grad()
        else:
            x = functional.one_hot(inputs, self.vocabulary).to(self.head.weight.dtype) if self.vocabulary else inputs
            x.requires_grad_(keep_input_grad)
        states, traces = self.recurrent(x, state=state)
        return Pass(self.head(states if self.every_step else states[-1]), x, traces)


def looked_up(table: Tensor, words: Tensor) -> Tensor:
    """Rows of ``table`` [V,I] for ``words`` [T,B], as [T,B,I].

    On the CPU through ``index_select``: the same sums in the same order as ``functional.embedding``, whose gradient
    takes four times as long. Elsewhere that gradient is not the same from run to run, the embedding's own is.
    """
    if table.device.type != "cpu":
        return functional.embedding(words, table)
    return table.index_select(0, words.flatten()).view(*words.shape, table.shape[1])
