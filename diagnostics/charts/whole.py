"""What belongs to a whole watched model, its loss and the gradient of all its parameters: the same for every recurrent
part of it, and drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from diagnostics.charts.labels import run_labels
from diagnostics.charts.palette import Style, styles
from diagnostics.charts.series import watched
from diagnostics.measures.seeds import Group, groups, singles
from diagnostics.records import Run


class Whole(NamedTuple):
    """A run of the Lab, or a watched model; with its label and style among all runs that are shown."""

    group: Group
    """Of the runs that differ only in their seed; of a model, the first of its parts that has begun."""
    label: str
    style: Style
    parts: int
    """How many of the runs it stands for."""


def wholes(runs: Sequence[Run], over_seeds: bool = False) -> list[Whole]:
    """The runs, or those that differ only in their seed as one, with the parts of one watched model as one."""
    bundles = groups(runs) if over_seeds else singles(runs)
    faces = [group.face for group in bundles]
    alike: dict[str, list[int]] = {}
    for index, face in enumerate(faces):
        model = face.comparison if watched(face) else ""  # a watched training is a comparison of its own
        alike.setdefault(model or f"run {index}", []).append(index)
    labels, looks = run_labels(faces), styles(faces)
    found = []
    for parts in alike.values():
        first = min(parts, key=lambda index: not _begun(bundles[index]))
        found.append(Whole(bundles[first], labels[first], looks[first], len(parts)))
    return found


def _begun(group: Group) -> bool:
    return any(run.records.rows("step") for run in group.runs)
