"""Reach, decay, norms and figures for Trackio.

from diagnostics.integrations import trackio as to_trackio

run = trackio.init(project="mine")
to_trackio.forward(w, run, step)  # while training runs, as often as one likes
to_trackio.forward(w, run, step, figures=["profile"])  # at the end
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.integrations import sending
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch


def forward(w: Watch, sink: Any, step: int | None = None, *, figures: Sequence[str] = ()) -> dict[str, float]:
    """Send what ``w`` knows by now to ``sink``, what ``trackio.init`` returned, and return the numbers that were sent.

    ``step``: the training step; None: the newest that was watched. ``figures``: keys as of ``w.figure``, sent as HTML
    pages that fetch nothing.
    """
    trackio: Any = needed("trackio", "trackio")
    sent = sending.numbers(w)
    shown = {name: trackio.Html(sending.page(w, name, figure)) for name, figure in sending.drawn(w, figures).items()}
    words = {"gradreach/verdict": trackio.Markdown(sending.in_words(w))} if shown else {}
    sink.log({**sent, **shown, **words}, step=sending.last_step(w) if step is None else step)
    return sent
