"""A PackedSequence as a padded tensor and back, without a loop over timesteps.

Letters: T timesteps, B batch, N = the sum of the lengths; K anything.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class Packing:
    """How the samples of ``packed`` lie in it: in descending order of length, [N,K], a timestep after the other."""

    def __init__(self, packed: PackedSequence) -> None:
        self._packed = packed
        self.data = packed.data
        counts = packed.batch_sizes
        self.sizes: list[int] = counts.tolist()
        """How many samples have each timestep."""
        T, B = len(counts), self.sizes[0]
        there = torch.arange(B) < counts[:, None]
        self.lengths = there.sum(0)
        """int64 [B] on the CPU, in the order of the packed samples."""
        self._shape = T, B
        self._rows = there.flatten().nonzero().flatten().to(self.data.device)

    def padded(self, data: Tensor) -> Tensor:
        """[N,K] → [T,B,K], zeros at padding."""
        T, B = self._shape
        whole = data.new_zeros(T * B, data.shape[1])
        return whole.index_copy(0, self._rows, data).view(T, B, data.shape[1])

    def taken(self, whole: Tensor) -> Tensor:
        """[T,B,K] → [N,K]."""
        return whole.flatten(0, 1).index_select(0, self._rows)

    def packed(self, whole: Tensor) -> PackedSequence:
        """[T,B,K] → packed as the input was."""
        of = self._packed
        return PackedSequence(self.taken(whole), of.batch_sizes, of.sorted_indices, of.unsorted_indices)

    def sort(self, state: Tensor) -> Tensor:
        """[·,B,K] in the person's order → in the packed samples' order."""
        order = self._packed.sorted_indices
        return state if order is None else state.index_select(1, order)

    def unsort(self, state: Tensor) -> Tensor:
        """[·,B,K] in the packed samples' order → in the person's order."""
        order = self._packed.unsorted_indices
        return state if order is None else state.index_select(1, order)
