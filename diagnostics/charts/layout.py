"""Where the words of a sentence stand: lines of cells, with the middle of a long sentence drawn as a strip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from diagnostics.charts.labels import text_width

LONG = 80
"""A sentence of more timesteps than this has its middle drawn without text."""
_HEAD, _BEFORE, _AFTER, _TAIL, _LEAST_STRIP = 10, 3, 10, 20, 8
_PADDING, _NARROWEST = 1.9, 2.6


class Place(NamedTuple):
    """One timestep as a cell of text: columns are average characters, lines count from 0 at the top."""

    step: int
    line: int
    left: float
    width: float


class Strip(NamedTuple):
    """Consecutive timesteps ``first`` … ``last``, both included, drawn on a line of their own without text."""

    first: int
    last: int
    line: int


class Layout(NamedTuple):
    """All timesteps, each in exactly one place or strip."""

    places: tuple[Place, ...]
    strips: tuple[Strip, ...]
    lines: int
    answer: Place
    """Where the answer stands, after the last cell (its ``step`` is the number of timesteps)."""


def arrange(tokens: Sequence[str], answer: str, informative: Collection[int], columns: float) -> Layout:
    """Lay tokens out on lines of ``columns`` average characters; every informative step keeps its text."""
    places: list[Place] = []
    strips: list[Strip] = []
    line, left = 0, 0.0
    for first, last, with_text in segments(len(tokens), informative):
        if not with_text:
            line += 1 if left else 0
            strips.append(Strip(first, last, line))
            line, left = line + 1, 0.0
            continue
        for step in range(first, last + 1):
            width = min(max(text_width(tokens[step]) + _PADDING, _NARROWEST), columns)
            if left and left + width > columns:
                line, left = line + 1, 0.0
            places.append(Place(step, line, left, width))
            left += width
    width = min(text_width(answer) + 2 * _PADDING, columns)
    if left and left + width > columns:
        line, left = line + 1, 0.0
    return Layout(tuple(places), tuple(strips), line + 1, Place(len(tokens), line, left, width))


def segments(length: int, informative: Collection[int]) -> list[tuple[int, int, bool]]:
    """Split 0 … length − 1 into (first, last, with text): beginning, end and informative steps keep their text."""
    if length <= LONG:
        return [(0, length - 1, True)] if length else []
    keep = set(range(_HEAD)) | set(range(length - _TAIL, length))
    shown = sorted(informative)[: LONG // 2]
    for step in shown:
        keep |= set(range(max(0, step - _BEFORE), min(length, step + _AFTER + 1)))
    found: list[tuple[int, int, bool]] = []
    for step in range(length):
        with_text = step in keep
        if found and found[-1][2] == with_text:
            found[-1] = (found[-1][0], step, with_text)
        else:
            found.append((step, step, with_text))
    # A strip of a few words would save nothing: those keep their text.
    readable = [(a, b, text or b - a + 1 < _LEAST_STRIP) for a, b, text in found]
    merged: list[tuple[int, int, bool]] = []
    for first, last, with_text in readable:
        if merged and merged[-1][2] and with_text:
            merged[-1] = (merged[-1][0], last, True)
        else:
            merged.append((first, last, with_text))
    return merged
