import numpy as np
import pytest
import torch

import tasks
from experiments.inspection.memory import measured_memory, peak_bytes
from experiments.spec import RunSpec


def test_the_peak_is_the_most_that_was_held_at_a_time() -> None:
    def run() -> torch.Tensor:
        first = torch.empty(1000)
        del first
        second, third = torch.empty(300), torch.empty(500)
        del second
        return third

    assert peak_bytes(run) == 4000
    assert peak_bytes(lambda: None) == 0


def test_a_failure_leaves_no_profiler_behind() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        peak_bytes(fail)
    assert peak_bytes(lambda: torch.empty(10)) == 40


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("task", [{"task": "adding", "gap": 160}, {"task": "copy", "gap": 140}], ids=["one", "many"])
def test_memory_grows_with_the_sequence_unless_it_is_cut(cell: str, task: dict[str, object]) -> None:
    spec = RunSpec.make(cell=cell, hidden=16, batch=8, truncate=10, **task)
    built = tasks.build(spec.task, spec.gap, spec.length, spec.wiring)
    said: list[float] = []
    found = measured_memory(spec, built, said.append)
    assert found.steps[-1] == built.length
    assert (found.batch, found.chunk) == (8, 10)
    growth = np.diff(found.full) / np.diff(found.steps)
    np.testing.assert_allclose(growth, growth.mean(), rtol=0.05)  # linear in T
    assert (found.truncated < found.full).all()
    assert found.truncated[-1] < 1.3 * found.truncated[0]
    assert said == sorted(said)
    again = measured_memory(spec, built)
    np.testing.assert_array_equal(again.full, found.full)  # counted, so the same every time


def test_a_chunk_of_the_whole_sequence_takes_as_much_as_none() -> None:
    spec = RunSpec.make(cell="gru", task="adding", gap=40, hidden=8, batch=4, truncate=40)
    built = tasks.build(spec.task, spec.gap, spec.length, spec.wiring)
    found = measured_memory(spec, built)
    np.testing.assert_array_equal(found.full, found.truncated)
