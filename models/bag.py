"""A bag of words: the sum of a sentence's embeddings under a linear head. It knows which words there are, in no order.

Letters: T timesteps, B batch, I input size, V words, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Function

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
        total: Tensor = _InOrder.apply(shown)
        return Pass(self.answered(total), x, [trace])

    def answered(self, features: Tensor) -> Tensor:
        """As ``Model.answered``, a linear head's products added up in their order."""
        if self.own_loss is not None:
            return features
        answers: Tensor = _ByNumber.apply(features, *(self.head.get_parameter(name) for name in ("weight", "bias")))
        return answers


class _InOrder(Function):
    """Σ_t x_t over the first axis of [T,B,I], one after the other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.steps = len(x)
        total = x[0].clone()
        for one in x[1:]:
            total += one
        return total

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        return arriving[0].expand(ctx.steps, *arriving[0].shape)


class _ByNumber(Function):
    """W x + b for x [B,I], W [C,I] and b [C], the products added up one after the other.

    Products and sums are separate operations: one that does both may round differently at the end of a batch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        answers = bias.repeat(len(x), 1)
        for number, column in zip(x.unbind(1), weight.unbind(1), strict=True):
            answers += number[:, None] * column
        return answers

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        (grad,) = arriving
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ x, grad.sum(0)


MODEL = Bag
