"""What comparisons and their runs are called where nobody says: the same on the page and on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.store.rows import NAME_LENGTH
from experiments.spec import FIELDS, RunSpec
from tasks import TASKS

SEPARATOR = " · "
"""What stands between the parts of a name, as in ``RunSpec.label``."""

GAPS_AT_MOST = 6
"""More gaps than these are named by the shortest and the longest."""

TEXT_AT_MOST = 24

_UNSAID = ("length", "wiring", "hidden", "inputs", "embedding", "optimizer", "learning_rate", "batch", "steps")
"""What ``RunSpec.label`` leaves out, and what yet may be all that two runs differ in."""


def run_names(specs: Sequence[RunSpec]) -> list[str]:
    """A short name per run: its cell, and what tells it from the others of the comparison."""
    said = [parts(spec) for spec in specs]
    shared = set.intersection(*map(set, said))
    return [_fitting([cell, *(part for part in rest if part not in shared)]) for cell, *rest in said]


def comparison_name(specs: Sequence[RunSpec]) -> str:
    """What a comparison is called: its task, its gap, and what its runs have in common."""
    titles = ", ".join(dict.fromkeys(TASKS[spec.task].title for spec in specs))
    labels = [spec.label().split(SEPARATOR)[1:] for spec in specs]
    shared = [part for part in labels[0] if all(part in label for label in labels)]
    return _fitting([titles, f"gap {_gaps(specs)}", *shared])


def parts(spec: RunSpec) -> list[str]:
    """Everything that the name of a run may say of it, the cell first."""
    said = [*spec.label().split(SEPARATOR), f"gap {spec.gap}", TASKS[spec.task].title]
    if spec.text is not None:
        said.append(f"text {_begun(spec.text)}")
    values = {FIELDS[name].label.lower(): getattr(spec, name) for name in _UNSAID}
    return said + [f"{label} {_plain(value)}" for label, value in values.items() if value is not None]


def _begun(text: str) -> str:
    """How a text begins, in quotes; all of it where it is short."""
    words = " ".join(text.split())
    return f"“{words}”" if len(words) <= TEXT_AT_MOST else f"“{words[: TEXT_AT_MOST - 1]}…”"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _gaps(specs: Sequence[RunSpec]) -> str:
    gaps = list(dict.fromkeys(spec.gap for spec in specs))
    return ", ".join(map(str, gaps)) if len(gaps) <= GAPS_AT_MOST else f"{min(gaps)} to {max(gaps)}"


def _fitting(words: Sequence[str]) -> str:
    name = SEPARATOR.join(words)
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
