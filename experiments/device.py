"""Which device computes: what a spec asks for, against what this machine has."""

from __future__ import annotations

import torch

from experiments.spec import Refusal

WORTH_A_GPU = 32768
"""Batch × hidden from which ``auto`` takes a GPU: below, a product is over before the next one can be started."""


def choose(device: str, state_size: int) -> torch.device:
    """The torch device for ``device``; for ``auto``, ``state_size`` = batch × hidden decides.

    Raises ``Refusal`` where this machine has no such device.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = "cuda" if present["cuda"] and state_size >= WORTH_A_GPU else "cpu"
    if not present[device]:
        has = ", ".join(name for name, there in present.items() if there)
        raise Refusal(f"device must be one that this machine has (auto, {has}), but got {device!r}")
    return torch.device(device)
