"""Where a loss uses the output of recurrent layers directly, and its last such use alone.

Letters: T timesteps, B batch, P size of the state that is handed on, L layers, D directions. *Arriving* are the
gradients at (output [T,B,D·P], h_n [L·D,B,P][, c_n [L·D,B,H]]), each None where the loss does not use it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.measures.norms import sample_norms

Arriving = Sequence[Tensor | None]


def walked(steps: int, lengths: Tensor | None, *, reverse: bool) -> Tensor | None:
    """Which timestep each sample walks as its k-th, int64 [T,B] ([T,1] where all have T), or None for the k-th itself.

    What is walked beyond a sample's length is the rest of its timesteps.
    """
    if not reverse:
        return None
    k = torch.arange(steps)[:, None]
    if lengths is None:
        return k.flip(0)
    return torch.where(k < lengths, lengths - 1 - k, k)


def uses(
    arriving: Arriving, direction: int, directions: int, lengths: Tensor | None, *, finals: bool
) -> NDArray[np.bool_]:
    """Whether the loss uses what ``direction`` gave at each step that it walked: bool [T,B], in walk order.

    The final states of any layer count as the last step of each sample, unless the loss is known not to use them
    directly (``finals``). T is 1 where the loss does not use the output at all, and 0 where it uses nothing.
    """
    output, *ends = arriving
    of_ends = _any_sample(ends, direction, directions) if finals else None
    if output is None:
        return np.zeros((0, 0), bool) if of_ends is None else of_ends[None]
    size = output.shape[2] // directions
    used = _nonzero(output[..., direction * size : (direction + 1) * size])
    order = walked(len(used), lengths, reverse=direction == 1)
    if order is not None:
        used = np.take_along_axis(used, np.broadcast_to(order.numpy(), used.shape), 0)
    if of_ends is not None:
        last = np.full(used.shape[1], len(used) - 1) if lengths is None else lengths.numpy() - 1
        used[last, np.arange(used.shape[1])] |= of_ends
    return used


def without(arriving: Arriving, handed: Arriving) -> list[Tensor | None]:
    """Of ``arriving`` what has not come by way of a later call, ``handed``: exactly 0 where nothing is left of a
    sample but what a sum in another order leaves."""
    rest: list[Tensor | None] = []
    for whole, part in zip(arriving, handed, strict=True):
        if whole is None or part is None:
            rest.append(whole)
            continue
        left = whole - part
        few = 64 * torch.finfo(part.dtype).eps * part.abs().amax(-1, keepdim=True)
        rest.append(torch.where(left.abs().amax(-1, keepdim=True) <= few, torch.zeros_like(left), left))
    return rest


def last_answer(
    arriving: Arriving, used: NDArray[np.bool_], lengths: Tensor | None, direction: int, directions: int, h_n: Tensor
) -> list[Tensor | None]:
    """Of ``arriving`` the part of each sample's last answer, as ``direction`` walks; ``used`` is what ``uses`` said,
    and ``h_n`` [L·D,B,P] are the final states."""
    output, *ends = arriving
    kept = [None if end is None else _of_direction(end, direction, directions) for end in ends]
    if output is None:
        return [None, *kept]
    T, B = output.shape[:2]
    if directions == 1 and lengths is None and h_n.dtype == output.dtype and used[-1].all():
        # The last output is the top layer's final state, and a gradient there needs no tensor of the output's size.
        final = torch.zeros_like(h_n) if kept[0] is None else kept[0].clone()
        final[-1] += output[-1]
        return [None, final, *kept[1:]]
    steps = np.broadcast_to(np.arange(T)[:, None], used.shape)
    last = torch.from_numpy(np.where(used, steps, -1).max(0))
    order = walked(T, lengths, reverse=direction == 1)
    at = last.clamp(min=0)
    if order is not None:
        at = order.expand(T, B)[at, torch.arange(B)]
    there = (last >= 0).nonzero().flatten()
    part = torch.zeros_like(output)
    rows, samples = at[there].to(output.device), there.to(output.device)
    part[rows, samples] = output[rows, samples]
    return [part, *kept]


def _of_direction(end: Tensor, direction: int, directions: int) -> Tensor:
    if directions == 1:
        return end
    part = torch.zeros_like(end)
    part[direction::directions] = end[direction::directions]
    return part


def _any_sample(ends: Sequence[Tensor | None], direction: int, directions: int) -> NDArray[np.bool_] | None:
    found: NDArray[np.bool_] | None = None
    for end in ends:
        if end is not None:
            used = _nonzero(end[direction::directions]).max(0)
            found = used if found is None else np.logical_or(found, used)
    return found


def _nonzero(values: Tensor) -> NDArray[np.bool_]:
    """[T,B,·] → [T,B]: whether any entry is not exactly 0; a not-a-number is not."""
    if values.dtype == torch.float32 and values.device.type == "cpu":  # no square of its numbers is 0 in float64
        found: NDArray[np.bool_] = sample_norms(values) != 0
    else:
        found = (values != 0).any(-1).cpu().numpy()
    return found
