"""An encoder and a decoder: one recurrent stack reads, another goes on from its state and writes.

Sutskever, Vinyals and Le 2014, "Sequence to sequence learning with neural networks". Both are run as one sequence of
T = S + U timesteps, the first S of which the encoder reads. Letters: T timesteps, S of the source, U of what is
written, B batch, H hidden size, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diagnostics.recurrence import Lengths, Trace
from models.model import Model, Pass, head
from models.plan import Plan
from models.recurrent import Recurrent, State
from models.traces import Sequel


class EncoderDecoder(Model):
    """Words → encoder over the first ``bridge`` timesteps → its last state → decoder over the rest → head at each.

    Each of the decoder's layers begins with the state (h, and c of an LSTM) that the encoder's layer ends with: at
    each sample's last word, whatever padding follows it. Encoder and decoder share the table of words.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.bridge = plan.bridge
        self.encoder = Recurrent(plan.cell, plan.width, plan.hidden, plan.layers)
        self.decoder = Recurrent(plan.cell, plan.width, plan.hidden, plan.layers)
        self.head = head(plan, plan.hidden)

    def forward(
        self,
        inputs: Tensor,
        *,
        lengths: Lengths = None,
        pictures: Tensor | None = None,
        keep_input_grad: bool = False,
        state: Sequence[State] | None = None,
    ) -> Pass:
        """As ``Model.forward``; ``lengths`` are those of the source. ``outputs`` are 0 before the bridge, where nothing
        is answered; the traces go over both sides of it."""
        x = self.read(inputs, keep_input_grad)
        S = self.bridge
        _, handed, read = self.encoder.run(x[:S], lengths, state)
        states, _, written = self.decoder.run(x[S:], None, handed)
        answers = self.answered(states)
        outputs = torch.cat([answers.new_zeros(S, *answers.shape[1:]), answers])
        traces: list[Trace] = [Sequel(both) for both in zip(read, written, strict=True)]
        return Pass(outputs, x, traces)
