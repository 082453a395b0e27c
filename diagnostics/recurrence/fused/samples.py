"""What is measured of every sample at every timestep, on tensors [T,B,H] of float32, compiled for this processor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.recurrence.fused.compiled import Kernel

_ROWS = ", ".join(["int64"] * 6)

KERNELS = (
    Kernel("diagnostics.recurrence.fused.rows:norms", f"{_ROWS}, int64"),
    Kernel("diagnostics.recurrence.fused.rows:flat", f"{_ROWS}, float32, float32, int64"),
)
_norms, _flat = KERNELS


def norms(values: Tensor, out: NDArray[np.float64]) -> None:
    """‖values[t, b, :]‖₂ in float64 into ``out`` [T,B], which lies in one piece."""
    values, rows = _rows(values)
    _norms(values.data_ptr(), *rows, out.ctypes.data)


def beyond(values: Tensor, centre: float, distance: float, counts: NDArray[np.int64]) -> None:
    """Add to ``counts`` [T] how many entries of each timestep are farther than ``distance`` from ``centre``."""
    values, rows = _rows(values)
    _flat(values.data_ptr(), *rows, centre, distance, counts.ctypes.data)


def equal(values: Tensor, centre: float, counts: NDArray[np.int64]) -> None:
    """Add to ``counts`` [T] how many entries of each timestep are ``centre``."""
    beyond(values, centre, -1.0, counts)


def _rows(values: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """The tensor, copied where a row is not in one piece; T, B, H, and the bytes between steps and between rows."""
    if values.stride(2) != 1:
        values = values.contiguous()
    return values, (*values.shape, 4 * values.stride(0), 4 * values.stride(1))
