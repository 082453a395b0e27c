"""Norms of gradients and states, per sample or whole, in float64 (torch).

A float32 norm says 0 where the squares underflow and inf where they overflow, while the gradient is neither.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.recurrence import paths


def sample_norms(values: Tensor, out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """‖values[t, b, :]‖₂ for ``values`` [T,B,·], as float64 [T,B]; nan and infinity stay what they are.

    ``out`` [T,B], in one piece, takes them where it is given.
    """
    values = values.detach()
    if out is None:
        out = np.empty(values.shape[:2])
    if (compiled := paths.samples_for(values)) is not None:
        compiled.norms(values, out)
        return out
    if values.device.type == "mps":  # it has no float64
        values = values.cpu()
    out[:] = torch.linalg.vector_norm(values, dim=-1, dtype=torch.float64).cpu().numpy()
    return out
