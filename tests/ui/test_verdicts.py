from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from diagnostics.records import COLUMNS, Records, Run
from tests.diagnostics.measures.test_watched_verdict import watched
from ui.verdicts import in_words, verdicts

STEP = [name for name, column in COLUMNS.items() if column.stream == "step" and name != "step"]


def run(detail: str) -> Run:
    spec = {"task": "france", "gap": 10, "cell": "gru", "steps": 20}
    return Run(id="r-1", name="GRU", state="running", spec=spec, facts=None, records=Records({}), detail=detail)


def test_what_a_run_does_before_its_first_step_is_said():
    said = verdicts([run("compiling the loops")], {}, "light")
    assert "<small>preparing</small>" in said
    assert "Compiling the loops.</p>" in in_words([run("compiling the loops")], "light")


def test_a_run_that_has_nothing_to_prepare_is_training():
    assert "<small>training</small>" in verdicts([run("")], {}, "light")


def test_where_the_first_value_was_not_finite_is_said_beside_the_verdict():
    where = "the first value that was not finite: 3 of 64 entries of the state h, timestep 17 (infinite)"
    records = Records({"step": np.arange(2), **{name: np.ones(2) for name in STEP}, "loss": np.array([1.0, np.nan])})
    broken = replace(run(f"diverged at step 1: the loss is nan; {where}"), state="diverged", records=records)
    said = in_words([broken], "light")
    assert f"{where[:1].upper()}{where[1:]}." in said
    assert "first value" not in in_words([replace(broken, detail="diverged at step 1: the loss is nan")], "light")


def test_a_direction_that_is_read_where_its_walk_begins_has_no_way_to_tell_of():
    run = watched(1.0, direction="reverse")
    facts = replace(run.facts, loss_step=0, distance=0)
    row = re.sub("<[^>]*>", "", verdicts([replace(run, facts=facts)], {}, "light"))
    assert "reachto its own step" in row
    assert "all 0" not in row
    assert "at the farthest step× 1" in row
