"""A pass with its samples aligned where the loss is. That is the end: the last step that was walked or, where nothing
is known of lengths but samples end at different steps (padding whose output nobody reads), the last step with a
gradient. Where the loss uses the first step that was walked and no other (a reverse direction, read at the last
timestep), it is the beginning.

Letters: T timesteps, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diagnostics.records import Array
from diagnostics.watching.passing import LayerPass, Pass


@dataclass(frozen=True)
class Aligned:
    """A pass whose samples all end at the last timestep: layers [T,B,·], the longest samples first."""

    layers: tuple[LayerPass, ...]
    input_grad: Tensor | None
    present: Array | None
    """[T], int: how many of the first samples have the timestep; None: all."""
    how: str
    """``all``, or what the samples are aligned at: ``lengths`` or ``gradients``."""
    longest: int
    """How many timesteps the longest sample has, all of them in ``layers`` or not."""

    @property
    def timesteps(self) -> int:
        """T."""
        return int(self.layers[0].h.shape[0])


def read_at_start(one: Pass) -> bool:
    """Whether the loss uses the top layer after the first step that was walked, and after no other."""
    top = one.layers[-1]
    if len(top.h) < 2 or top.last_answer is not None or bool(_heard(top, slice(1, None)).any()):
        return False
    return bool(_heard(top, slice(1)).any())


def aligned(one: Pass, timesteps: int | None, *, at_start: bool = False) -> Aligned:
    """A pass with its samples right-aligned, and of its timesteps the last ``timesteps`` (None: all there are).

    ``at_start``: left-aligned, and of its timesteps the first.
    """
    whole = int(one.layers[0].h.shape[0])
    if at_start:
        return _aligned_at_start(one, whole, timesteps)
    lengths, how = one.lengths, "lengths"
    if lengths is None:
        lengths, how = _ends(one), "gradients"
    if lengths is None or bool((lengths == whole).all()):
        start = 0 if timesteps is None else max(0, whole - timesteps)
        layers = tuple(_each(layer, lambda values: values[start:]) for layer in one.layers)
        return Aligned(layers, None if one.input_grad is None else one.input_grad[start:], None, "all", whole)
    longest = int(lengths.max())
    T = longest if timesteps is None else min(timesteps, longest)
    order = torch.argsort(lengths, descending=True, stable=True)
    lengths = lengths[order]
    source = torch.arange(T)[:, None] - T + lengths[None, :]  # [T,B]

    def right(values: Tensor) -> Tensor:
        at = source.clamp(min=0).to(values.device)
        moved = values[at, order.to(values.device)]
        return moved * (source >= 0).to(values.device, values.dtype)[..., None]

    present: Array = (source >= 0).sum(dim=1).numpy()
    layers = tuple(_each(layer, right) for layer in one.layers)
    return Aligned(layers, None if one.input_grad is None else right(one.input_grad), present, how, longest)


def _aligned_at_start(one: Pass, whole: int, timesteps: int | None) -> Aligned:
    """As the samples lie, the longest first."""
    longest = whole if one.lengths is None else int(one.lengths.max())
    T = longest if timesteps is None else min(timesteps, longest)
    if one.lengths is None or bool((one.lengths >= T).all()):
        layers = tuple(_each(layer, lambda values: values[:T]) for layer in one.layers)
        how = "all" if one.lengths is None else "lengths"
        return Aligned(layers, None if one.input_grad is None else one.input_grad[:T], None, how, longest)
    order = torch.argsort(one.lengths, descending=True, stable=True)
    present: Array = (torch.arange(T)[:, None] < one.lengths).sum(dim=1).numpy()

    def left(values: Tensor) -> Tensor:
        return values[:T, order.to(values.device)]

    layers = tuple(_each(layer, left) for layer in one.layers)
    return Aligned(layers, None if one.input_grad is None else left(one.input_grad), present, "lengths", longest)


def _ends(one: Pass) -> Tensor | None:
    """[B]: how many steps each sample has up to its last one with a gradient at the top layer; None where they agree.

    Where several answers are used, the last answer's gradient is of one timestep of all samples: nothing is moved then.
    """
    top = one.layers[-1]
    if top.last_answer is not None or bool(_heard(top, slice(-1, None)).all()):
        return None
    heard = _heard(top, slice(None))
    T = len(heard)
    ends = T - heard.flip(0).to(torch.uint8).argmax(dim=0)
    ends = torch.where(heard.any(dim=0), ends, T).cpu()
    return None if bool((ends == ends[0]).all()) else ends


def _heard(layer: LayerPass, steps: slice) -> Tensor:
    """[T,B]: whether a sample's state has a gradient that is not 0."""
    heard = (layer.grad_h[steps] != 0).any(dim=-1)
    return heard if layer.grad_c is None else heard | (layer.grad_c[steps] != 0).any(dim=-1)


def loss_step(found: Aligned) -> int:
    """The last timestep with a gradient: at the top layer, or at any where that has none; T − 1 where no layer has."""
    for layers in (found.layers[-1:], found.layers):
        heard = torch.stack([_heard(layer, slice(None)).any(dim=1).cpu() for layer in layers]).any(dim=0)
        if bool(heard.any()):
            return int(heard.nonzero()[-1])
    return found.timesteps - 1


def _each(layer: LayerPass, change: Any) -> LayerPass:
    """A layer with all that has timesteps changed alike."""
    answer = layer.last_answer
    return replace(
        layer,
        h=change(layer.h),
        grad_h=change(layer.grad_h),
        c=None if layer.c is None else change(layer.c),
        grad_c=None if layer.grad_c is None else change(layer.grad_c),
        gates={name: change(values) for name, values in layer.gates.items()},
        last_answer=None if answer is None else (change(answer[0]), None if answer[1] is None else change(answer[1])),
    )
