"""Reach, decay, norms and figures for MLflow (the packages ``mlflow`` and ``mlflow-skinny``).

from diagnostics.integrations import mlflow as to_mlflow

with mlflow.start_run() as run:
    to_mlflow.forward(w, run, step)  # while training runs, as often as one likes
    to_mlflow.forward(w, run, step, figures=["profile"])  # at the end
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.integrations import sending
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch


def forward(w: Watch, sink: Any, step: int | None = None, *, figures: Sequence[str] = ()) -> dict[str, float]:
    """Send what ``w`` knows by now to ``sink``, what ``mlflow.start_run`` returned, and return the numbers sent.

    ``step``: the training step; None: the newest that was watched. ``figures``: keys as of ``w.figure``, kept as
    artifacts, each an HTML page that fetches nothing.
    """
    mlflow: Any = needed("mlflow", "mlflow")
    run_id = sink.info.run_id
    sent = sending.numbers(w)
    mlflow.log_metrics(sent, step=sending.last_step(w) if step is None else step, run_id=run_id)
    shown = sending.drawn(w, figures)
    for name, figure in shown.items():
        mlflow.MlflowClient().log_text(run_id, sending.page(w, name, figure), f"{name}.html")
    if shown:
        mlflow.MlflowClient().log_text(run_id, sending.in_words(w), "gradreach/verdict.md")
    return sent
