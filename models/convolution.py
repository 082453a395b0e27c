"""A one-dimensional convolutional network: the same weights slide over every few neighbouring positions.

It takes any length, and knows at every position what it has learned at one; what lies further apart than its window
never meets but in the pooling. Letters: T positions, B batch, I input size, H features, k window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diagnostics.recurrence import Lengths
from models.feedforward import once, stateless
from models.model import Model, Pass, head
from models.plan import Plan
from models.positions import mask, observed
from models.recurrent import State

WINDOW = 5
"""k, the neighbouring positions that one layer sees at once."""


class Slide(nn.Conv1d):
    """``torch.nn.Conv1d`` over a window of k with zeros around, so that the length stays; begins at zero, as a Head."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__(inputs, features, WINDOW, padding=WINDOW // 2)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Zeros, until ``models.initialise`` fills them."""
        self.weight.zero_()
        assert self.bias is not None
        self.bias.zero_()


class Convolution(Model):
    """f_t = ReLU(Σ_j W_j x_{t+j−k/2} + b), a layer or several, then [max_t f_t ; mean_t f_t] over a sentence's own
    positions, then the head, once.

    Beyond the end of a sentence everything is 0, as before its beginning; nothing there takes part in the maximum or
    the mean, and nothing there receives a gradient. ``layers`` has W [H,I,k] first, then [H,H,k].

    Raises ``ValueError`` where the plan asks for an answer at every step, and in ``forward`` where a state is handed
    on.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        once(plan, "convolutional")
        sizes = [plan.width] + [plan.hidden] * (plan.layers - 1)
        self.layers = nn.ModuleList(Slide(size, plan.hidden) for size in sizes)
        self.head = head(plan, 2 * plan.hidden)

    def forward(
        self,
        inputs: Tensor,
        *,
        lengths: Lengths = None,
        pictures: Tensor | None = None,
        keep_input_grad: bool = False,
        state: Sequence[State] | None = None,
    ) -> Pass:
        """As ``Model.forward``; a layer's trace has its features at each position, [T,B,H]."""
        stateless(state, "convolutional")
        x = self.read(inputs, keep_input_grad)
        told = None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64)
        beyond = mask(told, x)
        features = x if beyond is None else x.masked_fill(beyond, 0.0)
        traces = []
        for layer in self.layers:
            features, trace = observed(layer(features.permute(1, 2, 0)).relu().permute(2, 0, 1), told)
            traces.append(trace)
        return Pass(self.answered(pooled(features, told, beyond)), x, traces)


def pooled(features: Tensor, lengths: Tensor | None, beyond: Tensor | None) -> Tensor:
    """[max ; mean] over each sentence's own positions, [B,2·H], of features [T,B,H] that are 0 ``beyond`` its end."""
    if lengths is None or beyond is None:
        return torch.cat([features.amax(0), features.mean(0)], 1)
    largest = features.masked_fill(beyond, -math.inf).amax(0)
    return torch.cat([largest, features.sum(0) / lengths.to(features)[:, None]], 1)


MODEL = Convolution
