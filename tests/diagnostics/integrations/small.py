"""Small parts of small trainings, and the foreign packages, imported only where a test asks for them."""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).parents[3]
T, I, H = 12, 3, 6  # noqa: E741


def foreign(name: str, *, pinned: bool = True) -> ModuleType:
    """The real package; what it warns of while it is imported is its own affair.

    Without it the test is skipped; in CI it fails, where the package is ``pinned`` for the tests.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            sentence = f"{error.name} is not installed, so it was not tested with: pip install {error.name}"
            pytest.fail(sentence) if pinned and os.environ.get("CI") else pytest.skip(sentence)


def norm(parameters: Any) -> float:
    """The l2 norm of all gradients together, in float64."""
    gradients = [p.grad.detach().double().flatten() for p in parameters if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.cat(gradients))) if gradients else 0.0


def batches(count: int, size: int = 4) -> list[tuple[Tensor, Tensor]]:
    """[size,T,I] and the classes [size]."""
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, T, I, generator=generator), torch.randint(2, (size,), generator=generator))
        for _ in range(count)
    ]
