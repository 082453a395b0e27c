"""Reach, decay, norms and figures for Weights & Biases.

from diagnostics.integrations import wandb as to_wandb

run = wandb.init(mode="offline")
to_wandb.forward(w, run, step)  # while training runs, as often as one likes
to_wandb.forward(w, run, step, figures=["profile"])  # at the end
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.integrations import sending
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch


def forward(w: Watch, sink: Any, step: int | None = None, *, figures: Sequence[str] = ()) -> dict[str, float]:
    """Send what ``w`` knows by now to ``sink``, what ``wandb.init`` returned, and return the numbers that were sent.

    ``step``: the run's step, which W&B wants to grow; None: the newest that was watched. ``figures``: keys as of
    ``w.figure``, sent as figures that one can zoom.
    """
    wandb: Any = needed("wandb", "wandb")
    sent = sending.numbers(w)
    shown = {name: wandb.Plotly(figure) for name, figure in sending.drawn(w, figures).items()}
    sink.log({**sent, **shown}, step=sending.last_step(w) if step is None else step)
    if shown:
        sink.summary["gradreach/verdict"] = w.verdict.sentence
    return sent
