"""Tables of numbers that a person types into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from diagnostics.records import Array

LARGEST = 100.0
"""The largest number that can be typed: far beyond where a tanh is anything but ±1."""


def table(key: str, label: str, values: Array, rows: Sequence[str], columns: Sequence[str]) -> Array:
    """Show ``values`` [rows, columns] for typing; what is in them now. The first column names the rows.

    Raises ``ValueError`` as ``numbers`` does.
    """
    st.caption(label)
    given = {"": list(rows), **{name: values[:, place].tolist() for place, name in enumerate(columns)}}
    config = {
        name: st.column_config.NumberColumn(step=0.001, min_value=-LARGEST, max_value=LARGEST) for name in columns
    }
    edited = st.data_editor(given, key=key, hide_index=True, disabled=[""], column_config=config)
    return numbers(label, [edited[name] for name in columns], rows, columns)


def numbers(label: str, typed: Sequence[Sequence[object]], rows: Sequence[str], columns: Sequence[str]) -> Array:
    """The columns that were typed as an array [rows, columns].

    Raises ``ValueError`` naming the first cell that is empty, no finite number, or larger than ``LARGEST``.
    """
    found = np.zeros((len(rows), len(columns)))
    for place, column in enumerate(typed):
        for at, value in enumerate(column):
            where = f"{label} must have a number from -{LARGEST:g} to {LARGEST:g} in {rows[at]}, {columns[place]}"
            if value is None or isinstance(value, str | bool):
                raise ValueError(f"{where}, but got {'nothing' if value is None else repr(value)}")
            number = float(value)  # type: ignore[arg-type]  # what an editor of numbers gives
            if not abs(number) <= LARGEST:
                raise ValueError(f"{where}, but got {'nothing' if np.isnan(number) else f'{number:g}'}")
            found[at, place] = number
    return found
