"""What is handed on inside the room: one recurrent part's states and gradients of one backward pass.

Letters: T timesteps, B batch, I input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


def _as_real(values: Tensor) -> Tensor:
    """[..,H], where it is complex as [..,2·H], real and imaginary parts by turns."""
    return torch.view_as_real(values.resolve_conj()).flatten(-2) if values.is_complex() else values


@dataclass(frozen=True)
class LayerPass:
    """One layer in one direction, in walk order: step 0 is the first that was walked, also in reverse.

    All tensors are detached; beyond a sample's length they are 0. Gradients are as autograd gave them: neither a mean
    over the batch nor a scaled loss is undone.
    """

    h: Tensor
    """[T,B,H], the state that is handed on after each step (with a projection its size is the projected one)."""
    grad_h: Tensor
    """[T,B,H], the total derivative of the loss with respect to it."""
    c: Tensor | None = None
    """[T,B,·], the LSTM's cell state; None where there is none."""
    grad_c: Tensor | None = None
    """[T,B,·], by its direct path alone, as in ``Trace.grad_c``."""
    gates: Mapping[str, Tensor] = field(default_factory=dict)
    """[T,B,H] each, after their nonlinearity, where they are known."""
    last_answer: tuple[Tensor, Tensor | None] | None = None
    """(grad_h, grad_c) of the last answer's loss alone; None where the loss uses one step's output, or is not known."""
    weight: str = ""
    """The dotted name of the recurrent weight in the model, "" where there is none to name."""
    weight_sum: Tensor | None = None
    """Σ_k G_k = Σ_k δ_kᵀ h_{k−1} in the weight's shape, in float64, from what was recorded; None where not known. A
    source computes it only for passes that it was asked to ``check``. That of backward passes which are not handed on
    is in that of the first pass with the weight, so that the sum over passes is what was added to its gradient."""
    rounding: torch.dtype | None = None
    """The coarsest dtype that the layer's products were computed in; None: that of ``h``."""

    def __post_init__(self) -> None:
        """A complex state of H numbers is one of 2·H real ones, of which autograd's ∂L/∂(Re h) + i ∂L/∂(Im h) is the
        gradient."""
        for name in ("h", "grad_h", "c", "grad_c"):
            values: Tensor | None = getattr(self, name)
            if values is not None and values.is_complex():
                object.__setattr__(self, name, _as_real(values))
        if self.last_answer is not None:
            of_h, of_c = self.last_answer
            object.__setattr__(self, "last_answer", (_as_real(of_h), None if of_c is None else _as_real(of_c)))


@dataclass(frozen=True)
class Pass:
    """What one group did in one backward pass: its layers, bottom first."""

    group: str
    kind: str
    """The cell as the pages know it (tanh, relu, gru, lstm) or the class name of a custom one."""
    layers: Sequence[LayerPass]
    class_name: str
    """The module's class with its package, e.g. ``torch.nn.LSTM``."""
    direction: str = "forward"
    """``forward`` or ``reverse``."""
    lengths: Tensor | None = None
    """int64 [B] on the CPU: how many steps each sample has; None: all have T."""
    input_grad: Tensor | None = None
    """[T,B,I], the gradient with respect to the input of the bottom layer, where there is one."""
    cuts: tuple[int, ...] = ()
    """Timesteps (walk order) whose incoming state was detached: truncation boundaries."""
    answers: int = 0
    """At how many timesteps the loss uses the top layer's output directly; 0 where that is not known."""
    call: int = 0
    """Which of the group's separate calls within one backward pass, in forward order, from 0."""


class Source(Protocol):
    """Whoever watches some recurrent parts of a model."""

    def arm(self, *, check: bool = False) -> None:
        """The coming forward passes are to be recorded, until ``take``. ``check``: with ``LayerPass.weight_sum``."""

    def take(self) -> list[Pass]:
        """The passes that a backward pass has gone through since ``arm``, in that order; forgets and disarms.

        Under accumulation there are several of a group, the newest ones at least. What never saw a backward pass is
        dropped.
        """
        ...

    def covered(self) -> list[str]:
        """One sentence for each part that is watched: what, and how its gradients are taken."""
        ...

    def close(self) -> None:
        """Leave the model exactly as it was before; may be called twice."""
