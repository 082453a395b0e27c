"""What a cell does with the sums of a tile, one row after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostics.recurrence.fused.inner import inner


@inner(forceinline=True)
def _nothing(tile, at, lanes):
    pass


def each_row(rows: int, cell: Callable[[int, int], Any]) -> Any:
    """A function (tile, at, lanes) that runs ``cell(row, rows)``, a function of the same arguments, for every row.

    One by one, since a tile's vectors can only be named by numbers that are known when it is compiled.
    """
    row0, row1, row2, row3 = [cell(row, rows) for row in range(rows)] + [_nothing] * (4 - rows)

    @inner(forceinline=True)
    def each(tile, at, lanes):
        row0(tile, at, lanes)
        row1(tile, at, lanes)
        row2(tile, at, lanes)
        row3(tile, at, lanes)

    return each
