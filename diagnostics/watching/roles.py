"""Which of the tensors that a cell hands on is which: an LSTM's h and c, or the states of several layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diagnostics.watching import graph
from diagnostics.watching.graph import Edge
from diagnostics.watching.leaves import Path

CELL_NAMES = {"c", "cx", "cell", "c_t", "cell_state", "memory"}


@dataclass(frozen=True, slots=True)
class Role:
    """One layer's state: where in what a call returns h lies, and c, where there is one."""

    h: Path
    c: Path | None = None


@dataclass(frozen=True, slots=True)
class HandedOn:
    """One tensor between two calls, as the later of them sees it."""

    output: Path
    """Where in what a call returns it lies."""
    made: Edge | None
    """Where the later call made its own one."""
    came: Edge | None
    """Where what came in was made; None for a constant."""


def roles(states: Sequence[HandedOn], since: int, fed_back: bool) -> list[Role]:
    """The layers, lowest first, from the graph of one call that began at number ``since``.

    c is the state that h is computed from within the call while it depends on the h that came in itself. Of layers,
    which are computed from one another as well, the lower one does not depend on the upper one's state that came in.
    ``fed_back``: all that the call was given was handed on by the one before, so that one of them may be its output,
    given back as the next input: then it is that which is computed from the other by mixing its entries.
    Raises ``ValueError`` with a sentence where it cannot be told.
    """
    if len(states) == 1:
        return [Role(states[0].output)]
    named = [state for state in states if state.output and str(state.output[-1]).lower() in CELL_NAMES]
    if len(states) == 2 and len(named) == 1:
        (other,) = (state for state in states if state is not named[0])
        return [Role(other.output, named[0].output)]
    partners = {i: [j for j in range(len(states)) if _is_cell_state(states, i, j, since)] for i in range(len(states))}
    if len(states) == 2 and not any(partners.values()):
        return _as_torch_does(states, since)
    cells = {i: found[0] for i, found in partners.items() if len(found) == 1}
    crossed = any(len(found) > 1 for found in partners.values()) or set(cells) & set(cells.values())
    if crossed or len(set(cells.values())) < len(cells):
        tops = [state for i, state in enumerate(states) if not partners[i]]
        if len(tops) == 1:  # a cell with more than two states: the one that all others go into
            return [Role(tops[0].output)]
        raise ValueError(f"hands on {len(states)} tensors, and which of them is the state cannot be told")
    if fed_back:
        for i, j in list(cells.items()):
            if graph.path(states[j].made, [states[i].made], since, graph.elementwise) is None:
                return [Role(states[i].output)]
    of = {j: states[i].output for i, j in cells.items()}
    return [Role(state.output, of.get(i)) for i, state in enumerate(states) if i not in cells]


def _is_cell_state(states: Sequence[HandedOn], i: int, j: int, since: int) -> bool:
    """Whether state ``i`` is to ``j`` what an LSTM's c is to its h."""
    if i == j or graph.path(states[j].made, [states[i].made], since) is None:
        return False
    return graph.path(states[i].made, [states[j].came], since, avoid=_known(states[i].came)) is not None


def _known(edge: Edge | None) -> list[Edge]:
    return [] if edge is None else [edge]


def _as_torch_does(states: Sequence[HandedOn], since: int) -> list[Role]:
    """Two states, neither of which is computed from the other alone: (h, c) where each depends on both, else layers."""
    first, second = states
    depends = [
        state.came is None or other.came is None or graph.path(state.made, [other.came], since) is not None
        for state, other in ((first, second), (second, first))
    ]
    return [Role(first.output, second.output)] if all(depends) else [Role(first.output), Role(second.output)]


def from_names(found: Mapping[Path, object]) -> list[Role]:
    """The role of the outputs of torch's own cells: h, or (h, c)."""
    paths = list(found)
    return [Role(paths[0], paths[1] if len(paths) > 1 else None)]
