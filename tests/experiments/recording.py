"""A recorder that keeps everything in memory, for tests."""

from collections.abc import Mapping

from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Array, Records, Run, TaskFacts
from experiments.spec import RunSpec
from experiments.train import Outcome, train


class Memory:
    """Keeps what it is given; asks to stop once ``stop_after`` steps have been asked about."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.parts: list[Records] = []
        self.facts: TaskFacts | None = None
        self.info: Mapping[str, str] = {}
        self.weights: dict[int, Mapping[str, Array]] = {}
        self.update_ratios: dict[int, Mapping[str, float]] = {}
        self.asked = 0
        self._stop_after = stop_after

    def begin(self, facts: TaskFacts, info: Mapping[str, str]) -> None:
        assert self.facts is None
        self.facts, self.info = facts, info

    def add(self, columns: Mapping[str, Array]) -> None:
        self.parts.append(Records(columns))

    def keep(self, step: int, weights: Mapping[str, Array], update_ratio: Mapping[str, float]) -> None:
        assert step not in self.weights
        self.weights[step], self.update_ratios[step] = weights, update_ratio

    def stop_requested(self) -> bool:
        self.asked += 1
        return self._stop_after is not None and self.asked >= self._stop_after

    @property
    def records(self) -> Records:
        return Records.concatenate(self.parts)


def trained(spec: RunSpec) -> tuple[Outcome, Records, Verdict]:
    """Train and judge."""
    memory = Memory()
    outcome = train(spec, memory)
    run = Run("r", spec.label(), outcome.state, spec.to_json(), memory.facts, memory.records, outcome.detail)
    return outcome, memory.records, verdict(run)
