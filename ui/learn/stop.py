"""What a stop of the path is: a question, an equation, an experiment that is predicted before it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from diagnostics.records import Array, Run
    from experiments.spec import RunSpec
    from ui.settings import Settings

Values = Mapping[str, Any]
"""What the controls of a stop say, by their names."""


class Seen(NamedTuple):
    """A run with its weights: ``weights(step)`` are those kept after ``step`` updates, ``weights(None)`` the last.

    ``weights`` raises ``StoreError`` with one sentence where there are none (yet).
    """

    run: Run
    weights: Callable[[int | None], Mapping[str, Array]]


@dataclass(frozen=True)
class Look:
    """A look inside one of the stop's runs: which of its specs, after how many updates, and what is computed.

    ``step`` must be one whose weights a run of so many updates keeps (see ``experiments.keep``).
    """

    place: int
    step: int
    sections: tuple[str, ...]
    samples: int = 4


@dataclass(frozen=True)
class Prediction:
    """What a person commits to before anything of the result is shown.

    ``answer`` is the place in ``options`` that came out, and ``why`` says in a sentence or two (Markdown), with the
    numbers, what made it so. Both are given the values of the controls, and the runs where any were trained: every
    one of ``specs`` in its order, each ``finished`` or ``diverged``.
    """

    question: str
    options: tuple[str, ...]
    answer: Callable[[Values, Sequence[Run]], int]
    why: Callable[[Values, Sequence[Run]], str]


@dataclass(frozen=True)
class Stop:
    """One stop. Texts are Markdown; ``equation`` is LaTeX and ``letters`` explains each of its letters."""

    slug: str
    title: str
    question: str
    text: str
    equation: str
    letters: str
    usual: Values
    """What the controls say at first; the recorded example is of these."""
    controls: Callable[[], Values]
    """Shows two or three widgets (through ``ui.learn.ask``) and returns what they say, under the names of ``usual``."""
    specs: Callable[[Values], Sequence[RunSpec]]
    """What Run trains; nothing where nothing is trained. May raise ``Refusal``."""
    prediction: Prediction
    seen: Callable[[Values, Sequence[Run]], Sequence[str]]
    """What to see: sentences (Markdown) with the runs' own numbers; called as ``prediction.answer`` is."""
    names: Callable[[Values], Sequence[str]] | None = None
    """What the runs are called, one for each spec, where what their specs differ in would be too long a name."""
    figures: tuple[str, ...] = ()
    """Keys of ``diagnostics.charts.gallery.FIGURES``, drawn of the runs in this order, after ``own``."""
    own: Callable[[Values, Sequence[Seen]], None] | None = None
    """The stop's own panels, also while runs are still in training; charts through ``ui.learn.panels.chart``."""
    before: Callable[[Values], None] | None = None
    """What may be seen before the prediction, since it gives nothing away (a sample of the data, say)."""
    lab: Callable[[Values], Settings | Sequence[RunSpec] | None] | None = None
    """What the Lab is opened with; left out, the specs. None from it: there is nothing to open."""
    looks: tuple[Look, ...] = ()
    """What ``own`` asks ``ui.learn.looks`` for; the recorded example holds it."""
    example_weights: bool = False
    """Whether the recorded example holds the last weights of its runs."""
