"""Samples of different lengths in line for a walk, longest first, and back in the order in which they were given.

Legend: T timesteps, B batch; K anything. Where every sample has all T steps nobody moves and nothing is copied.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from diagnostics.recurrence.walk import Walk


class Lineup:
    """Puts tensors in line for ``walk`` and takes them back. "In line" means samples in descending order of length.

    ``x`` is [T,B,I], ``lengths`` None or int64 [B] on the CPU, each in 1…T.
    """

    def __init__(self, x: Tensor, lengths: Tensor | None, reverse: bool) -> None:
        T, B = x.shape[:2]
        self._order: Tensor | None = None
        if lengths is None or bool((lengths == T).all()):
            self.walk = Walk(None, reverse)
            return
        order = lengths.argsort(descending=True, stable=True)
        place, in_line, steps = order.argsort(), lengths[order], torch.arange(T)[:, None]
        sizes = (lengths > steps).sum(1)
        self.walk = Walk(np.ascontiguousarray(sizes.numpy(), dtype=np.int64), reverse)
        self._order, self._place = order.to(x.device), place.to(x.device)
        self._sample, self._lengths = torch.arange(B, device=x.device), in_line.to(x.device)
        self._into = _Rows((steps * B + order).to(x.device), (in_line <= steps).to(x.device))
        self._back = _Rows((steps * B + place).to(x.device), (lengths <= steps).to(x.device))

    def steps(self, rows: Tensor) -> Tensor:
        """[T,B,K] as given → in line and contiguous, zeros at padding whatever there was."""
        return rows.contiguous() if self._order is None else self._into.taken(rows)

    def steps_back(self, rows: Tensor) -> Tensor:
        """[T,B,K] in line → as given, zeros at padding whatever there was."""
        return rows if self._order is None else self._back.taken(rows)

    def states(self, x: Tensor, first: Tensor | None, H: int) -> Tensor:
        """Room for the states in line, [T+1,B,H]: the ``first`` [B,H] as given (None: zeros), zeros at padding."""
        shape = x.shape[0] + 1, x.shape[1], H
        states = x.new_empty(shape) if self._order is None else x.new_zeros(shape)
        row = self._row(first=True)
        if first is None:
            states[row] = 0
        else:
            states[row] = first if self._order is None else first.index_select(0, self._order)
        return states

    def room(self, x: Tensor, K: int) -> Tensor:
        """Room for what a walk writes at each step, [T,B,K]: zeros where there is padding, which it leaves alone."""
        shape = *x.shape[:2], K
        return x.new_empty(shape) if self._order is None else x.new_zeros(shape)

    def arriving(self, states: Tensor, of_output: Tensor | None, of_last: Tensor | None) -> Tensor:
        """The loss's own use of each of the ``states`` [T+1,B,H] as a fresh tensor in line, zero at the first state.

        ``of_output`` [T,B,H] and ``of_last`` [B,H], as given, are the gradients that autograd hands in, None where the
        loss does not use the output or the final state.
        """
        if of_output is None:
            gradient = torch.zeros_like(states)
        else:
            gradient = torch.empty_like(states)
            gradient[-1 if self.walk.reverse else 0].zero_()
            gradient[self.walk.after].copy_(self.steps(of_output) if self._order is not None else of_output)
        if of_last is not None:
            if self._order is None:
                gradient[self._row(first=False)].add_(of_last)
            else:
                gradient[self._row(first=False)] += of_last.index_select(0, self._order)
        return gradient

    def first(self, states: Tensor) -> Tensor:
        """The rows of each sample before its first step, [T+1,B,H] in line → [B,H] as given, a tensor of its own."""
        return self._end(states, first=True)

    def last(self, states: Tensor) -> Tensor:
        """The rows of each sample after its last step, [T+1,B,H] in line → [B,H] as given, a tensor of its own."""
        return self._end(states, first=False)

    def each(self, states: Tensor) -> Tensor:
        """The rows after each step, [T+1,B,H] in line → [T,B,H] as given, zeros at padding."""
        return self.steps_back(states[self.walk.after])

    def steps_before(self, states: Tensor) -> Tensor:
        """The rows before each step, [T+1,B,H] → [T,B,H], both in line, zeros at padding.

        Walked forward, what lies there otherwise is the final state, which the first step of the padding would read.
        """
        rows = states[self.walk.before]
        if self._order is None or self.walk.reverse:
            return rows
        over = self._lengths < len(rows)
        rows = rows.clone()
        rows[self._lengths[over], self._sample[over]] = 0
        return rows

    def _end(self, states: Tensor, *, first: bool) -> Tensor:
        row = states[self._row(first=first)]
        return row.clone() if self._order is None else row.index_select(0, self._place)

    def _row(self, *, first: bool) -> int | tuple[Tensor, Tensor]:
        """Where in [T+1,B,H] in line each sample's state before its first step, or after its last, lies."""
        if first is not self.walk.reverse:
            return 0
        return -1 if self._order is None else (self._lengths, self._sample)


class _Rows:
    """``rows`` [T,B] of a tensor [T·B,K] to take, and those of what was taken that are ``padding`` [T,B]."""

    def __init__(self, rows: Tensor, padding: Tensor) -> None:
        self._rows, self._padding = rows, padding.flatten().nonzero().flatten()

    def taken(self, tensor: Tensor) -> Tensor:
        """[T,B,K] → the rows of it, with zeros at padding."""
        flat = embedding(self._rows.flatten(), tensor.flatten(0, 1))  # several times as fast as index_select
        return flat.index_fill_(0, self._padding, 0).view_as(tensor)
