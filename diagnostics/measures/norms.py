"""Norms of gradients and states, per sample or whole, in float64 (torch).

A float32 norm says 0 where the squares underflow and inf where they overflow, while the gradient is neither.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sample_norms(values: Tensor) -> NDArray[np.float64]:
    """‖values[t, b, :]‖₂ for ``values`` [T,B,·], as float64 [T,B]; nan and infinity stay what they are."""
    values = values.detach()
    if values.device.type == "mps":  # it has no float64
        values = values.cpu()
    norms: NDArray[np.float64] = torch.linalg.vector_norm(values, dim=-1, dtype=torch.float64).cpu().numpy()
    return norms
