"""The figures of inspections, drawn: what reports, bundles and the command line have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from diagnostics.charts.inspected_seeds import Seeds, bundled, gathered, members
from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.export.gallery import Drawing
from diagnostics.inspection import SECTIONS, Inspection
from diagnostics.measures.seeds import together_name
from diagnostics.records import Run

TOGETHER_AT_MOST = 6
"""As many runs as every figure can tell apart, which is as many as the page Inspect shows side by side."""

Named = tuple[str, Inspection]
Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Looked:
    """Some runs, each as it was after ``step`` updates: those whose figures stand together."""

    step: int
    bundles: tuple[Seeds, ...]
    """Runs that differ only in their seed are together in one of them, where seeds are drawn as one."""
    part: int
    """Where there are more runs than figures can tell apart, which lot of them this is; else 0."""

    @property
    def named(self) -> tuple[Named, ...]:
        """Every single inspection with its run's name."""
        return tuple(members(self.bundles))

    @property
    def missing(self) -> tuple[str, ...]:
        """The sections that were computed for none of them."""
        return tuple(name for name in SECTIONS if not any(name in one.sections for _, one in self.named))

    def drawings(self, theme: Theme = "light") -> Iterator[Drawing]:
        """Every figure that the inspections can fill, in the gallery's order, and of every layer; one per run where the
        figure is of one: of several seeds all or the first, as the gallery says.

        Of the states and gates the first sample is shown.
        """
        for info in INSPECTION_FIGURES.values():
            able = [bundle for bundle in map(partial(_able, info), self.bundles) if bundle.members]
            lots = [able] if info.several else [[single] for single in able]
            for lot in filter(None, lots):
                yield from self._layers(info, lot, theme)

    def _layers(self, info: InspectionFigure, lot: Sequence[Seeds], theme: Theme) -> Iterator[Drawing]:
        deepest = max(bundle.first.layers for bundle in lot) if "layer" in info.options else 1
        for layer in range(deepest):
            there = [bundle for bundle in lot if layer < bundle.first.layers] if deepest > 1 else lot
            options = {"layer": layer} if deepest > 1 else {}
            prepared = info.prepared(there, **options)
            figure = info.draw(prepared, theme=theme, size="page")
            of = f", layer {layer + 1} of {deepest}" * (deepest > 1)
            alone = "" if info.several else info.whose(there[0])
            yield Drawing(
                key=self._key(info, there, f"-l{layer + 1}" * (deepest > 1)),
                figure_key=info.key,
                title=f"{info.title}{f' — {alone}' if alone else ''}, {after(self.step)}{of}",
                name=(f"{alone}: " if alone else "") + info.accessible_name(prepared),
                how_to_read=info.how_to_read,
                figure=figure,
            )

    def _key(self, info: InspectionFigure, lot: Sequence[Seeds], layer: str) -> str:
        whose = f"-{self.part}" * bool(self.part) if info.several else f"-{_plain(lot[0].first.run_id)}"
        return f"{info.key}{whose}-step-{self.step}{layer}"


def _able(info: InspectionFigure, bundle: Seeds) -> Seeds:
    """Return those of the bundle that have what the figure needs, by their own name where that is but one of them."""
    able = [(name, one) for name, one in bundle.members if all(quantity in one for quantity in info.needs)]
    if len(able) == len(bundle.members):
        return bundle
    if len(able) == 1:
        return Seeds(able[0][0], tuple(able))
    return Seeds(together_name([name for name, _ in able], bundle.name) if able else "", tuple(able))


def looked(runs: Sequence[Run], inspections: Sequence[Inspection], over_seeds: bool | None = None) -> list[Looked]:
    """Put the inspections of ``runs`` together by training step, the last step first; those of other runs are left out.

    The runs come in their order, and where there are more than figures can tell apart, in several lots. With
    ``over_seeds``, or where it is left out, those that differ only in their seed count as one.
    """
    names = {run.id: run.name or run.id for run in runs}
    places = {run.id: place for place, run in enumerate(runs)}
    specs = {run.id: run.spec for run in runs}
    by_step: dict[int, list[Named]] = {}
    for one in sorted((one for one in inspections if one.run_id in names), key=lambda one: places[one.run_id]):
        by_step.setdefault(one.step, []).append((names[one.run_id], one))
    found = []
    for step in sorted(by_step, reverse=True):
        named = by_step[step]
        together = over_seeds is not False
        bundles = gathered(named, [specs[one.run_id] for _, one in named]) if together else bundled(named)
        lots = [bundles[at : at + TOGETHER_AT_MOST] for at in range(0, len(bundles), TOGETHER_AT_MOST)]
        found += [Looked(step, lot, number * (len(lots) > 1)) for number, lot in enumerate(lots, start=1)]
    return found


def after(step: int) -> str:
    """When, in words: ``after 40 updates``."""
    return "before any update" if step == 0 else f"after {step} update{'s' * (step != 1)}"


def _plain(run_id: str) -> str:
    return re.sub("[^a-z0-9-]", "-", run_id.lower())
