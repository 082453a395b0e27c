"""Reach, decay, norms and figures for TensorBoard.

    from diagnostics.integrations import tensorboard

    tensorboard.forward(w, writer, step)  # while training runs, as often as one likes
    tensorboard.forward(w, writer, step, figures=["profile"])  # at the end

TensorBoard shows pictures and words but no figures that one can zoom: a figure goes there as a picture, with the
verdict and the table as words, where Kaleido and a Chromium are there to make one; where not, a warning says so, and
the words go alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diagnostics.integrations import sending
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch


def writer(folder: str) -> Any:
    """A ``torch.utils.tensorboard.SummaryWriter`` into ``folder``, which one closes."""
    needed("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)


def forward(w: Watch, sink: Any, step: int | None = None, *, figures: Sequence[str] = ()) -> dict[str, float]:
    """Send what ``w`` knows by now to ``sink``, a ``SummaryWriter``, and return the numbers that were sent.

    ``step``: the training step; None: the newest that was watched. ``figures``: keys as of ``w.figure``.
    """
    step = sending.last_step(w) if step is None else step
    sent = sending.numbers(w)
    for name, value in sent.items():
        sink.add_scalar(name, value, step)
    pictures = {name: _picture(figure) for name, figure in sending.drawn(w, figures).items()}
    for name, picture in pictures.items():
        if picture is not None:
            sink.add_image(name, picture, step, dataformats="HWC")
    if pictures:
        sink.add_text("gradreach/verdict", sending.in_words(w), step)
    return sent


def _picture(figure: Any) -> Any:
    """The figure as [height, width, 3] bytes; None where no picture can be made here."""
    from diagnostics.export.images import ExportUnavailable, to_png

    try:
        content = to_png(figure, scale=1)
    except ExportUnavailable as error:
        warnings.warn(
            f"a figure is sent to TensorBoard in words and numbers only: {error}", RuntimeWarning, stacklevel=3
        )
        return None
    from PIL import Image  # TensorBoard needs it too

    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
