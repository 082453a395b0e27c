"""Six comparisons that tell the story, one click each. Free of torch.

Each outcome that ``question`` promises is trained and checked in ``tests/gates``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.spec import RunSpec, expand


@dataclass(frozen=True)
class Preset:
    """A comparison: what varies (``cells``, ``gaps``, ``clips``, ``gate_biases``) and what all runs share (``common``).

    ``question`` says what to look for.
    """

    key: str
    title: str
    question: str
    cells: tuple[str, ...]
    gaps: tuple[int, ...]
    clips: tuple[str, ...] = ("norm:1.0",)
    gate_biases: tuple[float | str | None, ...] = (None,)
    common: Mapping[str, Any] = field(default_factory=dict)

    def specs(self) -> list[RunSpec]:
        """The runs, each combination once."""
        return [
            spec
            for gap in self.gaps
            for bias in self.gate_biases
            for spec in expand(cells=self.cells, clips=self.clips, gap=gap, gate_bias=bias, **self.common)
        ]


_ALL: Sequence[Preset] = (
    Preset(
        "gates-remember",
        "Gates remember",
        "Four cells, one sentence: whose gradient still arrives at the country, 40 words back?",
        cells=("tanh", "relu", "gru", "lstm"),
        gaps=(40,),
        common={"steps": 300},
    ),
    Preset(
        "closed-gate",
        "A closed gate forgets too",
        "An LSTM whose forget gate starts half open, at 0.73 and at 0.95: is a gate enough, or must it be open?",
        cells=("lstm",),
        gaps=(40,),
        gate_biases=(0.0, 1.0, 3.0),
        common={"steps": 300},
    ),
    Preset(
        "vanishing",
        "Vanishing",
        "Each step back multiplies the gradient by less than one. Whose factor is smaller, sigmoid's or tanh's?",
        cells=("sigmoid", "tanh"),
        gaps=(20,),
        common={"steps": 150},
    ),
    Preset(
        "exploding",
        "Exploding, and clipping it",
        "A ReLU network that starts as the identity, under plain gradient descent: what does one huge gradient do to "
        "it, and what does clipping the norm change?",
        cells=("relu",),
        gaps=(20,),
        clips=("none", "norm:1.0"),
        common={"steps": 250, "init": "identity", "optimizer": "sgd", "learning_rate": 0.1},
    ),
    Preset(
        "relu-no-cure",
        "ReLU is no cure",
        "ReLU's slope is 1 wherever a unit is on, and the recurrent matrix is orthogonal. Why does its gradient still "
        "die, and sooner than tanh's?",
        cells=("tanh", "relu", "gru"),
        gaps=(40,),
        common={"steps": 200, "init": "orthogonal"},
    ),
    Preset(
        "short-long",
        "Short against long",
        "The same networks with the country 5 words back and 40: which of them notices the difference?",
        cells=("tanh", "gru"),
        gaps=(5, 40),
        common={"steps": 200},
    ),
)

PRESETS: Mapping[str, Preset] = {preset.key: preset for preset in _ALL}
