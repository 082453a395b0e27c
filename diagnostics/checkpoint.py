"""What a file of weights holds of recurrent networks, and how far a gradient gets through one of them: the data model.

Free of torch: ``diagnostics.watching.probe`` fills it in, in a process of its own, and pages and charts read it.

Letters: ``T`` timesteps, ``B`` probe sequences, ``I`` input size, ``H`` hidden size, ``L`` layers, ``G`` gates. A
*walk* is one layer in one direction; its step 0 is the first that it goes through, also in reverse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from diagnostics.inspection import GATES
from diagnostics.records import Array, Records, Run, TaskFacts

KINDS: Mapping[str, str] = {"rnn": "nn.RNN", "gru": "nn.GRU", "lstm": "nn.LSTM"}
"""The modules that are known by the names and shapes of their weights."""

INPUTS: Mapping[str, str] = {"noise": "white noise", "zeros": "all zeros"}
LOSSES: Mapping[str, str] = {
    "norm": "squared norm of the last state",
    "projection": "a random projection of the last state",
}
NONLINEARITIES = ("tanh", "relu")
"""What a file does not say of an ``nn.RNN``."""

TIMESTEPS_AT_MOST = 1000
SCALE_LEAST, SCALE_MOST = 1e-6, 1e6
SAMPLES = 8
"""B: enough for a median and a band."""


@dataclass(frozen=True)
class Part:
    """One recurrent module that was found in a file."""

    name: str
    """Its dotted name in the model; "" where the file is of the module itself."""
    kind: str
    inputs: int
    hidden: int
    layers: int
    bidirectional: bool
    refused: str = ""
    """Why it cannot be probed, as a sentence; "" where it can."""

    @property
    def title(self) -> str:
        """``encoder · nn.LSTM, 2 layers of 64, both directions``."""
        count = f"{self.layers} layer{'s' * (self.layers != 1)} of {self.hidden}"
        both = ", both directions" if self.bidirectional else ""
        return f"{self.name or 'the whole file'} · {KINDS[self.kind]}, {count}{both}"

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave."""
        return cls(**fields)


@dataclass(frozen=True)
class Asked:
    """How a part is probed. Raises ``ValueError`` on construction where that cannot be, naming the field."""

    part: str
    nonlinearity: str = "tanh"
    inputs: str = "noise"
    scale: float = 1.0
    """The standard deviation of the noise."""
    timesteps: int = 100
    loss: str = "norm"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("nonlinearity", NONLINEARITIES), ("inputs", INPUTS), ("loss", LOSSES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, but got {getattr(self, name)!r}")
        if type(self.timesteps) is not int or not 2 <= self.timesteps <= TIMESTEPS_AT_MOST:
            raise ValueError(f"timesteps must be from 2 to {TIMESTEPS_AT_MOST}, but got {self.timesteps!r}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, but got {self.seed!r}")
        if not isinstance(self.scale, int | float) or not SCALE_LEAST <= self.scale <= SCALE_MOST:  # nor nan
            raise ValueError(f"scale must be from {SCALE_LEAST:g} to {SCALE_MOST:g}, but got {self.scale!r}")

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave."""
        return cls(**fields)


@dataclass(frozen=True)
class Walk:
    """What the probe found of one layer in one direction."""

    layer: int
    """From 0, the bottom."""
    reverse: bool
    gradient: Array
    """[T, band], the norm of the state gradient (h, or h and c together) by lag: index k is k steps before the last
    walked step; 5th percentile, median and 95th over the probe sequences; l2, per sequence."""
    sigma_max: tuple[float, ...]
    """[G], the largest singular value of each gate's block of W_hh."""
    spectral_radius: tuple[float, ...]
    """[G], the largest |eigenvalue| of each; nan where H is too large to compute them in passing."""


@dataclass(frozen=True)
class Probed:
    """A part after a probe sequence went through it, forwards and backwards, in float64."""

    part: Part
    asked: Asked
    walks: tuple[Walk, ...]
    """Bottom layer first; forward before reverse."""

    @property
    def cell(self) -> str:
        """The cell as the pages know it."""
        return self.asked.nonlinearity if self.part.kind == "rnn" else self.part.kind

    @property
    def gate_names(self) -> tuple[str, ...]:
        """The letters along G."""
        return GATES[self.part.kind]

    def label(self, walk: Walk) -> str:
        """``layer 2 ←``: which layer, counted from 1, and which direction where there are two."""
        arrow = (" ←" if walk.reverse else " →") if self.part.bidirectional else ""
        return f"layer {walk.layer + 1}{arrow}"

    def as_run(self, walk: Walk) -> Run:
        """The walk as a watched run that recorded one profile, for what is judged of runs: how far the gradient gets
        from the last walked state back. Of which it should, a file says nothing."""
        T = self.asked.timesteps
        tokens = tuple(f"t={t}" for t in (reversed(range(T)) if walk.reverse else range(T)))
        facts = TaskFacts(
            "probe", tokens, (), T - 1, T - 1, "", LOSSES[self.asked.loss], math.nan, "success", math.nan
        )  # fmt: skip
        records = Records(
            {"profile_step": np.zeros(1, np.int64), "state_grad": walk.gradient[None, None, ::-1].astype(np.float64)}
        )
        spec = {"cell": self.cell, "watched": {"probe": True}}
        return Run("", self.label(walk), "finished", spec, facts, records)

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        walks = [{**vars(walk), "gradient": walk.gradient.tolist()} for walk in self.walks]
        return {"part": self.part.to_json(), "asked": self.asked.to_json(), "walks": walks}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave, also where numbers that are not finite have become words."""
        walks = tuple(
            Walk(
                int(one["layer"]),
                bool(one["reverse"]),
                np.array([[float(value) for value in row] for row in one["gradient"]]),
                tuple(map(float, one["sigma_max"])),
                tuple(map(float, one["spectral_radius"])),
            )
            for one in fields["walks"]
        )
        return cls(Part.from_json(fields["part"]), Asked.from_json(fields["asked"]), walks)
