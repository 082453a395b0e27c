import pytest

from diagnostics.inspection import SECTIONS
from experiments.inspection import cost
from experiments.inspection.asked import Asked
from experiments.inspection.compute import inspect
from experiments.inspection.cost import predict, unaffordable
from experiments.spec import Refusal, RunSpec

BASE = RunSpec.make(task="adding", gap=100, cell="gru", hidden=64, device="cpu")


def test_every_section_has_a_part_and_the_whole_is_their_sum():
    whole = predict(BASE, Asked())
    assert list(whole.parts) == list(SECTIONS)
    assert all(part > 0 for part in whole.parts.values())
    assert whole.seconds == pytest.approx(sum(whole.parts.values()))
    assert list(predict(BASE, Asked(sections=("theory", "states"))).parts) == ["states", "theory"]


@pytest.mark.parametrize("larger", [{"hidden": 128}, {"gap": 200}, {"layers": 2}, {"cell": "lstm"}])
def test_what_is_larger_costs_more(larger):
    assert predict(BASE.changed(**larger), Asked()).seconds > predict(BASE, Asked()).seconds
    assert predict(BASE.changed(**larger), Asked()).memory_bytes > predict(BASE, Asked()).memory_bytes


def test_more_samples_cost_more():
    assert predict(BASE, Asked(samples=8)).seconds > predict(BASE, Asked(samples=4)).seconds


def test_the_exponents_of_few_samples_cost_as_much_as_those_of_four():
    """They have four random starts at least."""
    one, four, eight = (predict(BASE, Asked(samples, ("lyapunov",))) for samples in (1, 4, 8))
    assert one.seconds == pytest.approx(four.seconds)
    assert one.memory_bytes > predict(BASE, Asked(1, ("theory",))).memory_bytes
    assert eight.seconds > four.seconds


def test_what_the_memory_cannot_hold_is_refused_before_it_is_begun(monkeypatch):
    assert unaffordable(BASE, Asked()) == ""
    monkeypatch.setattr(cost, "MEMORY_SHARE", 1e-9)
    said = unaffordable(BASE, Asked(samples=7))
    assert said.startswith("samples must be few enough for")
    assert "of memory that are free, but 7 are predicted to need" in said
    with pytest.raises(Refusal, match="samples must be few enough"):
        inspect("r", BASE, 0, {}, Asked(samples=7), lambda share, section: None)
