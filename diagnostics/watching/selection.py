"""Which of the lines of a training step are those of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from diagnostics.watching.lines import Line
from diagnostics.watching.matching import Memory


def select(lines: Sequence[Line], memories: Mapping[str, Memory]) -> list[Line]:
    """The lines of cells, of all that were found in one training step."""
    clear = [line for line in lines if not memories[line.name].unclear and _long_enough(line, memories[line.name])]
    return _without_arguments_of_others(_without_nested(clear))


def _long_enough(line: Line, memory: Memory) -> bool:
    """Two calls make a line of a cell; of anything else it takes three, since layers may share weights."""
    return len(line.spans) >= (2 if memory.known or memory.named else 3)


def _tokens(line: Line) -> list[object]:
    return [step[0, "h"].token for step in line.steps if (0, "h") in step]


def _all_tokens(line: Line) -> set[object]:
    return {state.token for step in line.steps for state in step.values()}


def _within(inner: Line, outer: Line) -> bool:
    """Whether every call of one line is made by calls of the other."""
    return inner is not outer and all(
        any(began < other <= ended for began, ended, _ in outer.spans) for other, _, _ in inner.spans
    )


def _without_nested(lines: Sequence[Line]) -> list[Line]:
    """Of a cell and what is inside: the outermost, unless its states are just those of the one or several inside."""
    dropped: set[Line] = set()
    for outer in sorted(lines, key=lambda line: line.name.count(".") + bool(line.name)):
        if outer in dropped or outer.by_argument:
            continue
        inner = [line for line in lines if _within(line, outer)]
        cells = [line for line in inner if not line.by_argument and line not in dropped]
        same = [line for line in cells if not line.templates and _tokens(line) == _tokens(outer)]
        several = len(cells) > 1 and _all_tokens(outer) <= set[object]().union(*map(_all_tokens, cells))
        dropped |= {line for line in inner if line.by_argument}
        dropped |= {outer} if same or several else set(cells)
    return [line for line in lines if line not in dropped]


def _without_arguments_of_others(lines: Sequence[Line]) -> list[Line]:
    """Without single-argument modules in a loop that has a cell, and in one loop only those that the state goes into
    first: what is made from it within the timestep, like r ⊙ h of a GRU, is none."""
    cells = [line for line in lines if not line.by_argument]
    kept: list[Line] = []
    for line in sorted((line for line in lines if line.by_argument), key=lambda line: line.spans[0][0]):
        if not any(_between(line, cell) for cell in cells) and not any(_made_within(line, first) for first in kept):
            kept.append(line)
    return cells + kept


def _between(line: Line, cell: Line) -> bool:
    """Whether calls of the cell are made between those of the line."""
    began = [span[0] for span in cell.spans]
    between = sum(any(before < at < after for at in began) for (before, _, _), (after, _, _) in pairwise(line.spans))
    return 2 * between >= len(line.spans) - 1


def _made_within(line: Line, first: Line) -> bool:
    """Whether what ``line`` is called with is what ``first`` is called with, or is made after that within a step."""
    if len(line.spans) != len(first.spans):
        return False
    states = zip(line.steps, first.steps, first.spans[1:], strict=False)
    return any(
        state[0, "h"].token is other[0, "h"].token or state[0, "h"].made >= since
        for state, other, (_, _, since) in states
    )
