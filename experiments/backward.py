"""One batch through a network and its loss's gradient back: over the whole sequence, or truncated, chunk by chunk.

Truncated at K, the timesteps are taken in chunks of K, counted back from the end, so that the last chunk is whole and
the first is what is left. The state is carried from a chunk to the next and detached between them: the forward pass,
the loss and the number of updates (one per batch) are those of the whole sequence, while a loss's gradient reaches back
only to the beginning of its own chunk. Many-to-one, that is the last K timesteps; many-to-many, an answer in the middle
of a chunk hears of less than K. K ≥ T is the whole sequence, bit for bit.

What lies further back than a chunk can still be used where the state happens to hold it (a gate that begins open): the
last chunk learns to read the state that it is handed, but nobody learns to write it.

Letters: T timesteps, B batch, I input size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.measures.truncation import chunks
from diagnostics.recurrence import Lengths, Trace
from diagnostics.recurrence.trace import StateGradients
from models.model import Model, Pass
from tasks.base import UNASKED

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets → the mean over all answers that are asked."""


def mean_loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over all answers that are asked: for "mse" the squared error, else the cross-entropy in nats."""
    if kind == "mse":
        return functional.mse_loss(outputs.squeeze(-1), targets)
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), ignore_index=UNASKED)


class Backward:
    """A batch that went forward and back; what the network's parameters had in ``.grad`` is added to.

    ``inputs``, ``lengths`` and ``pictures`` as ``Model.forward`` takes them, ``targets`` as ``loss``; ``truncate`` is
    the chunk length K, None for T: for a plain recurrent network whose samples all have T timesteps.
    ``answer_step`` is the timestep of the answer that ``of_last_answer`` is about, None for T − 1.
    Without ``record`` only the last chunk is remembered, so that memory does not grow with T; what is to be read of the
    pass besides ``loss`` is then of that chunk alone.
    """

    def __init__(
        self,
        network: Model,
        inputs: Tensor,
        targets: Tensor,
        loss: Loss,
        truncate: int | None = None,
        *,
        record: bool = True,
        lengths: Lengths = None,
        pictures: Tensor | None = None,
        answer_step: int | None = None,
    ) -> None:
        self._many = network.every_step
        self._targets, self._loss = targets, loss
        T = len(inputs)
        self._answer_step = T - 1 if answer_step is None else answer_step
        self._answer: tuple[Pass, int] | None = None
        self._parts: list[Pass] = []
        self._heard: list[bool] = []
        """Whether the latest gradient came into each part."""
        losses: list[Tensor] = []
        carried = None
        for chunk in chunks(T, min(truncate or T, T)):
            last = chunk.stop == T
            # The others hold no answer: nothing of them need be remembered.
            heard = last if not self._many else chunk.stop - chunk.start == T or self._asked(chunk) > 0
            with torch.set_grad_enabled(heard):
                part = network(inputs[chunk], lengths=lengths, pictures=pictures, keep_input_grad=heard, state=carried)
            if heard:
                answers = self._many and chunk.start <= self._answer_step < chunk.stop
                losses.append(self._back(part, chunk, T, retain_graph=answers))
                if answers:
                    self._answer = part, self._answer_step - chunk.start
            if not record:
                self._parts, self._heard = [], []
            self._parts.append(part)
            self._heard.append(heard)
            carried = part.carried
        self.loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        """The loss that the gradient is of, detached."""

    def _back(self, part: Pass, chunk: slice, T: int, *, retain_graph: bool) -> Tensor:
        loss = self._loss(part.outputs, self._targets[chunk] if self._many else self._targets)
        if self._many and chunk.stop - chunk.start < T:
            loss = loss * (self._asked(chunk) / self._asked(slice(T)))  # the mean over the whole sequence's answers
        loss.backward(retain_graph=retain_graph)
        return loss.detach()

    def _asked(self, chunk: slice) -> int:
        """How many answers are asked in a chunk of timesteps."""
        return int((self._targets[chunk] != UNASKED).sum())

    @property
    def traces(self) -> list[Trace]:
        """A trace per layer over all T timesteps, with the latest gradient; exactly 0 where none came."""
        layers = zip(*(part.traces for part in self._parts), strict=True)
        return [_joined(list(traces), self._heard) for traces in layers]

    @property
    def outputs(self) -> Tensor:
        """What the network answered, [B,C] or [T,B,C], detached."""
        if self._many:
            return torch.cat([part.outputs.detach() for part in self._parts])
        return self._parts[-1].outputs.detach()

    @property
    def input_grad(self) -> Tensor:
        """The gradient of the whole loss with respect to the input of the recurrence, [T,B,I]."""
        return torch.cat([torch.zeros_like(part.x) if part.x.grad is None else part.x.grad for part in self._parts])

    def of_last_answer(self) -> None:
        """Have ``traces`` hold the gradient of the loss of the answer at ``answer_step`` alone, many-to-many: a mean
        over the samples that are asked there. No parameter's gradient changes."""
        assert self._answer is not None  # asked many-to-many only, of a step that is recorded
        part, step = self._answer
        own = self._loss(part.outputs[step], self._targets[self._answer_step])
        torch.autograd.grad(own, part.x)  # through every layer, and into nobody's .grad
        self._heard = [one is part for one in self._parts]


def _joined(traces: Sequence[Trace], heard: Sequence[bool]) -> Trace:
    """The traces of one layer's chunks as that of the whole; a chunk that was not ``heard`` has no gradient."""
    if len(traces) == 1:
        return traces[0]
    first = traces[0]
    whole = Trace(first.kind)
    whole.h = torch.cat([trace.h for trace in traces])
    whole.gates = {name: torch.cat([trace.gates[name] for trace in traces]) for name in first.gates}
    if first.c is not None:
        whole.c = torch.cat([trace.c for trace in traces if trace.c is not None])

    def gathered(name: str, width: int) -> Tensor:
        parts = [
            getattr(trace, name) if one else trace.h.new_zeros(*trace.h.shape[:2], width)
            for trace, one in zip(traces, heard, strict=True)
        ]
        return torch.cat(parts)

    H = first.h.shape[2]
    whole.record(
        StateGradients(
            gathered("grad_h", H),
            None if first.c is None else gathered("grad_c", H),
            gathered("grad_preactivation", H * max(1, len(first.gates))),
        )
    )
    return whole
