"""Inspections of runs that differ only in their seed, taken together: one line with a band instead of one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagnostics.charts.frame import Json, Origin
from diagnostics.charts.inspected import Named, origin_of
from diagnostics.inspection import Inspection
from diagnostics.measures.numbers import number
from diagnostics.measures.seeds import Envelope, alike, common, together_name
from diagnostics.records import Array

BAND = "median over the seeds, in a band from the lowest to the highest"


@dataclass(frozen=True)
class Seeds:
    """One or more inspections, each with its own name, that differ only in their run's seed; ``name`` is of all."""

    name: str
    members: tuple[Named, ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one seed."""
        return len(self.members) > 1

    @property
    def first(self) -> Inspection:
        """What stands for all where numbers cannot be laid together, and for what all have in common."""
        return self.members[0][1]

    @property
    def which(self) -> str:
        """Whose a figure of one network is: its name, and of how many seeds it is the first."""
        name = self.members[0][0]
        return f"{name}, the first of {len(self.members)} seeds" if self.several else name

    def over(self, take: Callable[[Inspection], Array]) -> Envelope:
        """Least, median and greatest of what ``take`` returns of each; nan at a place of one is nan for all."""
        return common([take(one) for _, one in self.members])


Shown = Named | Seeds
"""What a figure of several takes: an inspection with its name, or several that differ only in their run's seed."""


def bundled(inspections: Sequence[Shown]) -> tuple[Seeds, ...]:
    """Return each as ``Seeds``, of one where it is no more."""
    return tuple(one if isinstance(one, Seeds) else Seeds(one[0], (one,)) for one in inspections)


def alone(one: Inspection | Seeds) -> Seeds:
    """Return what a figure of one network is of, as ``Seeds``; without a name, which such a figure does not say."""
    return one if isinstance(one, Seeds) else Seeds("", (("", one),))


def members(bundles: Sequence[Seeds]) -> list[Named]:
    """Return every single inspection with its own name."""
    return [named for bundle in bundles for named in bundle.members]


def gathered(named: Sequence[Named], specs: Sequence[Mapping[str, Any]]) -> tuple[Seeds, ...]:
    """Put inspections together whose ``specs``, one for each, differ only in the seed, in the order of their firsts.

    They must have looked alike as well: after as many updates, at as many samples of as many timesteps.
    """
    found = []
    for places in alike([{**spec, "": _looked(one)} for spec, (_, one) in zip(specs, named, strict=True)]):
        some = tuple(named[place] for place in places)
        name = some[0][0]
        found.append(Seeds(together_name([name for name, _ in some], name) if len(some) > 1 else name, some))
    return tuple(found)


def any_together(bundles: Sequence[Seeds]) -> bool:
    """Whether any are of more than one seed."""
    return any(bundle.several for bundle in bundles)


def _looked(one: Inspection) -> list[Any]:
    return [one.step, one.samples, one.timesteps, one.loss_step, one.layers, one.cell, one.truncate]


def origin_over(
    figure: str,
    bundles: Sequence[Seeds],
    caption: str,
    layer: int | None = None,
    *,
    band: str = BAND,
    more: str = "",
    **facts: Json,
) -> Origin:
    """As ``origin_of``, of all members; where there are several seeds, ``band`` says what is drawn of them.

    ``more`` is what else the caption has to say.
    """
    together = any_together(bundles)
    if together:
        caption = f"{caption} · {band}"
        facts["reduction"] = f"{facts['reduction']}; then {band}"
    facts["over_seeds"] = together
    found = origin_of(figure, [one for _, one in members(bundles)], caption, layer, of_probe=True, **facts)
    return replace(found, caption=f"{found.caption} · {more}") if more else found


def span(over: Envelope | None, at: int, say: Callable[[float], str] = number) -> str:
    """Say what the seeds span at a place, after their median: `` (0.1 to 0.3 over the seeds)``; "" of a single run."""
    if over is None:
        return ""
    low, high = say(float(over.low[at])), say(float(over.high[at]))
    return "" if low == high else f" ({low} to {high} over the seeds)"


def hovers(over: Envelope, say: Callable[[float], str] = number) -> list[str]:
    """Say at each place, ``[N]``, what a line's point is and from where to where the seeds span."""
    return [
        f"median of {count} seeds, {say(low)} to {say(high)}"
        for low, high, count in zip(over.low.tolist(), over.high.tolist(), over.seeds.tolist(), strict=True)
    ]
