"""Which of the lines of a training step are those of cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from diagnostics.watching.lines import Line
from diagnostics.watching.matching import Memory


def select(lines: Sequence[Line], memories: Mapping[str, Memory]) -> list[Line]:
    """The lines of cells, of all that were found in one training step."""
    clear = [line for line in lines if not memories[line.name].unclear and _long_enough(line, memories[line.name])]
    return _without_parts(_without_nested(clear), memories)


def said_by_others(memory: Memory, lines: Sequence[Line], selected: Sequence[Line]) -> bool:
    """Whether a module that is not watched is inside of a selected one, or in a loop whose state that one has."""
    own = [line for line in lines if line.name == memory.name]
    return any(
        memory.name.startswith(f"{other.name}." if other.name else "") or any(_between(line, other) for line in own)
        for other in selected
        if other.name != memory.name
    )


def is_marked(line: Line, marks: Collection[tuple[int, int]]) -> bool:
    """Whether the states of a line are those that a person marked; of the last one it need not be known."""
    states = [state.made for step in line.steps for (_, letter), state in step.items() if letter == "h"]
    return bool(marks) and sum(made in marks for made in states) >= max(1, len(states) - 1)


def returns_marked(memory: Memory, marks: Collection[tuple[int, int]]) -> bool:
    """Whether what a module returned is what a person marked, so that it need not be followed by itself."""
    return len(memory.made.intersection(marks)) > 1


def _long_enough(line: Line, memory: Memory) -> bool:
    """Two calls make a line of a cell; of anything else it takes three, since layers may share weights."""
    return line.has(0, (0, "h")) and len(line.spans) >= (2 if memory.known or memory.named else 3)


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


def _without_parts(lines: Sequence[Line], memories: Mapping[str, Memory]) -> list[Line]:
    """Without single-argument modules in a loop that has a cell, and of modules in one loop, into which the state goes
    changed, only those that it goes into first: what is made from it within the timestep, like r ⊙ h, is none."""
    whole = [line for line in lines if not line.by_argument and (not line.templates or memories[line.name].known)]
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: line.spans[0][0]):
        others = [other for other in lines if not other.by_argument] if line.by_argument else []
        apart = not any(_between(line, other) for other in others)
        if line not in whole and apart and not any(_made_within(line, other) for other in [*whole, *kept]):
            kept.append(line)
    return whole + kept


def _between(line: Line, cell: Line) -> bool:
    """Whether calls of the cell are made between those of the line."""
    began = [span[0] for span in cell.spans]
    between = sum(any(before < at < after for at in began) for (before, _, _), (after, _, _) in pairwise(line.spans))
    return 2 * between >= len(line.spans) - 1


def _made_within(line: Line, first: Line) -> bool:
    """Whether what ``line`` is called with is what ``first`` is called with before, or is made after that within a
    timestep of the same loop."""
    if len(line.spans) != len(first.spans):
        return False
    rounds = [*(span[0] for span in first.spans), line.spans[-1][0] + 1]
    if not all(one < span[0] < other for span, (one, other) in zip(line.spans, pairwise(rounds), strict=True)):
        return False
    states = zip(line.steps, first.steps, first.spans[1:], strict=False)
    return any(
        state[0, "h"].token is other[0, "h"].token or state[0, "h"].made[0] >= since
        for state, other, (_, _, since) in states
        if (0, "h") in state and (0, "h") in other
    )
