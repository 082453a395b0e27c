"""What the figures of inspections share: where their numbers come from, and what to say where they are not there."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.charts.frame import Json, Origin
from diagnostics.charts.labels import safe, short
from diagnostics.inspection import QUANTITIES, Inspection
from diagnostics.measures.numbers import steps
from diagnostics.measures.sentence import name_word

TICK_CHARACTERS = 14
Named = tuple[str, Inspection]
"""An inspection with the name that it has in a figure."""


def origin_of(
    figure: str,
    inspections: Sequence[Inspection],
    caption: str,
    layer: int | None = None,
    *,
    of_probe: bool = True,
    **facts: Json,
) -> Origin:
    """Return the provenance of a figure: ``caption`` says quantity, unit and reduction; what was looked at is added.

    ``facts`` should have ``unit``, ``reduction`` and ``clip``. Of what is "pre-clip", a gradient of the probe's, it is
    said where training used a truncated one in its stead. ``layer`` is left out where there is but one,
    and the number of samples where the numbers are not ``of_probe`` but of the weights alone.
    """
    parts = [caption]
    if layer is not None and any(one.layers > 1 for one in inspections):
        parts.append(f"layer {layer + 1} of {max(one.layers for one in inspections)}")
    parts += _seen(inspections, of_probe)
    chunks = sorted({one.truncate for one in inspections if one.truncate})
    if chunks and of_probe and facts.get("clip") == "pre-clip":
        parts.append(f"full gradient; training used chunks of {' or '.join(map(str, chunks))}")
    looked = {one.run_id: one.step for one in inspections}
    shown: dict[str, Json] = {"training_steps": looked, "samples": [one.samples for one in inspections], **facts}
    if layer is not None:
        shown["layer"] = layer
    return Origin(figure, tuple(one.run_id for one in inspections), " · ".join(parts), shown)


def _seen(inspections: Sequence[Inspection], of_probe: bool) -> list[str]:
    if not inspections:
        return []
    updates = sorted({one.step for one in inspections})
    samples = sorted({one.samples for one in inspections})
    after = f"after {updates[0]} to {updates[-1]} updates"
    if len(updates) == 1:
        after = "before any update" if updates[0] == 0 else f"after {updates[0]} update{'s' * (updates[0] != 1)}"
    of = f"{samples[0]} to {samples[-1]}" if len(samples) > 1 else f"{samples[0]}"
    return [f"{of} held-out sample{'s' * (samples[-1] != 1)}", after] if of_probe else [after]


def check_layer(inspection: Inspection, layer: int) -> None:
    """Raise ``ValueError`` where there is no such layer, counted from 0."""
    if not 0 <= layer < inspection.layers:
        raise ValueError(f"layer must be from 0 to {inspection.layers - 1}, but got {layer}")


def check_sample(inspection: Inspection, sample: int) -> None:
    """Raise ``ValueError`` where the probe has no such sample, counted from 0."""
    if not 0 <= sample < inspection.samples:
        raise ValueError(f"sample must be from 0 to {inspection.samples - 1}, but got {sample}")


def lacking(inspection: Inspection, names: Sequence[str]) -> str:
    """Say which section is missing for a figure that needs the quantities ``names``; empty where none is."""
    sections = sorted({QUANTITIES[name].section for name in names if name not in inspection})
    if not sections:
        return ""
    listed = " and ".join(f"“{name.replace('_', ' ')}”" for name in sections)
    return f"This inspection holds no {listed}: ask for it, and this figure can be drawn."


def nothing_in(inspections: Sequence[Named], needs: Sequence[str]) -> str:
    """Say why a figure of several inspections has nothing to draw; empty where it has."""
    if not inspections:
        return "No run is inspected: choose one, and a training step."
    return next((words for _, one in inspections if (words := lacking(one, needs))), "")


def informative_word(inspection: Inspection, sample: int = 0) -> tuple[str, int] | None:
    """Return the word that a sample's answer depends on and its timestep, the earliest where there are several."""
    places = inspection.informative_steps[sample]
    if not places:
        return None
    first = min(places)
    return safe(name_word(short(inspection.tokens[sample][first], 18))), first


def token_ticks(inspection: Inspection, sample: int, most: int) -> dict[str, object]:
    """Return the ticks of an axis of timesteps: the words themselves, or numbers and the words that matter.

    ``most`` is how many words fit beside one another.
    """
    tokens = inspection.tokens[sample]
    if len(tokens) <= most:
        words = [safe(short(token, TICK_CHARACTERS)) for token in tokens]
        informative = set(inspection.informative_steps[sample])
        bold = [f"<b>{word}</b>" if t in informative else word for t, word in enumerate(words)]
        return {"tickvals": list(range(len(tokens))), "ticktext": bold, "tickangle": -90}
    every = next(n for n in _ROUND if len(tokens) / n <= most / 3)
    places = list(range(0, len(tokens), every))
    return {"tickvals": places, "ticktext": [str(t) for t in places], "tickangle": 0}


_ROUND = [m * 10**p for p in range(7) for m in (1, 2, 5)]


def back(count: int) -> str:
    """Return ``40 steps back``."""
    return f"{steps(count)} back"
