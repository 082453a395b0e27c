"""The verdict of a run: does the gradient of the loss reach the step that matters?

Read from the median profile φ over the last tenth of the recorded profiles, with d the steps from the loss back to
the informative step: ``diverged`` where training met a non-finite loss, else ``exploding`` where φ rises above
100 φ_0 within d, else ``reaches`` where the reach is at least d, else ``vanishing``.

Of somebody else's training d may not be known. Then d is all steps that there are, and what would be ``vanishing`` is
``fades``: it is a fault only if the answers depend on what lies further back than the reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnostics.measures.advice import advice
from diagnostics.measures.evidence import Kind, gather
from diagnostics.measures.sentence import headline, sentence
from diagnostics.measures.watched_advice import watched_advice
from diagnostics.records import Run


@dataclass(frozen=True)
class Verdict:
    """A run's verdict in words and numbers; numbers that there are none of are nan, ``reach`` then None."""

    kind: Kind | None
    """None where there is nothing to judge yet (or never will be: the sentence says which)."""
    reach: int | None
    """Steps back from the loss after which the gradient is first below 1 % of its value there; ``of`` if never."""
    of: int
    """Steps from the loss back to the first timestep."""
    never_below: bool
    """Whether the gradient is nowhere below 1 %: a reach of ``of`` may also be a fall at the very first timestep."""
    decay: float
    """Fitted factor per step back."""
    half_life_steps: float
    informative_grad: float
    """Gradient at the informative step ÷ gradient at the loss."""
    success: float
    """Last success on the held-out set, 0 to 1; nan before the first measurement."""
    chance: float
    """The success of knowing nothing."""
    sentence: str
    advice: tuple[str, ...]
    """What to try: at most three short instructions, each beginning with its verb."""
    headline: str
    """One to three words for a badge."""

    def to_json(self) -> dict[str, str | int | float | None]:
        """Return the verdict as strict JSON values: numbers that are not finite are "nan", "inf" or "-inf"."""
        return {
            "kind": self.kind,
            "reach": self.reach,
            "of": self.of,
            "decay": _json_number(self.decay),
            "half_life_steps": _json_number(self.half_life_steps),
            "informative_grad": _json_number(self.informative_grad),
            "sentence": self.sentence,
        }


def verdict(run: Run) -> Verdict:
    """Judge a run from its own records, at any moment: while it is queued, running, and after its end."""
    found = gather(run)
    kind = found.kind if found else None
    advise = watched_advice if found and found.watched else advice
    return Verdict(
        kind=kind,
        reach=found.reach if found else None,
        of=found.of if found else 0,
        never_below=found.never_below if found else False,
        decay=found.decay if found else math.nan,
        half_life_steps=found.half_life_steps if found else math.nan,
        informative_grad=found.informative_grad if found else math.nan,
        success=found.success if found else math.nan,
        chance=found.chance if found else math.nan,
        sentence=sentence(found),
        advice=advise(found, run.spec),
        headline=headline(found, run.state),
    )


def _json_number(value: float) -> float | str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
