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
from diagnostics.recurrence import Trace
from diagnostics.recurrence.trace import StateGradients
from models.network import Network, Pass

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets → the mean over all answers."""


def mean_loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over all answers: for "mse" the squared error, else the cross-entropy in nats."""
    if kind == "mse":
        return functional.mse_loss(outputs.squeeze(-1), targets)
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


class Backward:
    """A batch that went forward and back; what the network's parameters had in ``.grad`` is added to.

    ``inputs`` and ``targets`` as ``Network`` and ``loss`` take them; ``truncate`` the chunk length K, None for T.
    Without ``record`` only the last chunk is remembered, so that memory does not grow with T; what is to be read of the
    pass besides ``loss`` is then of that chunk alone.
    """

    def __init__(
        self,
        network: Network,
        inputs: Tensor,
        targets: Tensor,
        loss: Loss,
        truncate: int | None = None,
        *,
        record: bool = True,
    ) -> None:
        self._many = network.every_step
        self._targets, self._loss = targets, loss
        T = len(inputs)
        self._parts: list[Pass] = []
        self._heard: list[bool] = []
        """Whether the latest gradient came into each part."""
        losses: list[Tensor] = []
        carried = None
        for chunk in chunks(T, min(truncate or T, T)):
            last = chunk.stop == T
            heard = self._many or last  # the others hold no answer: nothing of them need be remembered
            with torch.set_grad_enabled(heard):
                part = network(inputs[chunk], keep_input_grad=heard, state=carried)
            if heard:
                losses.append(self._back(part, chunk, T, retain_graph=self._many and last))
            if not record:
                self._parts, self._heard = [], []
            self._parts.append(part)
            self._heard.append(heard)
            carried = part.carried
        self.loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        """The loss that the gradient is of, detached."""

    def _back(self, part: Pass, chunk: slice, T: int, *, retain_graph: bool) -> Tensor:
        loss = self._loss(part.outputs, self._targets[chunk] if self._many else self._targets)
        steps = chunk.stop - chunk.start
        if self._many and steps < T:
            loss = loss * (steps / T)  # the mean over the whole sequence's answers
        loss.backward(retain_graph=retain_graph)
        return loss.detach()

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
        """Have ``traces`` hold the gradient of the last answer's loss alone, many-to-many; no parameter's changes."""
        last = self._parts[-1]
        own = self._loss(last.outputs[-1], self._targets[-1])
        torch.autograd.grad(own, last.x)  # through every layer, and into nobody's .grad
        self._heard = [part is last for part in self._parts]


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
