"""The numbers by which a run is known in tables, reports and on the command line: one definition for all of them."""

from __future__ import annotations

import math
from typing import Any

from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Run
from diagnostics.strict_json import encode


def summary(run: Run, judged: Verdict | None = None) -> dict[str, Any]:
    """A run in strict JSON values; non-finite numbers are the strings "nan", "inf", "-inf".

    ``steps`` is the number of training steps recorded; ``loss`` as in :func:`final_loss`; ``success`` and ``chance``
    are shares, 0 to 1; ``cell`` is the kind of network where it has none. ``judged`` spares computing the verdict
    again.
    """
    judged = judged or verdict(run)
    answer: dict[str, Any] = encode(
        {
            "id": run.id,
            "cell": run.cell or None,
            "seed": run.spec.get("seed"),
            "clip": run.spec.get("clip"),
            "state": run.state,
            "steps": run.records.rows("step"),
            "loss": final_loss(run),
            "success": judged.success,
            "chance": judged.chance,
            "verdict": judged.to_json(),
        }
    )
    return answer


def final_loss(run: Run) -> float:
    """The loss last measured on the held-out set; where none was yet, of the last training step; nan without either."""
    values = run.records["eval_loss"] if run.records.rows("eval") else run.records["loss"]
    return float(values[-1]) if len(values) else math.nan
