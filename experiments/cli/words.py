"""How things are printed: tables, times, text that a terminal cannot be tricked with, and finding what was meant."""

from __future__ import annotations

import argparse
import difflib
import math
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from diagnostics.store import RunRow, Store
from diagnostics.strict_json import dumps
from experiments.spec import Refusal


def open_store(asked: argparse.Namespace) -> Store:
    """The store that was asked for."""
    return Store.open(asked.store)


def print_json(value: Any) -> None:
    """Strict JSON, on one line."""
    print(dumps(value))


def plain(text: object) -> str:
    """Text without what moves a terminal's cursor or changes its colours."""
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(text))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [[plain(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(_padded(c, w, r) for c, w, r in zip(row, widths, right, strict=True)).rstrip() for row in cells
    )


def share(value: float | None) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def when(seconds: float) -> str:
    """A time since 1970, in local time to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def setting(spec: Mapping[str, Any], name: str) -> object:
    """A setting of a stored spec as text; a dash where it has none."""
    value = spec.get(name)
    return "–" if value is None else value


def find(store: Store, run_id: str, *, deleted: bool = False) -> RunRow:
    """The run of this id; raises ``Refusal`` with the ids that are close to it."""
    rows = store.runs(include_deleted=deleted)
    for row in rows:
        if row.id == run_id:
            return row
    near = difflib.get_close_matches(run_id, [row.id for row in rows], 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`list` shows the {len(rows)} that are here."
    raise Refusal(f"RUN must be the id of a stored run, but got {run_id[:80]!r}: {hint}")


def find_all(store: Store, names: Sequence[str]) -> list[RunRow]:
    """The runs of these ids; the id of a comparison stands for its runs. Raises ``Refusal`` where there is none."""
    found: list[RunRow] = []
    for name in names:
        # The newest is listed first; a comparison reads in the order in which it was asked for.
        found += store.runs(comparison=name)[::-1] if name.startswith("c-") else [find(store, name)]
        if not found:
            raise Refusal(f"RUN must be the id of a stored run or comparison, but got {name[:80]!r}.")
    return list({row.id: row for row in found}.values())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
