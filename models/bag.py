"""A bag of words: the sum of a sentence's embeddings under a linear head. It knows which words there are, in no order.

Letters: T timesteps, B batch, I input size, V words, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from diagnostics.recurrence import Lengths
from models.feedforward import once, stateless
from models.model import Model, Pass, head
from models.plan import Plan
from models.positions import observed
from models.recurrent import State


class Bag(Model):
    """y = W Σ_t x_t + b, over the words of a sentence that are not padding.

    Two sentences of the same words have the same outputs to the last bit, whatever their order: each one's words are
    added up in the order of the vocabulary, number by number, and the head multiplies and adds number by number too.
    Sums that a library cuts into pieces may round otherwise for one sample than for the next.

    Raises ``ValueError`` where the plan asks for an answer at every step, and in ``forward`` where a state is handed
    on.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        once(plan, "bag-of-words")
        self.head = head(plan, plan.width)

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
        stateless(state, "bag-of-words")
        x = self.read(inputs, keep_input_grad)
        shown, trace = observed(x, lengths)
        if self.vocabulary:
            order = inputs.argsort(0)
            shown = shown.gather(0, order.unsqueeze(-1).expand_as(shown))
        first, *others = shown.unbind(0)
        total = first
        for one in others:
            total = total + one
        return Pass(self.answered(total), x, [trace])

    def answered(self, features: Tensor) -> Tensor:
        """As ``Model.answered``, a linear head's products added up in their order."""
        if self.own_loss is not None:
            return features
        weight, bias = self.head.get_parameter("weight"), self.head.get_parameter("bias")
        answers = bias.expand(len(features), -1)
        for number, column in zip(features.unbind(1), weight.unbind(1), strict=True):
            answers = answers + number[:, None] * column
        return answers


MODEL = Bag
