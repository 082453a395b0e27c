"""What the prepared sweeps promise, trained: one where clipping is needed, and one that it harms."""

import pytest
import torch

from diagnostics.measures.sweep import Point, Rule, findings, sweep
from diagnostics.records import Run
from experiments.sweep import PRESETS
from experiments.train import train
from tests.experiments.recording import Memory

pytestmark = pytest.mark.gates
torch.set_num_threads(1)

NONE = Rule("none", float("inf"))


def outcome(preset: str, rules: set[str]) -> tuple[dict[Rule, Point], str]:
    """What came of some of a preset's rules, with all its seeds."""
    runs = []
    for spec in PRESETS[preset].sweep.specs():
        if spec.clip in rules:
            memory = Memory()
            ended = train(spec, memory)
            told = spec.to_json()
            runs.append(Run(spec.digest()[:8], spec.label(), ended.state, told, memory.facts, memory.records))
    (series,) = sweep(runs)
    return {point.rule: point for point in series.points}, findings([series])[0]


def test_where_clipping_is_needed() -> None:
    points, said = outcome("needed", {"none", "norm:0.3", "norm:1.0", "value:0.03", "value:3.0"})
    assert points[NONE].reached == 0
    assert points[NONE].success.median < 0.5
    assert points[Rule("value", 3.0)].reached == 0  # so high that it hardly ever engages
    for rule in (Rule("norm", 0.3), Rule("norm", 1.0), Rule("value", 0.03)):
        assert points[rule].reached == points[rule].ended == 3
    assert "clipping is needed" in said


def test_where_clipping_harms() -> None:
    points, said = outcome("harms", {"none", "norm:0.03", "norm:0.1", "norm:3.0", "value:0.01", "value:1.0"})
    assert points[NONE].reached == 3
    for rule in (Rule("norm", 0.03), Rule("norm", 0.1), Rule("value", 0.01)):
        assert points[rule].reached == 0
    assert points[Rule("norm", 3.0)].reached == 3
    assert "clipping harms by norm at 0.1 and below" in said
