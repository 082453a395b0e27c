from __future__ import annotations

from diagnostics.records import Records, Run
from ui.verdicts import in_words, verdicts


def run(detail: str) -> Run:
    spec = {"task": "france", "gap": 10, "cell": "gru", "steps": 20}
    return Run(id="r-1", name="GRU", state="running", spec=spec, facts=None, records=Records({}), detail=detail)


def test_what_a_run_does_before_its_first_step_is_said():
    said = verdicts([run("compiling the loops")], {}, "light")
    assert "<small>preparing</small>" in said
    assert "Compiling the loops.</p>" in in_words([run("compiling the loops")], "light")


def test_a_run_that_has_nothing_to_prepare_is_training():
    assert "<small>training</small>" in verdicts([run("")], {}, "light")
