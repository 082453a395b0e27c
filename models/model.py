"""What every network is to those who train it: words or numbers in, answers and a trace per layer out.

Letters: T timesteps, B batch, I input size, H hidden size, V words, C outputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from diagnostics.recurrence import Lengths, Trace
from models.plan import Plan
from models.recurrent import State


@dataclass(frozen=True)
class Pass:
    """One forward pass: ``outputs`` of the head [B,C] (or [T,B,C]), ``x`` [T,B,I] as it was read, a trace per layer.

    Where the head has a loss of its own, ``outputs`` are the features [B,H] (or [T,B,H]) that it takes that loss from.
    """

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


class OwnLoss(Protocol):
    """A head that is trained by a loss of its own: a softmax over many words that is never written out in full."""

    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``, and from it whatever is drawn later."""

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean training loss in nats of features [N,H] for targets int64 [N], none of them ``UNASKED``."""
        ...

    def log_probabilities(self, features: Tensor) -> Tensor:
        """The logarithm of each word's probability [N,C] for features [N,H]; normalised as far as the head is."""
        ...


class Model(nn.Module):
    """Words or numbers in, a head that answers at the end or at every step. Every kind of network derives from it.

    A kind builds what lies between ``read`` and ``answered`` from its ``Plan``, and in ``forward`` hands back a trace
    per layer. Parameters are zero until ``models.initialise`` fills them: in the order of ``named_parameters``, the
    embedding N(0, 1), each ``Layer`` as ``init`` says, any other module U(−1/√fan-in, 1/√fan-in).
    """

    head: nn.Module

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.vocabulary = plan.vocabulary
        self.every_step = plan.every_step
        self.embedding: nn.Embedding | None = None
        if plan.vocabulary and plan.embedding is not None:
            table = torch.zeros(plan.vocabulary, plan.embedding)
            self.embedding = nn.Embedding(plan.vocabulary, plan.embedding, _weight=table)

    @abstractmethod
    def forward(
        self,
        inputs: Tensor,
        *,
        lengths: Lengths = None,
        pictures: Tensor | None = None,
        keep_input_grad: bool = False,
        state: Sequence[State] | None = None,
    ) -> Pass:
        """Run on int64 words [T,B], or numbers [T,B,I] of the parameters' dtype.

        ``lengths`` [B] says how many steps of each sample are not padding (None: all); ``pictures`` [B,3,P,P] what each
        is about; ``state`` what each recurrent layer begins with (None: zeros). With ``keep_input_grad``, ``x.grad``
        holds the gradient with respect to x after ``backward()``.
        """

    @property
    def own_loss(self) -> OwnLoss | None:
        """The head where it is trained by a loss of its own, else None."""
        return cast(OwnLoss, self.head) if hasattr(self.head, "log_probabilities") else None

    def read(self, inputs: Tensor, keep_input_grad: bool = False) -> Tensor:
        """The inputs as they enter, [T,B,I]: looked up, one-hot, or the numbers themselves."""
        if self.embedding is not None:
            x = looked_up(self.embedding.weight, inputs)
            if keep_input_grad:
                x.retain_grad()
        else:
            x = functional.one_hot(inputs, self.vocabulary).to(_dtype(self.head)) if self.vocabulary else inputs
            x.requires_grad_(keep_input_grad)
        return x

    def answered(self, features: Tensor) -> Tensor:
        """What ``Pass.outputs`` is for the features [B,H] (or [T,B,H]) that the head reads."""
        if self.own_loss is not None:
            return features
        answers: Tensor = self.head(features)
        return answers

    def loss(self, mean_loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that is trained, a mean over all answers that are asked: ``mean_loss`` of ``outputs`` and
        ``targets``, or the head's own."""
        own = self.own_loss
        if own is None:
            return mean_loss(outputs, targets)
        asked = targets.flatten() >= 0
        return own.loss(outputs.flatten(0, -2)[asked], targets.flatten()[asked])

    def answers(self, outputs: Tensor) -> Tensor:
        """What the network answers, [B,C] or [T,B,C]: ``outputs``, or the logarithms of the head's probabilities."""
        own = self.own_loss
        if own is None:
            return outputs
        flat = own.log_probabilities(outputs.flatten(0, -2))
        return flat.view(*outputs.shape[:-1], flat.shape[-1])


def head(plan: Plan, size: int) -> nn.Module:
    """The head of a network whose features have ``size`` numbers."""
    if plan.softmax == "full":
        return Head(size, plan.outputs)
    from models.softmax import head as over_many_words  # only the networks over many words need it

    return over_many_words(plan.softmax, size, plan.outputs)


def looked_up(table: Tensor, words: Tensor) -> Tensor:
    """Rows of ``table`` [V,I] for ``words`` [T,B], as [T,B,I].

    On the CPU through ``index_select``: the same sums in the same order as ``functional.embedding``, whose gradient
    takes four times as long. Elsewhere that gradient is not the same from run to run, the embedding's own is.
    """
    if table.device.type != "cpu":
        return functional.embedding(words, table)
    return table.index_select(0, words.flatten()).view(*words.shape, table.shape[1])


def at_last(features: Tensor, lengths: Lengths) -> Tensor:
    """The features [T,B,H] of each sample's last step that is not padding, [B,H]."""
    if lengths is None:
        return features[-1]
    last = torch.as_tensor(lengths, dtype=torch.int64, device=features.device) - 1
    return features[last, torch.arange(features.shape[1], device=features.device)]


def _dtype(module: nn.Module) -> Any:
    return next(module.parameters()).dtype
