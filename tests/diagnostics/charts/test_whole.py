from __future__ import annotations

from dataclasses import replace

from diagnostics.charts.palette import styles
from diagnostics.charts.whole import wholes
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import story
from tests.diagnostics.charts.test_watched import run


def part(name: str, comparison: str, *, begun: bool = True) -> Run:
    one = replace(run(), id=f"{comparison}-{name}", name=name, comparison=comparison)
    return one if begun else replace(one, records=Records.empty(), state="running")


def test_the_parts_of_a_model_are_one_and_runs_of_the_lab_are_not() -> None:
    lab = [replace(one, id=f"l-{i}", comparison="c-3") for i, one in enumerate(story())]
    shown = [part("encoder", "c-1"), part("decoder", "c-1"), part("other", "c-2"), *lab]
    found = wholes(shown)
    assert [one.label for one in found[:2]] == ["encoder", "other"]
    assert [one.parts for one in found] == [2, 1, *[1] * len(lab)]
    kept = [shown[0], *shown[2:]]
    assert [one.group.runs for one in found] == [(one,) for one in kept]
    assert [one.style for one in found] == [styles(shown)[shown.index(one)] for one in kept]


def test_a_model_is_shown_by_the_first_part_that_has_begun() -> None:
    late, early = part("encoder", "c-1", begun=False), part("decoder", "c-1")
    assert [one.label for one in wholes([late, early])] == ["decoder"]
    assert [one.label for one in wholes([late, part("decoder", "c-1", begun=False)])] == ["encoder"]


def test_runs_of_no_comparison_are_apart() -> None:
    assert len(wholes([part("one", ""), part("other", "")])) == 2
    assert wholes([]) == []
