"""What is known of some runs at one moment."""

from __future__ import annotations

from dataclasses import replace

from diagnostics.records import COLUMNS, Records
from ui.example import runs
from ui.reading import Reading


def test_live_follows_the_run_in_training_and_not_the_end_that_another_has_reached() -> None:
    done, growing = runs()[0], runs()[2]
    cut = {n: v[:5] if COLUMNS[n].stream == "profile" else v for n, v in growing.records.items()}
    growing = replace(growing, state="running", records=Records(cut))
    reading = Reading((done, growing), (), ())
    assert reading.newest_step == int(done.records["profile_step"][-1])
    assert reading.training_step == int(growing.records["profile_step"][4])
    assert Reading((done,), (), ()).training_step == reading.newest_step
