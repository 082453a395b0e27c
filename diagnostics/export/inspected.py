"""An inspection as files: each quantity as CSV, the whole of it as strict JSON or as the .npz that it is kept in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.export.tables import Cell, csv_text, safe_text
from diagnostics.inspection import QUANTITIES, Inspection, save
from diagnostics.records import Array
from diagnostics.strict_json import dumps

_AXES = {
    "L": "layer",
    "T": "timestep",
    "B": "sample",
    "H": "unit",
    "S": "place",
    "G": "gate",
    "J": "timestep",
    "K": "steps",
    "M": "chunk",
    "R": "timesteps",
    "A": "answer_step",
    "P": "parameter",
    "N": "bin",
    "2": "part",
}
_WHERE = {
    "J": "jacobian_steps",
    "K": "product_lags",
    "M": "chunk",
    "R": "memory_steps",
    "A": "answer_steps",
    "P": "parameter_names",
}
"""Axes whose places are named by a quantity beside."""


def quantity_csv(inspection: Inspection, name: str) -> str:
    """One line per entry, with a column for each axis and one for the value; ``KeyError`` where there is no such.

    Layers, samples, units and timesteps are counted from 0; gates have their letters, and ``all`` for all of them.
    """
    quantity = QUANTITIES[name]
    values = inspection[name]
    header = [_AXES[axis.partition("+")[0]] for axis in quantity.axes]
    unit = f"{name} [{quantity.unit}]" if quantity.unit else name
    return csv_text([*header, unit], _rows(inspection, quantity.axes, values))


def _rows(inspection: Inspection, axes: Sequence[str], values: Array) -> Iterator[list[Cell]]:
    labels = [_labels(inspection, axis, size) for axis, size in zip(axes, values.shape, strict=True)]
    for place, value in zip(np.ndindex(values.shape), values.ravel().tolist(), strict=True):
        cell = safe_text(value) if isinstance(value, str) else value
        yield [*(labels[axis][index] for axis, index in enumerate(place)), cell]


def _labels(inspection: Inspection, axis: str, size: int) -> Sequence[Cell]:
    letter = axis.partition("+")[0]
    if letter == "G":
        return [*inspection.gate_names, "all"][:size]
    if letter == "2":
        return ["real", "imaginary"]
    if (name := _WHERE.get(letter, "")) in inspection and len(inspection[name]) == size:
        return [safe_text(value) if isinstance(value, str) else value for value in inspection[name].tolist()]
    return list(range(size))


def document(inspection: Inspection, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """The whole inspection as JSON data, each quantity with its axes, unit and meaning, but for those left out."""
    return {
        "run": inspection.run_id,
        "step": inspection.step,
        "cell": inspection.cell,
        "kind": inspection.kind,
        "layers": inspection.layers,
        "samples": inspection.samples,
        "timesteps": inspection.timesteps,
        "gates": inspection.gate_names,
        "tokens": inspection.tokens,
        "informative_steps": inspection.informative_steps,
        "loss_step": inspection.loss_step,
        "truncate": inspection.truncate or None,
        "quantities": {
            name: {
                "section": QUANTITIES[name].section,
                "axes": QUANTITIES[name].axes,
                "unit": QUANTITIES[name].unit,
                "meaning": QUANTITIES[name].meaning,
                "values": inspection[name],
            }
            for name in inspection
            if name not in leave_out
        },
    }


def inspection_json(inspection: Inspection) -> bytes:
    """The whole inspection as strict JSON."""
    return dumps(document(inspection)).encode()


def inspection_npz(inspection: Inspection) -> bytes:
    """The whole inspection as ``diagnostics.inspection.save`` writes it, for NumPy."""
    with tempfile.TemporaryDirectory(prefix="gradreach-") as folder:
        path = Path(folder) / "inspection.npz"
        save(inspection, path)
        return path.read_bytes()
