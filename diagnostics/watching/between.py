"""What is asked of the tensors between two calls: where they came from, and whether they are the whole state."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

from diagnostics.watching import graph
from diagnostics.watching.graph import Edge
from diagnostics.watching.leaves import Path
from diagnostics.watching.matching import CameIn, Memory, UnclearError


def constants(leaves: Sequence[tuple[Path, Tensor]]) -> dict[Path, Tensor | None]:
    """As ``Memory.constants``. Of a module with one argument only what may be a state of samples, [B,H], is kept until
    the step is over, and not the activations of a frozen network."""
    if len(leaves) == 1 and leaves[0][1].dim() > 2:
        return {}
    return {path: None if leaf.requires_grad else leaf for path, leaf in leaves}


def begins_detached(memory: Memory, arguments: Collection[Path]) -> bool:
    """Whether the latest call, with which a line begins, was given a state without a graph that is not just zeros."""
    given = [memory.constants[path] for path in arguments if path in memory.constants]
    known = [state for state in given if state is not None]
    return len(known) == len(given) and any(bool(state.any()) for state in known)


def check_whole(memory: Memory, state: Tensor, since: int) -> None:
    """Raise ``UnclearError`` where what comes in is only a part of what is handed on: computed, say by dropout, from a
    tensor from which the next state is computed directly as well."""
    made, before = graph.edge(state), memory.above
    if before is not None:
        if graph.path(made, before.alone, before.since, avoid=[before.made]) is not None:
            raise UnclearError(
                "is called with something that is computed from its state, while the state itself is used for the next "
                "one as well: mark the state with w.state(h)"
            )
        if memory.by_argument and not memory.beside:
            memory.beside = _another(made, before, since)
    returned = [found for edges in memory.edges.values() for found in edges]
    memory.above = None if made is None else CameIn(graph.made_from_alone(made, since), made, since, returned)


def _another(made: Edge | None, before: CameIn, since: int) -> bool:
    """Whether the state ``made`` in the timestep that began at number ``since`` was computed from another tensor too
    that was handed on: made in the timestep before from what its call returned, and not from the state alone."""
    return any(
        graph.path(one, before.returned, before.since, avoid=[before.made]) is not None
        for one in graph.crossing(made, since, avoid=[before.made])
    )
