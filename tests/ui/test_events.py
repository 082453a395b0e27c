"""What clipping did, in the words of the Lab, of the report and of the page Clipping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diagnostics.export.report import report_html
from diagnostics.records import Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from ui.events import listed
from ui.seed_verdicts import seeds_in_words
from ui.verdicts import in_words


def erased(seed: int = 0) -> Run:
    pre, post = np.array([0.5, 1e21, 0.5, 0.2]), np.array([0.5, 0.0, 0.5, 0.2])
    run = run_of(powers(0.9, 8, 2), facts=facts_of(9, 6), loss=np.full(4, 2.0), pre=pre, post=post)
    return replace(run, id=f"r-{seed}", name="<b>", spec={**run.spec, "seed": seed})


def test_a_fault_stands_in_the_words_of_the_lab_with_its_mark() -> None:
    said = in_words([erased()], "light")
    assert '<span class="fault">⚠ Clipping erased the update at training step 1' in said
    assert "<b>" not in said


def test_over_seeds_it_is_said_once() -> None:
    said = seeds_in_words([erased(0), erased(1)], "dark")
    assert said.count("Clipping erased") == 1
    assert "In 2 of 2 seeds (here seed 0)" in said


def test_the_page_clipping_lists_runs_that_have_something_to_say() -> None:
    quiet = replace(erased(), spec={"clip": "none"})
    assert listed([quiet], "light") == ""
    assert listed([quiet, erased(1)], "light").count("<p ") == 1


def test_the_report_says_it_of_each_run_and_over_seeds() -> None:
    page = report_html([erased(0), erased(1)], created_s=0.0, drawn=[])
    assert page.count("⚠ Clipping erased the update") == 2
    assert page.count("⚠ In 2 of 2 seeds") == 1
