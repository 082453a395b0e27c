"""Records and facts to store."""

from __future__ import annotations

import numpy as np

from diagnostics.records import COLUMNS, Array, TaskFacts

FACTS = TaskFacts(
    title="France",
    tokens=("I", "grew", "up", "in", "France"),
    informative_steps=(4,),
    loss_step=4,
    distance=0,
    answer="French",
    loss_name="cross-entropy",
    chance_loss=float("nan"),
    success_name="accuracy",
    chance_success=1 / 12,
)
INFO = {"torch": "2.13.0", "device": "cpu"}
SIZES = {"L": 2, "T": 5, "band": 3, "bin": 4, "sum": 3}


def rows(start: int, stop: int, *, optional: bool = False, sizes: dict[str, int] = SIZES) -> dict[str, Array]:
    """Rows ``start`` to ``stop`` of all three streams, with nan, infinities, zeros and denormals among the numbers."""
    rng = np.random.default_rng(start)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308])
    columns: dict[str, Array] = {}
    for name, column in COLUMNS.items():
        if column.optional and not optional:
            continue
        shape = (stop - start, *(sizes[axis] for axis in column.axes))
        if column.dtype == "i8":
            columns[name] = np.broadcast_to(np.arange(start, stop), shape).copy()
        else:
            columns[name] = np.where(rng.random(shape) < 0.3, rng.choice(odd, shape), rng.normal(size=shape))
    columns["wall_s"] = 0.01 * np.arange(start + 1, stop + 1)
    return columns


def same(got: Array, wanted: Array) -> bool:
    """Whether two arrays hold the same bits."""
    return got.shape == wanted.shape and got.dtype == wanted.dtype and got.tobytes() == wanted.tobytes()
