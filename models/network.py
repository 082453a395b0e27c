"""A recurrent network: words or numbers in, recurrent layers, a head that answers at the end or at every step.

Letters: T timesteps, B batch, I input size, H hidden size, D directions, V words, C outputs, F features of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diagnostics.recurrence import Lengths, Trace
from models.cells import CELLS
from models.model import Head, Model, Pass, at_last, head, looked_up
from models.plan import Plan
from models.recurrent import Recurrent, State
from models.traces import Directions

__all__ = ["Head", "Network", "Pass", "looked_up"]


class Initial(nn.Module):
    """The state before the first step, learned like a weight: ``h`` [L·D,H] and, for an LSTM, ``c``; zeros at first."""

    def __init__(self, stack: int, hidden: int, memory: bool) -> None:
        super().__init__()
        self.h = nn.Parameter(torch.zeros(stack, hidden))
        self.c = nn.Parameter(torch.zeros(stack, hidden)) if memory else None

    def forward(self, batch: int) -> list[State]:
        """What each layer and direction begins with, the same for every sample."""
        memories = [None] * len(self.h) if self.c is None else list(self.c)
        return [
            (h.expand(batch, -1), None if c is None else c.expand(batch, -1))
            for h, c in zip(self.h, memories, strict=True)
        ]


class Network(Model):
    """Input → recurrent layers, in one direction or two → head; from zeros, or from a learned ``initial`` state.

    Where there are pictures, each one's features v enter beside the input at the steps at which it is looked at:
    W_xh x_t + W_hh h_{t−1} + W_ih v, with [W_xh, W_ih] side by side in the lowest layer's ``weight_ih`` [G·H, I+F].
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
        bidirectional: bool = False,
        pictures: int = 0,
        looks: int = 0,
        softmax: str = "full",
        learned_initial: bool = False,
    ) -> None:
        plan = Plan(
            cell=cell,
            input_size=input_size,
            hidden=hidden,
            layers=layers,
            outputs=outputs,
            vocabulary=vocabulary,
            embedding=embedding,
            every_step=every_step,
            timesteps=0,  # the same weights at each step: their number does not matter
            bidirectional=bidirectional,
            pictures=pictures,
            looks=looks,
            softmax=softmax,
            learned_initial=learned_initial,
        )
        super().__init__(plan)
        width = plan.width
        self.pictures: nn.Module | None = None
        if pictures:
            from models.pictures import Pictures  # only the networks that look at something need it

            self.pictures = Pictures(pictures, looks)
            width += self.pictures.size
        self.recurrent = Recurrent(cell, width, hidden, layers, bidirectional)
        self.initial: Initial | None = None
        if learned_initial:
            self.initial = Initial(layers * self.recurrent.directions, hidden, CELLS[cell].kind == "lstm")
        self.head = head(plan, hidden * self.recurrent.directions)

    @classmethod
    def of(cls, plan: Plan) -> Network:
        """The network of a plan."""
        return cls(
            plan.cell,
            input_size=plan.input_size,
            hidden=plan.hidden,
            layers=plan.layers,
            outputs=plan.outputs,
            vocabulary=plan.vocabulary,
            embedding=plan.embedding,
            every_step=plan.every_step,
            bidirectional=plan.bidirectional,
            pictures=plan.pictures,
            looks=plan.looks,
            softmax=plan.softmax,
            learned_initial=plan.learned_initial,
        )

    def forward(
        self,
        inputs: Tensor,
        *,
        lengths: Lengths = None,
        pictures: Tensor | None = None,
        keep_input_grad: bool = False,
        state: Sequence[State] | None = None,
    ) -> Pass:
        """As ``Model.forward``. Many-to-one, two directions answer from [h→ of the last step ; h← of the first], each
        the one that has read all."""
        x = self.read(inputs, keep_input_grad)
        if state is None and self.initial is not None:
            state = self.initial(x.shape[1])
        states, traces = self.recurrent(self._with(x, pictures), lengths, state)
        if not self.every_step:
            states = self._final(states, lengths)
        return Pass(self.answered(states), x, self._by_layer(traces))

    def _with(self, x: Tensor, pictures: Tensor | None) -> Tensor:
        if self.pictures is None:
            return x
        return torch.cat([x, self.pictures(pictures, len(x))], 2)

    def _final(self, states: Tensor, lengths: Lengths) -> Tensor:
        if self.recurrent.directions == 1:
            return at_last(states, lengths)
        forward, backward = states.chunk(2, 2)
        return torch.cat([at_last(forward, lengths), backward[0]], 1)

    def _by_layer(self, traces: list[Trace]) -> list[Trace]:
        if self.recurrent.directions == 1:
            return traces
        return [Directions(traces[first : first + 2], traces[first].lengths) for first in range(0, len(traces), 2)]
