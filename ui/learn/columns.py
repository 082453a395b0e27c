"""One-hot against an embedding, in numbers: both pick a column of a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from diagnostics.records import Array
from tasks.characters import named
from ui.learn.arithmetic import matrix, numeral
from ui.words import markdown, number

ROWS, COLUMNS = 3, 5
"""What is shown of a matrix."""


class Columns(NamedTuple):
    """``table`` [G·H,V]: its column k is what character k brings to the sums; ``entered`` [G·H,V] the same, worked out
    by entering each character on its own; ``embedded``: whether there is an embedding in between."""

    table: Array
    entered: Array
    embedded: bool

    @property
    def apart(self) -> float:
        """The largest difference between the two, in any character and any row."""
        return float(np.abs(self.table - self.entered).max())


def columns(weights: Mapping[str, Array]) -> Columns:
    """W_xh itself where characters enter one-hot, W_xh Eᵀ where they are embedded, and every character entered."""
    W = np.asarray(weights["recurrent.layers.0.weight_ih"], dtype=np.float64)
    if "embedding.weight" not in weights:
        one_hot = np.eye(W.shape[1])
        return Columns(W, np.stack([W @ one_hot[:, k] for k in range(W.shape[1])], axis=1), embedded=False)
    E = np.asarray(weights["embedding.weight"], dtype=np.float64)
    return Columns(W @ E.T, np.stack([W @ row for row in E], axis=1), embedded=True)


def panel(slug: str, weights: Mapping[str, Array], characters: Sequence[str]) -> None:
    """Choose a character and see its column."""
    found = columns(weights)
    st.markdown("**How a character enters: one column of a matrix**")
    place = st.selectbox(
        "Character",
        range(len(characters)),
        format_func=lambda k: named(characters[k]),
        key=f"learn-{slug}-character",
        width=160,
    )
    k = min(int(place or 0), len(characters) - 1)
    st.latex(equation(found, k))
    sign = markdown(named(characters[k]))
    if not found.embedded:
        st.markdown(
            f"Times the one-hot vector of **{sign}**, W_xh gives its own column {k + 1} and nothing else: multiplying "
            f"is looking up. Over all {len(characters)} characters the product and the column differ by "
            f"{_difference(found)}. That is why an embedding, which looks the column up at once, can take its place."
        )
        return
    st.markdown(
        f"The embedding looks up a vector for **{sign}**, and W_xh makes its sums of it. That is column {k + 1} of one "
        f"matrix, W_xh Eᵀ, as if **{sign}** had entered one-hot: over all {len(characters)} characters the two differ "
        f"by {_difference(found)}. The embedding only writes the matrix as a product, shared by all."
    )


def equation(found: Columns, k: int) -> str:
    """The product with the one-hot vector of character k, of the first rows and of the columns around k."""
    V = found.table.shape[1]
    first = min(max(0, k - COLUMNS // 2), max(0, V - COLUMNS))
    shown = range(first, min(V, first + COLUMNS))
    before, after = first > 0, shown.stop < V
    dots = [r"\cdots"]
    head = [
        "&".join([*dots * before, *(numeral(found.table[row, j]) for j in shown), *dots * after])
        for row in range(min(ROWS, len(found.table)))
    ]
    if more := len(found.table) > ROWS:
        head.append("&".join([r"\vdots"] * (before + len(shown) + after)))
    one = [r"\vdots"] * before + ["1" if j == k else "0" for j in shown] + [r"\vdots"] * after
    column = matrix(found.entered[:ROWS, k])
    if more:
        column = column.replace(r"\end{bmatrix}", r"\\\vdots\end{bmatrix}")
    name = r"W_{xh} E^\top" if found.embedded else "W_{xh}"
    right = rf"W_{{xh}}\, E_{{{k + 1}}}^\top" if found.embedded else rf"\text{{column }} {k + 1}"
    return rf"{name}\, e_{{{k + 1}}} = {_bracketed(head)}{_bracketed(one)} = {column} = {right}"


def _bracketed(rows: Sequence[str]) -> str:
    return r"\begin{bmatrix}" + r"\\".join(rows) + r"\end{bmatrix}"


def _difference(found: Columns) -> str:
    return "exactly 0" if found.apart == 0 else f"at most {number(found.apart)}, which is rounding"
