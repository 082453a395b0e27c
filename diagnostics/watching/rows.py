"""From what a recurrent part did in one backward pass to one row of the profile stream, and what the row is about.

Samples of different lengths are aligned at the end (see ``aligning``), and timesteps that a sample does not have count
in no median. All rows of a run have as many timesteps: of a longer pass the last T count, and a shorter one gives none.

Letters: L layers, T timesteps, B batch, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from diagnostics.measures.saturation import share_saturated
from diagnostics.measures.state_profile import profile_columns, state_bands
from diagnostics.records import COLUMNS, Array, TaskFacts
from diagnostics.watching.aligning import Aligned, aligned, loss_step, read_at_start
from diagnostics.watching.passing import LayerPass, Pass

OPTIONAL = ("answer_grad", "grad_c", "input_grad")


@dataclass(frozen=True)
class About:
    """What a group's first pass was, without its tensors."""

    kind: str
    class_name: str
    direction: str
    layers: int
    hidden: int
    timesteps: int
    answers: int
    cuts: tuple[int, ...]

    @classmethod
    def of(cls, one: Pass) -> Self:
        """That of a pass."""
        timesteps, _, hidden = one.layers[-1].h.shape
        return cls(one.kind, one.class_name, one.direction, len(one.layers), hidden, timesteps, one.answers, one.cuts)


class Rows:
    """The rows of one group; what they are about is what its first pass said."""

    def __init__(self, first: Pass, *, mean: bool, distance: int | None, timesteps: int | None) -> None:
        self.mean = mean
        self.about_first = About.of(first)
        self.group = first.group
        self.at_start = read_at_start(first)
        """Whether rows begin at the loss, and not end there."""
        found = aligned(first, timesteps, at_start=self.at_start)
        if timesteps is not None and found.timesteps < timesteps:
            raise ValueError(
                f"timesteps must be at most those of {first.group}, {found.timesteps}, but got {timesteps}"
            )
        self.timesteps = found.timesteps
        """T of all rows."""
        self.varied = timesteps is not None and timesteps < self.about_first.timesteps
        """Whether passes are known to have more timesteps than a row, so that a row's first is not the first."""
        self.how = found.how
        self.whole = distance is None
        """Whether no timestep matters more than the others."""
        self._after_loss = found.timesteps - 1 - loss_step(found)
        self._asked = distance
        self._optional = frozenset(self._columns(first, found, 1.0).keys() & set(OPTIONAL))

    @property
    def loss_step(self) -> int:
        """The timestep of a row at which the loss is."""
        return 0 if self.at_start else max(0, self.timesteps - 1 - self._after_loss)

    @property
    def distance(self) -> int:
        """Steps back from there to what the answer depends on."""
        return self.loss_step if self._asked is None else min(self._asked, self.loss_step)

    def row(self, one: Pass, scale: float, *, whole: bool = False) -> tuple[dict[str, Array] | None, int]:
        """The row of a pass, None where it is too short, and how many timesteps the pass has.

        ``scale`` is what the loss was multiplied by; ``whole``: with all the timesteps that the pass has, fewer than T
        or more.
        """
        found = aligned(one, None if whole else self.timesteps, at_start=self.at_start)
        if found.timesteps < self.timesteps and not whole:
            return None, found.longest
        columns = self._columns(one, found, scale)
        L, T = len(found.layers), found.timesteps
        shapes = {"answer_grad": (L, T, 3), "grad_c": (L, T), "input_grad": (T, 3)}
        missing = {name: np.full(shapes[name], np.nan) for name in self._optional - columns.keys()}
        kept = {name: values for name, values in columns.items() if name not in OPTIONAL or name in self._optional}
        return kept | missing, found.longest

    def last(self, whole: Mapping[str, Array]) -> dict[str, Array] | None:
        """Of a row with all timesteps the T at the loss; None where there are fewer. Medians are taken at each
        timestep, so that the row of these timesteps is this."""
        T = self.timesteps
        if len(whole["grad_h"][0]) < T:
            return None
        kept = slice(T) if self.at_start else slice(-T, None)
        axes = {name: COLUMNS[name].axes.index("T") for name in whole}
        return {name: values[kept] if axes[name] == 0 else values[:, kept] for name, values in whole.items()}

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
            title=f"Your model: {self.group}",
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
            f"{self.group}: distance must be at most the {self.loss_step} steps from the loss to the first "
            f"timestep, but got {self._asked}, so that the first timestep is asked for."
        )

    def _label(self, step: int) -> str:
        back, reverse = self.timesteps - 1 - step, self.about_first.direction == "reverse"
        if self.at_start and reverse and (self.varied or self.how != "all"):
            return f"end−{step}" if step else "end"  # the walk begins at each sample's last timestep
        if self.at_start and not reverse:
            return f"t={step}"
        if reverse and self.how != "gradients":
            return f"t={back}"  # the walk ends at each sample's first timestep
        if self.how == "all" and not self.varied:
            return f"t={step}"
        return f"end−{back}" if back else "end"

    def spec(self, *, every: int, reduction: str, clip: str, loss: bool) -> dict[str, Any]:
        """The run's spec."""
        first = self.about_first
        shift = 0 if self.at_start else first.timesteps - self.timesteps
        cuts = [cut - shift for cut in first.cuts if cut > max(0, shift)] if self.how == "all" else []
        return {
            "watched": {
                "module": self.group,
                "class": first.class_name,
                "direction": first.direction,
                "every": every,
                "reduction": reduction,
                "timesteps": self.timesteps,
                "answers": first.answers,
                "cuts": cuts,
                "loss": loss,
            },
            "cell": first.kind,
            "layers": first.layers,
            "hidden": first.hidden,
            "bidirectional": False,
            "clip": clip,
            "steps": 0,
        }

    def about(self) -> dict[str, str]:
        """What the rows are, in words."""
        where = "first" if self.at_start else "last"
        said = {
            "all": "all samples have all timesteps",
            "lengths": f"samples of different lengths, aligned at the {where} step that is walked",
            "gradients": "samples that end at different steps, aligned at the last step with a gradient",
        }
        first = self.about_first
        walked = "from the last timestep to the first" if first.direction == "reverse" else "from the first timestep on"
        return {
            "recurrence": f"{first.class_name}, {first.layers} layer{'s' * (first.layers != 1)}, {walked}",
            "alignment": said[self.how],
            "answers": f"the loss uses the output of {first.answers} timesteps" if first.answers else "not known",
        }


def _saturated(layer: LayerPass, kind: str, present: Array | None) -> Array:
    if kind in ("tanh", "relu") or (kind in ("gru", "lstm") and layer.gates):
        return share_saturated(layer, kind, present)
    return np.full(len(layer.h), np.nan)
