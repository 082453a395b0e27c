"""From what a recurrent part did in one backward pass to one row of the profile stream, and what the row is about.

Samples of different lengths are aligned at the end: at the last step that was walked or, where nothing is known of
lengths but samples end at different steps (padding whose output nobody reads), at the last step with a gradient.
Timesteps that a sample does not have count in no median. All rows of a run have the T timesteps of its first: of a
longer pass the last T count, and a shorter one gives no row.

Letters: L layers, T timesteps, B batch, H hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.measures.saturation import share_saturated
from diagnostics.measures.state_profile import profile_columns, state_bands
from diagnostics.records import Array, TaskFacts
from diagnostics.watching.passing import LayerPass, Pass

OPTIONAL = ("answer_grad", "grad_c", "input_grad")


@dataclass(frozen=True)
class Aligned:
    """A pass whose samples all end at the last timestep: layers [T,B,·], the longest samples first."""

    layers: tuple[LayerPass, ...]
    input_grad: Tensor | None
    present: Array | None
    """[T], int: how many of the first samples have the timestep; None: all."""
    how: str
    """``all``, or what the samples are aligned at: ``lengths`` or ``gradients``."""

    @property
    def timesteps(self) -> int:
        """T."""
        return int(self.layers[0].h.shape[0])


class Rows:
    """The rows of one group; what they are about is what its first pass said."""

    def __init__(self, first: Pass, *, mean: bool, distance: int | None, timesteps: int | None) -> None:
        self.mean = mean
        self.first = first
        found = aligned(first, timesteps)
        if timesteps is not None and found.timesteps < timesteps:
            raise ValueError(
                f"timesteps must be at most those of {first.group}, {found.timesteps}, but got {timesteps}"
            )
        self.timesteps = found.timesteps
        self.how = found.how
        self.loss_step = _loss_step(found)
        self.whole = distance is None
        """Whether no timestep matters more than the others."""
        self._asked = distance
        self.distance = self.loss_step if distance is None else min(distance, self.loss_step)
        shift = int(first.layers[0].h.shape[0]) - self.timesteps
        self.cuts = [cut - shift for cut in first.cuts if cut > shift] if found.how == "all" else []
        self._optional = frozenset(self._columns(first, found, 1.0).keys() & set(OPTIONAL))
        self.shorter = 0
        """How many passes were too short to be a row."""

    def row(self, one: Pass, scale: float) -> dict[str, Array] | None:
        """The row of a pass, of which ``scale`` is what the loss was multiplied by; None where it is too short."""
        found = aligned(one, self.timesteps)
        if found.timesteps < self.timesteps or len(found.layers) != len(self.first.layers):
            self.shorter += 1
            return None
        columns = self._columns(one, found, scale)
        L, T = len(found.layers), self.timesteps
        shapes = {"answer_grad": (L, T, 3), "grad_c": (L, T), "input_grad": (T, 3)}
        missing = {name: np.full(shapes[name], np.nan) for name in self._optional - columns.keys()}
        return {
            name: values for name, values in columns.items() if name not in OPTIONAL or name in self._optional
        } | missing

    def _columns(self, one: Pass, found: Aligned, scale: float) -> dict[str, Array]:
        layers = found.layers
        undo = (layers[0].h.shape[1] if self.mean else 1) / scale
        row = profile_columns(layers, found.input_grad, undo, found.present)
        answers = [layer.last_answer for layer in layers if layer.last_answer is not None]
        if len(answers) == len(layers):
            row["answer_grad"] = state_bands(answers, undo, found.present)
        row["saturated"] = np.stack([_saturated(layer, one.kind, found.present) for layer in layers])
        return row

    def facts(self) -> TaskFacts:
        """What the pages show: a model of one's own has no words, no success and no chance."""
        return TaskFacts(
            title=f"Your model: {self.first.group}",
            tokens=tuple(self._label(step) for step in range(self.timesteps)),
            informative_steps=() if self.whole else (self.loss_step - self.distance,),
            loss_step=self.loss_step,
            distance=self.distance,
            answer="",
            loss_name="loss",
            chance_loss=float("nan"),
            success_name="success",
            chance_success=float("nan"),
        )

    def too_far(self) -> str:
        """A sentence where the distance that was asked for lies before the first timestep, else ""."""
        if self._asked is None or self._asked <= self.loss_step:
            return ""
        return (
            f"{self.first.group}: distance must be at most the {self.loss_step} steps from the loss to the first "
            f"timestep, but got {self._asked}, so that the first timestep is asked for."
        )

    def _label(self, step: int) -> str:
        back = self.timesteps - 1 - step
        if self.first.direction == "reverse" and self.how != "gradients":
            return f"t={back}"  # the walk ends at each sample's first timestep
        if self.how == "all" and self.timesteps == len(self.first.layers[0].h):
            return f"t={step}"
        return f"end−{back}" if back else "end"

    def spec(self, *, every: int, reduction: str, clip: str, loss: bool) -> dict[str, Any]:
        """The run's spec."""
        first = self.first
        return {
            "watched": {
                "module": first.group,
                "class": first.class_name,
                "direction": first.direction,
                "every": every,
                "reduction": reduction,
                "timesteps": self.timesteps,
                "answers": first.answers,
                "cuts": self.cuts,
                "loss": loss,
            },
            "cell": first.kind,
            "layers": len(first.layers),
            "hidden": int(first.layers[-1].h.shape[-1]),
            "bidirectional": False,
            "clip": clip,
            "steps": 0,
        }

    def about(self) -> dict[str, str]:
        """What the rows are, in words."""
        said = {
            "all": "all samples have all timesteps",
            "lengths": "samples of different lengths, aligned at the last step that is walked",
            "gradients": "samples that end at different steps, aligned at the last step with a gradient",
        }
        first = self.first
        walked = "from the last timestep to the first" if first.direction == "reverse" else "from the first timestep on"
        return {
            "recurrence": f"{first.class_name}, {len(first.layers)} layer{'s' * (len(first.layers) != 1)}, {walked}",
            "alignment": said[self.how],
            "answers": f"the loss uses the output of {first.answers} timesteps" if first.answers else "not known",
        }


def aligned(one: Pass, timesteps: int | None) -> Aligned:
    """A pass with its samples right-aligned, and of its timesteps the last ``timesteps`` (None: all there are)."""
    whole = int(one.layers[0].h.shape[0])
    lengths, how = one.lengths, "lengths"
    if lengths is None:
        lengths, how = _ends(one), "gradients"
    if lengths is None or bool((lengths == whole).all()):
        start = 0 if timesteps is None else max(0, whole - timesteps)
        layers = tuple(_each(layer, lambda values: values[start:]) for layer in one.layers)
        return Aligned(layers, None if one.input_grad is None else one.input_grad[start:], None, "all")
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
    return Aligned(layers, None if one.input_grad is None else right(one.input_grad), present, how)


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


def _loss_step(found: Aligned) -> int:
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


def _saturated(layer: LayerPass, kind: str, present: Array | None) -> Array:
    if kind in ("tanh", "relu") or (kind in ("gru", "lstm") and layer.gates):
        return share_saturated(layer, kind, present)
    return np.full(len(layer.h), np.nan)
