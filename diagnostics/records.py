"""What a run records: the one data model that measures, charts, store and export share.

Numpy only. Letters: ``N`` training steps, ``E`` evaluations, ``P`` recorded profiles, ``L`` layers, ``T`` timesteps.
A column belongs to one of three streams, and the arrays of a stream share their first axis:

- ``step``: one row per training step.
- ``eval``: one row per measurement on the held-out set.
- ``profile``: one row per recorded gradient profile (every ``record_every`` training steps).

Not-a-number and infinity are data: they are kept as such everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Stream = Literal["step", "eval", "profile"]
Array = np.ndarray[Any, np.dtype[Any]]

BAND = ("p05", "median", "p95")
"""The last axis of a banded column: 5th percentile, median, 95th percentile over the batch."""


@dataclass(frozen=True)
class Column:
    """One recorded quantity: where it lives, its shape after the row axis, its unit and its reduction."""

    stream: Stream
    dtype: str
    axes: tuple[str, ...]
    unit: str
    meaning: str
    optional: bool = False


COLUMNS: Mapping[str, Column] = {
    "step": Column("step", "i8", (), "training step", "number of the training step, from 0"),
    "loss": Column("step", "f8", (), "loss", "training loss of the step's batch, before its update"),
    "grad_norm_pre": Column("step", "f8", (), "l2", "norm of the whole parameter gradient before clipping, in float64"),
    "grad_norm_post": Column("step", "f8", (), "l2", "norm of the whole parameter gradient after clipping, in float64"),
    "clip_factor": Column(
        "step", "f8", (), "ratio", "post-clip norm divided by pre-clip norm; 1 where not clipped, nan where post is"
    ),
    "nan_count": Column("step", "i8", (), "entries", "parameter gradient entries that are nan, before clipping"),
    "inf_count": Column("step", "i8", (), "entries", "parameter gradient entries that are infinite, before clipping"),
    "zero_count": Column("step", "i8", (), "entries", "parameter gradient entries that are exactly 0, before clipping"),
    "wall_s": Column("step", "f8", (), "s", "seconds since training began, at the end of the step"),
    "eval_step": Column("eval", "i8", (), "training step", "updates made before the held-out set was measured"),
    "eval_loss": Column("eval", "f8", (), "loss", "loss on the held-out set"),
    "eval_success": Column("eval", "f8", (), "share", "the task's measure of success on the held-out set, 0 to 1"),
    "profile_step": Column("profile", "i8", (), "training step", "training step whose backward pass was recorded"),
    "state_grad": Column(
        "profile",
        "f8",
        ("L", "T", "band"),
        "l2",
        "norm of the state gradient (h, or h and c together) per sample; pre-clip; batch mean undone",
    ),
    "answer_grad": Column(
        "profile",
        "f8",
        ("L", "T", "band"),
        "l2",
        "as state_grad, of the loss at the last answer step alone; only where the loss is taken at several steps",
        optional=True,
    ),
    "grad_h": Column("profile", "f8", ("L", "T"), "l2", "the h part of state_grad, median over the batch"),
    "grad_c": Column(
        "profile", "f8", ("L", "T"), "l2", "the c part of state_grad, median over the batch; LSTM only", optional=True
    ),
    "input_grad": Column(
        "profile", "f8", ("T", "band"), "l2", "norm of the gradient with respect to the input x_t, per sample; pre-clip"
    ),
    "state_norm": Column("profile", "f8", ("L", "T"), "l2", "norm of the state h_t, median over the batch"),
    "saturated": Column(
        "profile", "f8", ("L", "T"), "share", "share of saturated units (tanh |h|>0.95; gates <0.05 or >0.95; ReLU 0)"
    ),
    "grad_sizes": Column(
        "profile",
        "f8",
        ("bin", "sum"),
        "entries, l1, l2²",
        "count, Σ|g| and Σg² of the whole parameter gradient's entries by size (bins: measures.entry_sizes); pre-clip; "
        "nan where an entry is not finite, and where it was not taken (at most 128 profiles of a run have it)",
        optional=True,
    ),
}


class Records(Mapping[str, Array]):
    """The recorded columns of a run, read-only; absent optional columns are missing keys.

    Raises ``ValueError`` on construction where a column is unknown or the rows of a stream disagree.
    """

    def __init__(self, columns: Mapping[str, Array]) -> None:
        rows: dict[str, int] = {}
        for name, values in columns.items():
            if name not in COLUMNS:
                raise ValueError(f"column must be one of {', '.join(COLUMNS)}, but got {name!r}")
            stream = COLUMNS[name].stream
            if rows.setdefault(stream, len(values)) != len(values):
                raise ValueError(
                    f"columns of the stream {stream!r} must have equal lengths, but {name} has {len(values)} rows "
                    f"where {rows[stream]} were expected"
                )
        self._columns = dict(columns)

    @classmethod
    def empty(cls) -> Records:
        """Records of a run that has not begun: every scalar column with no rows."""
        return cls({name: np.empty(0, c.dtype) for name, c in COLUMNS.items() if not c.axes})

    @classmethod
    def concatenate(cls, parts: Sequence[Records]) -> Records:
        """Join consecutive records. A profile's arrays have the same ``[L, T]`` in all parts."""
        names = [name for name in COLUMNS if any(name in part for part in parts)]
        joined = {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}
        return cls({**cls.empty()._columns, **joined})

    def __getitem__(self, name: str) -> Array:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def rows(self, stream: Stream) -> int:
        """How many rows a stream holds."""
        return next((len(v) for k, v in self._columns.items() if COLUMNS[k].stream == stream), 0)


@dataclass(frozen=True)
class TaskFacts:
    """What the pages show of a task; recorded in the run by whoever trained it.

    ``tokens`` has one readable string per timestep of one example; ``informative_steps`` are the timesteps that hold
    what the answer depends on (the earliest first); ``loss_step`` is the timestep at which the (last) answer is given;
    ``distance`` is the number of steps from there back to the farthest informative step, which is what a verdict's
    "reaches" asks for; below 0 where that step comes after the answer, so that only a network that reads in two
    directions can know of it.
    """

    title: str
    tokens: tuple[str, ...]
    informative_steps: tuple[int, ...]
    loss_step: int
    distance: int
    answer: str
    loss_name: str
    chance_loss: float
    success_name: str
    chance_success: float

    @property
    def needed(self) -> int:
        """The timestep of the farthest informative step."""
        return self.loss_step - self.distance

    @property
    def ahead(self) -> bool:
        """Whether what the answer depends on comes after it."""
        return self.distance < 0


@dataclass(frozen=True)
class Run:
    """One run as it is read for drawing and exporting. ``spec`` is the JSON form of what was asked for."""

    id: str
    name: str
    state: str
    spec: Mapping[str, Any]
    facts: TaskFacts | None
    records: Records
    detail: str = ""
    """One sentence on how the run ended, e.g. ``diverged at step 40``; empty while all is well."""
    versions: Mapping[str, str] = field(default_factory=dict)
    comparison: str = ""

    @property
    def without_recurrence(self) -> str:
        """The kind of network that was trained where it has no recurrence, and so no cell; "" where it has one."""
        model = self.spec.get("model")
        return model if isinstance(model, str) and model != "recurrent" else ""

    @property
    def cell(self) -> str:
        """The recurrence that was trained, or the kind of network where it has none; "" where the spec does not say."""
        return self.without_recurrence or str(self.spec.get("cell") or "")
