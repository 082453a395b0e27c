"""The questions that the page answers, each with the sections of an inspection that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagnostics.charts.gallery import INSPECTION_FIGURES, InspectionFigure


@dataclass(frozen=True)
class View:
    """One question: ``title`` on its button; its figures are those of its ``sections``, in the gallery's order."""

    title: str
    question: str
    sections: tuple[str, ...]

    @property
    def figures(self) -> list[InspectionFigure]:
        """What is shown."""
        return [info for info in INSPECTION_FIGURES.values() if info.section in self.sections]


BEGINNING = "beginning"

VIEWS: Mapping[str, View] = {
    "theory": View("Theory", "Which theory tells the truth?", ("theory", "profile")),
    "steps": View("Jacobians", "What does one step do to the gradient, and what do many?", ("jacobians", "lyapunov")),
    "states": View("States and gates", "What do the states and gates do?", ("states",)),
    "weights": View("Weight gradient", "Where does the weight gradient come from?", ("weight_gradient",)),
    "answers": View("Answers", "Which answer teaches which step?", ("itemised",)),
    "truncation": View("Truncation", "What does truncation lose?", ("truncation",)),
    "parameters": View("Parameters", "Are the parameters healthy?", ("parameters",)),
    BEGINNING: View("Before training", "How does a network begin?", ()),
}
