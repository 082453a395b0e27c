"""Traces of parts as the trace of a whole: two directions as one state, encoder and decoder as one sequence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diagnostics.recurrence import Trace
from diagnostics.recurrence.trace import StateGradients


class Joined(Trace):
    """A trace that is made of ``parts`` of one kind, each filled by a backward pass of its own.

    Reads like any other trace; what it holds of gradients is put together when it is asked for.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Trace], lengths: Tensor | None = None) -> None:
        first = parts[0]
        super().__init__(first.kind, lengths)
        self.parts = tuple(parts)
        self.h = self._join([part.h for part in parts])
        self.gates = {name: self._join([part.gates[name] for part in parts]) for name in first.gates}
        if first.c is not None:
            self.c = self._join([part.c for part in parts if part.c is not None])

    @abstractmethod
    def _join(self, values: list[Tensor]) -> Tensor: ...

    @abstractmethod
    def _join_gates(self, values: list[Tensor], gates: int) -> Tensor: ...

    def _latest(self, name: str) -> StateGradients:
        found = [part._latest(name) for part in self.parts]

        def joined(of: Callable[[StateGradients], Tensor | None]) -> list[Tensor]:
            return [value for value in map(of, found) if value is not None]

        cells = joined(lambda gradients: gradients.c)
        return StateGradients(
            self._join(joined(lambda gradients: gradients.h)),
            self._join(cells) if cells else None,
            self._join_gates(joined(lambda gradients: gradients.preactivation), max(1, len(self.gates))),
        )


class Directions(Joined):
    """Both directions of a layer as one state [T,B,2·H], the forward direction's units first."""

    __slots__ = ()

    def _join(self, values: list[Tensor]) -> Tensor:
        return torch.cat(values, 2)

    def _join_gates(self, values: list[Tensor], gates: int) -> Tensor:
        # Each gate's block has the units of both directions, as it has those of one.
        blocks = zip(*(value.chunk(gates, 2) for value in values), strict=True)
        return torch.cat([part for block in blocks for part in block], 2)


class Sequel(Joined):
    """An encoder's layer and the decoder's that goes on from its state, over the timesteps of both."""

    __slots__ = ()

    def _join(self, values: list[Tensor]) -> Tensor:
        return torch.cat(values)

    def _join_gates(self, values: list[Tensor], gates: int) -> Tensor:
        return torch.cat(values)
