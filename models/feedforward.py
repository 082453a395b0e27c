"""A feed-forward network: all positions side by side, each with weights of its own.

It needs a fixed number of positions, so shorter sentences are filled up, and what it learns at one position it does not
know at the next. Letters: T positions, B batch, I input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from diagnostics.recurrence import Lengths
from models.model import Head, Model, Pass, head
from models.plan import Plan
from models.positions import observed
from models.recurrent import State


class FeedForward(Model):
    """a = ReLU(W [x_0; …; x_{T−1}] + b), then further such layers of H units, then the head, once.

    Where a sentence has ended, x_t is 0 and receives no gradient. ``layers`` has W [H,T·I] first, then [H,H].

    Raises ``ValueError`` where the plan asks for an answer at every step, and in ``forward`` where there are not
    exactly T positions or where a state is handed on.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        once(plan, "feed-forward")
        self.positions = plan.timesteps
        sizes = [plan.timesteps * plan.width] + [plan.hidden] * (plan.layers - 1)
        self.layers = nn.ModuleList(Head(size, plan.hidden) for size in sizes)
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
        """As ``Model.forward``; the trace's features are the inputs as they entered, [T,B,I]."""
        stateless(state, "feed-forward")
        if len(inputs) != self.positions:
            raise ValueError(
                f"inputs must have {self.positions} timesteps, one for each position, but got {len(inputs)}"
            )
        x = self.read(inputs, keep_input_grad)
        shown, trace = observed(x, lengths)
        features = shown.transpose(0, 1).flatten(1)  # [B,T·I]
        for layer in self.layers:
            features = layer(features).relu()
        return Pass(self.answered(features), x, [trace])


def once(plan: Plan, title: str) -> None:
    """Refuse a plan that asks for an answer at every step."""
    if plan.every_step:
        raise ValueError(f"every_step must be False for a {title} network, which answers once, but got True")


def stateless(state: object, title: str) -> None:
    """Refuse a state to begin with."""
    if state is not None:
        raise ValueError(f"state must be left out for a {title} network, which hands none on")


MODEL = FeedForward
