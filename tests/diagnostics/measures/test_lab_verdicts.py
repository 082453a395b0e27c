"""The verdicts of the Lab's runs, to the letter, as they were before runs of other people's models came to be judged.

``python -m tests.diagnostics.measures.test_lab_verdicts`` writes them anew, where they are to change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnostics.measures.verdict import verdict
from diagnostics.records import Run
from tests.diagnostics.charts.samples import facts_of, france_facts, powers, run_of

KEPT = Path(__file__).with_name("lab_verdicts.json")
LAGS = 44
FACTS = facts_of(length=LAGS + 1, distance=40)


def cases() -> Iterator[tuple[str, Run]]:
    """Runs of the Lab of every verdict and cell, with and without clipping, solved and not."""
    for cell, alpha, clip, success in product(
        ("tanh", "relu", "sigmoid", "identity", "gru", "lstm"),
        (0.5, 0.01 ** (1 / 39.5), 0.999, 1.5),
        ("none", "norm:1.0"),
        (0.1, 1.0),
    ):
        spec = {"cell": cell, "clip": clip, "init": "torch", "gate_bias": 1.0, "learning_rate": 0.01}
        run = run_of(powers(alpha, LAGS), facts=FACTS, spec=spec, success=[success], pre=np.full(200, 9.0))
        yield f"{cell}, {alpha:.3g} per step, {clip}, success {success:g}", run
    for state, alpha, cell in product(("running", "diverged", "stopped"), (0.5, 1.5), ("relu", "lstm")):
        spec = {"cell": cell, "clip": "none", "learning_rate": 0.1, "gate_bias": "chrono"}
        yield f"{cell}, {alpha:g} per step, {state}", run_of(powers(alpha, LAGS), facts=FACTS, spec=spec, state=state)
    broken = run_of(powers(1.25, LAGS), facts=FACTS, state="diverged", loss=np.append(np.full(9, 3.0), np.inf))
    yield "a loss that broke", broken
    for chunk in (20, 42):
        profile = powers(0.9, LAGS)
        profile[:, chunk:] = 0
        yield f"truncated at {chunk}", run_of(profile, facts=FACTS, spec={"cell": "gru", "truncate": chunk})
    yield "without recurrence", run_of(powers(0.9, LAGS), facts=FACTS, spec={"model": "bag"}, success=[0.5])
    yield "no profile yet", run_of(np.empty((0, LAGS + 1)), facts=FACTS, state="running", loss=np.empty(0))
    yield "nothing at the loss", run_of(np.zeros((5, LAGS + 1)), facts=FACTS)
    france = france_facts(20)
    yield "France", run_of(powers(0.7, france.loss_step), facts=france, spec={"cell": "tanh"}, success=[0.08])


def said(run: Run) -> dict[str, Any]:
    """All that a verdict says in words, and its kind."""
    found = verdict(run)
    words = {"headline": found.headline, "sentence": found.sentence, "advice": list(found.advice)}
    return {"kind": found.kind, "never_below": found.never_below, **words}


EXPECTED: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
CASES = dict(cases())


def test_every_case_is_kept() -> None:
    assert list(EXPECTED) == list(CASES)
    assert {one["kind"] for one in EXPECTED.values()} == {"vanishing", "reaches", "exploding", "diverged", None}


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_of_the_lab_is_what_it_was(name: str) -> None:
    assert said(CASES[name]) == EXPECTED[name]


if __name__ == "__main__":
    made = {name: said(run) for name, run in CASES.items()}
    KEPT.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
