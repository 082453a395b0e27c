import numpy as np
import pytest

from diagnostics.measures.advice import bias_for, time_scale
from diagnostics.measures.verdict import Verdict, verdict
from tests.diagnostics.charts.samples import facts_of, powers, run_of

INSTRUCTIONS = {"Try", "Compare", "Choose", "Start", "Leave", "Look", "Give", "Begin"}
FACTS = facts_of(length=45, distance=40)  # d = 40 of K = 44 steps


def judge(alpha: float, **more: object) -> Verdict:
    return verdict(run_of(powers(alpha, 44), facts=FACTS, **more))


def test_what_diverges_before_its_first_update_is_not_blamed_on_the_learning_rate() -> None:
    loss = np.array([np.nan])
    spec = {"cell": "relu", "clip": "none", "learning_rate": 5.0}
    said = " ".join(judge(1.25, state="diverged", loss=loss, spec=spec).advice)
    assert "before the first update" in said
    assert "learning rate of" not in said


@pytest.mark.parametrize("clip", ["norm:1.0", "value:0.1", "none"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_clipping_is_never_said_to_set_the_size_of_an_update(clip: str, alpha: float) -> None:
    spec = {"cell": "tanh", "clip": clip, "init": "torch", "optimizer": "adam"}  # Adam divides the length out again
    said = " ".join(judge(alpha, success=[0.1], spec=spec, pre=np.full(200, 9.0)).advice)
    assert "size of" not in said
    assert "bounds the update" not in said


def test_what_solved_a_task_is_told_of_its_gate_only_where_it_has_one() -> None:
    for cell, gate in (("tanh", None), ("relu", None), ("identity", None), ("gru", "an update"), ("lstm", "a forget")):
        (said,) = judge(1.0, success=[1.0], spec={"cell": cell}).advice
        assert said.startswith("Choose a longer gap")
        assert ("gate" in said) == (gate is not None)
        assert gate is None or f"{gate} gate that starts closed" in said


def test_what_diverged_unclipped_is_first_told_to_clip_at_its_own_scale() -> None:
    loss = np.append(np.full(9, 3.0), np.nan)
    norms = np.array([2.0, 4.0, 6.0, 8.0, 7.0, 5.0, 3.0, 9.0, 1e5, np.nan])
    spec = {"cell": "identity", "clip": "none", "learning_rate": 0.005}
    said = judge(1.25, state="diverged", loss=loss, pre=norms, spec=spec).advice
    assert said[0] == (
        "Try clipping by norm at 6 (this run's median norm) or lower: it bounds the gradient that an update is made "
        "from, not its growth through time."
    )
    assert said[1] == "Try a learning rate of 5·10⁻⁴ instead of 0.005."
    clipped = judge(1.25, state="diverged", loss=loss, pre=norms, spec={**spec, "clip": "norm:1.0"}).advice
    assert clipped[0] == said[1]
    assert not any("Try clipping" in line for line in clipped)


@pytest.mark.parametrize(
    ("norm", "wanted"),
    [
        (1.9e26, "Try clipping by norm at 10¹², the highest threshold there is, or lower: it bounds"),
        (1e-20, "Try clipping by norm: it bounds"),
    ],
)
def test_no_threshold_is_advised_that_is_refused(norm: float, wanted: str) -> None:
    loss = np.append(np.full(9, 3.0), np.nan)
    spec = {"cell": "identity", "clip": "none", "learning_rate": 0.005}
    assert judge(1.25, state="diverged", loss=loss, pre=np.full(10, norm), spec=spec).advice[0].startswith(wanted)


def test_advice_speaks_of_the_runs_own_gate() -> None:
    closed = judge(0.5, spec={"cell": "lstm", "gate_bias": 1.0}).advice
    assert closed[0] == (
        "Try a forget gate bias of 3.7, or chrono: it starts with 1, a time scale of 3.7 steps against 40 to bridge."
    )
    assert "training closed it" in judge(0.5, spec={"cell": "gru", "gate_bias": 5.0}).advice[0]
    assert (
        "Try a constant forget gate bias of 3.7" in judge(0.5, spec={"cell": "lstm", "gate_bias": "chrono"}).advice[0]
    )
    assert time_scale(bias_for(40)) == pytest.approx(40)


@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "identity", "gru", "lstm"])
@pytest.mark.parametrize("clip", ["none", "norm:1.0", "value:0.1"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("state", ["finished", "diverged"])
def test_advice_is_short_and_never_sells_clipping(cell: str, clip: str, alpha: float, state: str) -> None:
    spec = {"cell": cell, "clip": clip, "init": "torch"}
    found = judge(alpha, state=state, success=[0.1], spec=spec).advice
    assert 1 <= len(found) <= 3
    assert all(said.endswith(".") and len(said) < 190 for said in found)
    assert not any(word in " ".join(found) for word in ("nan", "None", "will help", "clip more"))
    assert {said.split(" ")[0] for said in found} <= INSTRUCTIONS
    if clip == "none":
        assert not any("engaged" in said for said in found)
    if cell in ("tanh", "sigmoid", "relu", "identity"):
        assert not any("starts closed" in said for said in found)
