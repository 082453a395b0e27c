"""Weights in the layout that tiles read."""

from __future__ import annotations

import torch
from torch import Tensor

from diagnostics.recurrence.fused.processor import lanes


def pack(w: Tensor, gates: int = 1) -> Tensor:
    """Lay out the weights of ``gates`` blocks of rows [G·H,K] as tiles read them: [⌈H/W⌉,G,K,W], zeros in lanes past H.

    A tile of all gates of W units, as one of several vectors of units where G is 1, finds its weights K·W apart.
    """
    W, H, K = lanes(), w.shape[0] // gates, w.shape[1]
    blocks = -(-H // W)
    by_gate = w.reshape(gates, H, K)
    if H % W:
        by_gate = torch.nn.functional.pad(by_gate, (0, 0, 0, blocks * W - H))
    return by_gate.reshape(gates, blocks, W, K).permute(1, 0, 3, 2).contiguous()
