"""What clipping did to runs that a person must hear of, as lines with a mark each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from diagnostics.charts.palette import THEMES, styles
from diagnostics.measures.events import Event, events
from ui.words import markup

if TYPE_CHECKING:
    from diagnostics.records import Run

Theme = Literal["light", "dark"]


def listed(runs: Sequence[Run], theme: Theme) -> str:
    """The events of runs as HTML, a paragraph per run that has any; "" where none has."""
    lines = THEMES[theme].lines
    said = "".join(
        f'<p style="--line:{lines[style.colour]}"><strong>{markup(run.name)}</strong>{sentences(found)}</p>'
        for run, style in zip(runs, styles(runs), strict=True)
        if (found := events(run))
    )
    return f'<section class="in-words">{said}</section>' if said else ""


def sentences(found: Sequence[Event]) -> str:
    """Events as HTML that continues a paragraph; where something is wrong with a mark that does not rest on colour."""
    return "".join(
        f' <span class="fault">⚠ {markup(event.sentence)}</span>' if event.fault else f" {markup(event.sentence)}"
        for event in found
    )
