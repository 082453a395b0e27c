"""The figures of inspections, drawn: what reports, bundles and the command line have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.export.gallery import Drawing
from diagnostics.inspection import SECTIONS, Inspection
from diagnostics.records import Run

TOGETHER_AT_MOST = 6
"""As many runs as every figure can tell apart, which is as many as the page Inspect shows side by side."""

Named = tuple[str, Inspection]
Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Looked:
    """Some runs, each as it was after ``step`` updates: those whose figures stand together."""

    step: int
    named: tuple[Named, ...]
    part: int
    """Where there are more runs than figures can tell apart, which lot of them this is; else 0."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The sections that were computed for none of them."""
        return tuple(name for name in SECTIONS if not any(name in one.sections for _, one in self.named))

    def drawings(self, theme: Theme = "light") -> Iterator[Drawing]:
        """Every figure that the inspections can fill, in the gallery's order, and of every layer; one per run where the
        figure is of one. Of the states and gates the first sample is shown."""
        for info in INSPECTION_FIGURES.values():
            able = [(name, one) for name, one in self.named if all(quantity in one for quantity in info.needs)]
            lots = [able] if info.several else [[single] for single in able]
            for lot in filter(None, lots):
                yield from self._layers(info, lot, theme)

    def _layers(self, info: InspectionFigure, lot: Sequence[Named], theme: Theme) -> Iterator[Drawing]:
        deepest = max(one.layers for _, one in lot) if "layer" in info.options else 1
        for layer in range(deepest):
            there = [(name, one) for name, one in lot if layer < one.layers] if deepest > 1 else lot
            options = {"layer": layer} if deepest > 1 else {}
            prepared = info.prepared(there, **options)
            figure = info.draw(prepared, theme=theme, size="page")
            of = f", layer {layer + 1} of {deepest}" * (deepest > 1)
            whose = "" if info.several else f" — {there[0][0]}"
            yield Drawing(
                key=self._key(info, there, f"-l{layer + 1}" * (deepest > 1)),
                figure_key=info.key,
                title=f"{info.title}{whose}, {after(self.step)}{of}",
                name=("" if info.several else f"{there[0][0]}: ") + info.accessible_name(prepared),
                how_to_read=info.how_to_read,
                figure=figure,
            )

    def _key(self, info: InspectionFigure, lot: Sequence[Named], layer: str) -> str:
        whose = f"-{self.part}" * bool(self.part) if info.several else f"-{_plain(lot[0][1].run_id)}"
        return f"{info.key}{whose}-step-{self.step}{layer}"


def looked(runs: Sequence[Run], inspections: Sequence[Inspection]) -> list[Looked]:
    """Put the inspections of ``runs`` together by training step, the last step first; those of other runs are left out.

    The runs come in their order, and where there are more than figures can tell apart, in several lots.
    """
    names = {run.id: run.name or run.id for run in runs}
    places = {run.id: place for place, run in enumerate(runs)}
    by_step: dict[int, list[Named]] = {}
    for one in sorted((one for one in inspections if one.run_id in names), key=lambda one: places[one.run_id]):
        by_step.setdefault(one.step, []).append((names[one.run_id], one))
    found = []
    for step in sorted(by_step, reverse=True):
        lots = [by_step[step][at : at + TOGETHER_AT_MOST] for at in range(0, len(by_step[step]), TOGETHER_AT_MOST)]
        found += [Looked(step, tuple(lot), number * (len(lots) > 1)) for number, lot in enumerate(lots, start=1)]
    return found


def after(step: int) -> str:
    """When, in words: ``after 40 updates``."""
    return "before any update" if step == 0 else f"after {step} update{'s' * (step != 1)}"


def _plain(run_id: str) -> str:
    return re.sub("[^a-z0-9-]", "-", run_id.lower())
