"""What an inspection will cost, before anything is computed. Free of torch.

The seconds are a model fitted to ``benchmarks/inspect_time.py`` (one thread of a server's processor); they are an
estimate, good for the order of magnitude and for how far a computation is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from diagnostics.measures.lyapunov import starts_of
from experiments.cost import MEMORY_SHARE, amount
from experiments.inspection.asked import Asked
from experiments.spec import RunSpec
from models.cells import CELLS

_PER_PASS = (1.1e-4, 0.7e-4)
"""Seconds per timestep and layer of a forward or backward pass: for any cell, and per gate."""
# Seconds per entry of a Jacobian [S,S] times S, and per entry: what is a matrix product's, and what is not.
_PER_LYAPUNOV = (1.7e-10, 3.7e-8)
_PER_PRODUCT = (2.0e-10, 4.5e-8)
_PER_SPECTRUM = 3e-9
_PER_ONE_STEP = 4e-10
_PER_ITEM = 1.5e-10
_PER_STEP_STATE = 1.4e-8
_STEPS_MEASURED = 3.75
"""Training steps whose memory is measured, in steps of the whole sequence: ⅛, ¼, ½ and all of it, twice each."""
_LEAST_S = 2e-3

_BASE_BYTES = 300 * 2**20
_WORKING_MATRICES = 16
"""How many [B,S,S] in float64 are there at once while products are taken, or as many starts as there are samples."""


@dataclass(frozen=True)
class Cost:
    """A prediction: seconds by section, and peak memory of the process."""

    parts: Mapping[str, float]
    memory_bytes: int

    @property
    def seconds(self) -> float:
        """All sections together."""
        return sum(self.parts.values())


def measured_batch(batch: int, timesteps: int, hidden: int) -> int:
    """How many sequences a step whose memory is measured has, of a run with ``batch``: at most 2²² states, T·B·H."""
    return max(1, min(batch, 2**22 // (timesteps * hidden)))


def predict(spec: RunSpec, asked: Asked) -> Cost:
    """The predicted cost of what is ``asked`` of a run."""
    cell = CELLS[spec.cell]
    T, L, B, H, G = spec.timesteps, spec.layers, asked.samples, spec.hidden, cell.gates
    S = 2 * H if cell.kind == "lstm" else H
    starts = B * starts_of(B)
    lags, answers = T.bit_length(), min(T, 64)
    many = spec.wiring == "many-to-many"
    once = T * L * (_PER_PASS[0] + G * _PER_PASS[1])
    squares = L * B * S**2
    cubes = squares * S
    sequences = measured_batch(spec.batch, T, H)
    measured_step = L * T * (_PER_PASS[0] + G * _PER_PASS[1] + sequences * (_PER_STEP_STATE * H + _PER_ITEM * G * H**2))
    parts = {
        "states": once,
        "profile": once,
        "theory": once / 4 + 1e-8 * L * G * H**3,
        "jacobians": T * (cubes * _PER_PRODUCT[0] + squares * _PER_PRODUCT[1])
        + cubes * (_PER_SPECTRUM * lags + _PER_ONE_STEP * min(T, 64))
        + 4e-4 * T * L,
        "lyapunov": T * starts / B * (cubes * _PER_LYAPUNOV[0] + squares * _PER_LYAPUNOV[1]),
        "weight_gradient": once,
        "itemised": _PER_ITEM * L * T * (answers / 2 if many else 1) * B * G * H**2 + 5e-5 * T * L,
        "truncation": once * lags * (3 if many else 1) + _STEPS_MEASURED * measured_step,
        "parameters": 0.0,
    }
    states = 8 * L * T * B * H * (4 + 12 * G)
    if "truncation" in asked.sections:
        states = max(states, 4 * L * T * sequences * H * (8 + 3 * G))
    memory = _BASE_BYTES + states + 8 * _WORKING_MATRICES * (starts if "lyapunov" in asked.sections else B) * S**2
    return Cost({name: _LEAST_S + parts[name] for name in asked.sections}, memory)


def unaffordable(spec: RunSpec, asked: Asked) -> str:
    """A sentence where this machine has not the memory for it, else ""."""
    needed, available = predict(spec, asked).memory_bytes, psutil.virtual_memory().available
    if needed <= MEMORY_SHARE * available:
        return ""
    return (
        f"samples must be few enough for {MEMORY_SHARE:.0%} of the {amount(available)} of memory that are free, but "
        f"{asked.samples} are predicted to need {amount(needed)}"
    )
