from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import timescales
from tests.diagnostics.charts.inspections import inspection_of


def gates(kind: int, index: int, value: float) -> np.ndarray:
    found = np.full((1, kind, 12, 3, 5), 0.5, dtype="f4")
    found[0, index] = value
    return found


@pytest.mark.parametrize(("cell", "count", "index", "name"), [("gru", 3, 1, "Update gate z"), ("lstm", 4, 1, "Forget")])
def test_it_is_of_the_gate_that_keeps_memory(cell: str, count: int, index: int, name: str) -> None:
    prepared = timescales.prepare(inspection_of(cell, gates=gates(count, index, 0.75)))
    assert prepared.found.median == 4
    assert prepared.found.counts.sum() == 12 * 3 * 5
    assert f"{name}" in timescales.describe(prepared)
    assert "0 % hold for at least the 9 steps back to France" in timescales.describe(prepared)


def test_gates_of_exactly_one_stand_apart() -> None:
    values = gates(4, 1, 0.9)
    values[0, 1, :6] = 1.0
    prepared = timescales.prepare(inspection_of("lstm", gates=values))
    bins, ones = timescales.draw(prepared).data
    assert ones.xaxis == "x2"
    assert ones.y[0] == pytest.approx(0.5)
    assert sum(bins.y) == pytest.approx(0.5)
    assert prepared.beyond == 1.0
    assert "90 are exactly 1" in timescales.describe(prepared)


def test_only_the_way_to_the_loss_counts() -> None:
    values = gates(4, 1, 0.5)
    values[0, 1, 6:] = 1.0
    early = replace(inspection_of("lstm"), loss_step=5, arrays={"gates": values})
    assert timescales.prepare(early).found.forever == 0


def test_a_cell_without_gates_says_so() -> None:
    prepared = timescales.prepare(inspection_of("tanh"))
    assert "A tanh cell has no gate that keeps memory" in timescales.describe(prepared)
    assert not timescales.draw(prepared).data
