"""The table of all figures of inspections, beside that of the figures of runs in ``gallery``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from diagnostics.charts import (
    eigenvalues,
    itemised,
    lyapunov,
    memory,
    noise,
    parameters,
    singular_values,
    states,
    theory,
    timescales,
    truncation,
    weight_gradient,
)
from diagnostics.charts.inspected_seeds import Seeds, Shown, bundled


@dataclass(frozen=True)
class InspectionFigure:
    """One figure of an inspection: ``draw(prepare(…))`` is a plotly Figure; ``draw`` takes ``theme`` and ``size``.

    Where ``several`` holds, ``prepare`` takes a sequence of (name, inspection), or of ``Seeds``, else one inspection,
    or one ``Seeds`` in its place where ``over_seeds`` holds; of other figures of one network the first seed is shown.
    ``options`` names what else it takes, of ``layer`` and ``sample``, both counted from 0. Without the quantities
    ``needs`` the figure is a sentence that says what to ask for.
    """

    key: str
    title: str
    how_to_read: str
    section: str
    """The section of the inspection that the figure belongs to."""
    needs: tuple[str, ...]
    several: bool
    options: tuple[str, ...]
    prepare: Callable[..., Any]
    draw: Callable[..., go.Figure]
    accessible_name: Callable[[Any], str]
    """What the prepared figure shows, in words and numbers."""
    over_seeds: bool = False
    """Whether a figure of one network can be of several seeds of it."""

    def subject(self, bundle: Seeds) -> Seeds:
        """What a figure of one network shows of several seeds: all of them, or the first."""
        return bundle if self.over_seeds else bundled(bundle.members[:1])[0]

    def whose(self, bundle: Seeds) -> str:
        """What a figure of one network is called by: the name of the seeds, or which of them it shows."""
        return bundle.name if self.over_seeds else bundle.which

    def prepared(self, inspections: Sequence[Shown], **options: int) -> Any:
        """Prepare it for one or more (name, inspection), or ``Seeds``, of which it takes the first where it shows one.

        ``options`` that it does not take are left out, so that one set of them serves all figures.
        """
        taken = {name: value for name, value in options.items() if name in self.options}
        if self.several:
            return self.prepare(inspections, **taken)
        first = bundled(inspections)[0]
        return self.prepare(first if self.over_seeds else first.first, **taken)


INSPECTION_FIGURES: Mapping[str, InspectionFigure] = {
    info.key: info
    for info in (
        InspectionFigure(
            key="theory",
            title=theory.TITLE,
            how_to_read=(
                "The thick line is the measured gradient; each other line is what one number says of it. The bound is "
                "never crossed, but may lie decades above the truth; the spectral radius is not a bound at all, and "
                "often misleads where the nonlinearity saturates. The fitted decay and the Lyapunov exponent are "
                "measured along the states themselves, and follow it where its fall is even."
            ),
            section="theory",
            needs=theory.NEEDS,
            several=True,
            options=("layer",),
            prepare=theory.prepare,
            draw=theory.draw,
            accessible_name=theory.describe,
        ),
        InspectionFigure(
            key="singular_values",
            title=singular_values.TITLE,
            how_to_read=(
                "Above, each timestep stretches some directions of the state and shrinks others: the largest singular "
                "value is the most that a gradient can grow in that step. Below, the same for all the last k steps "
                "together: where even the largest lies far below the dashed line at 1, nothing can be learned from "
                "that far back, and where it lies far above, the gradient explodes."
            ),
            section="jacobians",
            needs=singular_values.NEEDS,
            several=False,
            options=("layer",),
            prepare=singular_values.prepare,
            draw=singular_values.draw,
            accessible_name=singular_values.describe,
            over_seeds=True,
        ),
        InspectionFigure(
            key="eigenvalues",
            title=eigenvalues.TITLE,
            how_to_read=(
                "Each dot is an eigenvalue of W_hh, or of one gate's block of it; the dotted circle has radius 1, and "
                "diamonds lie outside. In a linear network, dots outside make states grow and dots inside make them "
                "fade; a nonlinearity and gates change that, so look at the singular values and exponents as well."
            ),
            section="theory",
            needs=eigenvalues.NEEDS,
            several=False,
            options=("layer",),
            prepare=eigenvalues.prepare,
            draw=eigenvalues.draw,
            accessible_name=eigenvalues.describe,
        ),
        InspectionFigure(
            key="lyapunov",
            title=lyapunov.TITLE,
            how_to_read=(
                "Each dot is the mean growth of one direction of the state per step, as a natural logarithm: at 0 it "
                "lasts, below it fades, and above it grows. The first decides how far back a gradient can reach; how "
                "many lie near 0 says how much can be kept at once. Bars are two standard errors: they hold how "
                "much stretches of time and samples differ, and on how random a start it depends, which over few steps "
                "can be the most; of several seeds they are what the seeds span. ▽ on the rail below marks directions "
                "that are lost altogether."
            ),
            section="lyapunov",
            needs=lyapunov.NEEDS,
            several=False,
            options=("layer",),
            prepare=lyapunov.prepare,
            draw=lyapunov.draw,
            accessible_name=lyapunov.describe,
            over_seeds=True,
        ),
        InspectionFigure(
            key="states",
            title=states.TITLE,
            how_to_read=(
                "A row is a unit and a column a timestep of the sentence below: a row that keeps one colour holds "
                "something, and one that flickers answers to each word. Gates run from shut (0) to open (1). The lines "
                "at the bottom are the share of units gone flat, through which no gradient passes."
            ),
            section="states",
            needs=states.NEEDS,
            several=False,
            options=("layer", "sample"),
            prepare=states.prepare,
            draw=states.draw,
            accessible_name=states.describe,
        ),
        InspectionFigure(
            key="timescales",
            title=timescales.TITLE,
            how_to_read=(
                "A gate at f keeps a memory for about τ = 1/(1−f) steps, and the bars say how many gates hold how "
                "long. Those right of the dotted line hold long enough for the word that matters; where all lie left "
                "of it, the gates have to open first, which a larger gate bias does from the start."
            ),
            section="states",
            needs=timescales.NEEDS,
            several=False,
            options=("layer",),
            prepare=timescales.prepare,
            draw=timescales.draw,
            accessible_name=timescales.describe,
        ),
        InspectionFigure(
            key="weight_gradient",
            title=weight_gradient.TITLE,
            how_to_read=(
                "The gradient of the recurrent weights is a sum over timesteps, and each point is the length of one "
                "timestep's part. Where the line falls steeply to the left, the weights learn from the last words "
                "alone, however long the sentence is. ▽ on the rail below is exactly 0, as at the first step, which no "
                "state comes before."
            ),
            section="weight_gradient",
            needs=weight_gradient.NEEDS,
            several=True,
            options=("layer",),
            prepare=weight_gradient.prepare,
            draw=weight_gradient.draw,
            accessible_name=weight_gradient.describe,
        ),
        InspectionFigure(
            key="cancellation",
            title=weight_gradient.CANCELLED,
            how_to_read=(
                "A bar of 100 % means that all timesteps pull the weights the same way, and their parts add up. A "
                "short bar means that they pull against one another and most of it cancels: the update is then made "
                "of what little they agree on."
            ),
            section="weight_gradient",
            needs=weight_gradient.CANCELLATION_NEEDS,
            several=True,
            options=("layer",),
            prepare=weight_gradient.prepare_cancellation,
            draw=weight_gradient.draw_cancellation,
            accessible_name=weight_gradient.describe_cancellation,
        ),
        InspectionFigure(
            key="noise",
            title=noise.TITLE,
            how_to_read=(
                "At the dashed line at 1, the samples' gradients agree no more than chance would have it, and a "
                "larger batch would help; far above, they say the same and a smaller one would do. A few samples give "
                "a rough picture: ask for more. ✕ on a rail is a timestep without a gradient, where there is nothing "
                "to compare."
            ),
            section="weight_gradient",
            needs=noise.NEEDS,
            several=True,
            options=("layer",),
            prepare=noise.prepare,
            draw=noise.draw,
            accessible_name=noise.describe,
        ),
        InspectionFigure(
            key="itemised",
            title=itemised.TITLE,
            how_to_read=(
                "A row is an answer, which stands where the row ends, and its colours to the left say how much of its "
                "gradient arrives at earlier timesteps: amber is as much as at the answer, dark is almost nothing. "
                "Rows that are bright far to the left are answers that can learn from long ago."
            ),
            section="itemised",
            needs=itemised.NEEDS,
            several=False,
            options=("layer",),
            prepare=itemised.prepare,
            draw=itemised.draw,
            accessible_name=itemised.describe,
        ),
        InspectionFigure(
            key="lag_profile",
            title=itemised.LAGS,
            how_to_read=(
                "Each point is the mean over all pairs of an answer and a timestep that many steps before it. It makes "
                "a task that answers at every step comparable with one that answers at the end, whose line is its "
                "state gradient."
            ),
            section="itemised",
            needs=itemised.LAG_NEEDS,
            several=True,
            options=("layer",),
            prepare=itemised.prepare_lags,
            draw=itemised.draw_lags,
            accessible_name=itemised.describe_lags,
        ),
        InspectionFigure(
            key="truncation",
            title=truncation.TITLE,
            how_to_read=(
                "Each point asks what the gradient had been if backpropagation stopped at the border of a chunk of "
                "that length: a cosine of 1 points the same way as the full gradient, and an error of 0 is the same. "
                "Where the curves are flat from a short chunk on, nothing further back was being learned from anyway."
            ),
            section="truncation",
            needs=truncation.NEEDS,
            several=True,
            options=(),
            prepare=truncation.prepare,
            draw=truncation.draw,
            accessible_name=truncation.describe,
        ),
        InspectionFigure(
            key="memory",
            title=memory.TITLE,
            how_to_read=(
                "The whole gradient needs every timestep's states until it has come back to them, so that its line "
                "rises with the length; truncated, only one chunk's are kept, and the line lies flat. What this run "
                "records of every timestep comes on top of either."
            ),
            section="truncation",
            needs=memory.NEEDS,
            several=True,
            options=(),
            prepare=memory.prepare,
            draw=memory.draw,
            accessible_name=memory.describe,
        ),
        InspectionFigure(
            key="parameters",
            title=parameters.TITLE,
            how_to_read=(
                "A strip shows how large the entries of a tensor's gradient are: further left is smaller, and deeper "
                "colour means more of them. Entries that have no place on such an axis are counted beside it: exact "
                "zeros receive no update from plain SGD, and a single nan or infinity spoils the whole step."
            ),
            section="parameters",
            needs=parameters.NEEDS,
            several=False,
            options=(),
            prepare=parameters.prepare,
            draw=parameters.draw,
            accessible_name=parameters.describe,
        ),
    )
}
