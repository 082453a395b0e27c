"""The table of all figures of inspections, beside that of the figures of runs in ``gallery``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from diagnostics.charts import eigenvalues, lyapunov, singular_values, states, theory, timescales
from diagnostics.inspection import Inspection


@dataclass(frozen=True)
class InspectionFigure:
    """One figure of an inspection: ``draw(prepare(…))`` is a plotly Figure; ``draw`` takes ``theme`` and ``size``.

    Where ``several`` holds, ``prepare`` takes a sequence of (name, inspection), else one inspection; ``options`` names
    what else it takes, of ``layer`` and ``sample``, both counted from 0. Without the quantities ``needs`` the figure is
    a sentence that says what to ask for.
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

    def prepared(self, inspections: Sequence[tuple[str, Inspection]], **options: int) -> Any:
        """Prepare it for one or more (name, inspection), of which it takes the first where it shows but one.

        ``options`` that it does not take are left out, so that one set of them serves all figures.
        """
        taken = {name: value for name, value in options.items() if name in self.options}
        return self.prepare(inspections if self.several else inspections[0][1], **taken)


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
                "many lie near 0 says how much can be kept at once. Bars are two standard errors, and ▽ on the rail "
                "below marks directions that are lost altogether."
            ),
            section="lyapunov",
            needs=lyapunov.NEEDS,
            several=False,
            options=("layer",),
            prepare=lyapunov.prepare,
            draw=lyapunov.draw,
            accessible_name=lyapunov.describe,
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
    )
}
