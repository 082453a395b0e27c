"""Questions to the autograd graph: whether one tensor was made from another, and by what.

An edge is a tensor's place in the graph, ``(grad_fn, output_nr)``. Nodes are numbered in the order in which they were
made (``_sequence_nr``), so that a search that must not leave what was made since some moment never does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor

Edge = tuple[Any, int]

MIXING = ("mm", "mv", "dot", "linear", "conv", "matmul")
"""What the names of nodes contain that mix the entries of a sample (Addmm, Bmm, …), in small letters."""


def edge(tensor: Tensor) -> Edge | None:
    """The tensor's place in the graph; None for a leaf and for a constant."""
    return None if tensor.grad_fn is None else (tensor.grad_fn, tensor.output_nr)


def numbers(edge: Edge) -> tuple[int, int]:
    """An edge by numbers, which do not hold the graph; equal for the same one alone."""
    return int(edge[0]._sequence_nr()), edge[1]


def now() -> int:
    """The number that the next node of this thread gets."""
    number: int = torch._C._autograd._get_sequence_nr()
    return number


def in_backward() -> bool:
    """Whether this is called from within a backward pass, e.g. where a checkpointed part is computed once more."""
    return backward_pass() != -1


def backward_pass() -> int:
    """The number of the backward pass that is going on; -1 outside of one."""
    return torch._C._current_graph_task_id()


def elementwise(name: str) -> bool:
    """Whether a node of this name keeps the entries of a sample apart (as far as its name says)."""
    return not any(part in name.lower() for part in MIXING)


def path(
    start: Edge | None,
    targets: Iterable[Edge | None],
    since: int,
    through: Callable[[str], bool] = lambda name: True,
    avoid: Collection[Edge] = (),
    limit: int | None = None,
) -> tuple[str, ...] | None:
    """The names of the nodes on a shortest way from ``start`` back to one of ``targets``, or None where there is none.

    The way leads only over nodes that were made at number ``since`` or later and whose name ``through`` allows, and
    not over the edges in ``avoid``, nor over more than ``limit`` nodes. From an edge to itself it is ().
    """
    ends = {target for target in targets if target is not None}
    if start is None or not ends:
        return None
    if start in ends:
        return ()
    queue: deque[tuple[Any, tuple[str, ...]]] = deque([(start[0], ())])
    seen = {start[0]}
    while queue:
        node, way = queue.popleft()
        name = node.name()
        if node._sequence_nr() < since or not through(name) or len(way) == limit:
            continue
        way = (*way, name)
        for following in node.next_functions:
            if following in ends:
                return way
            if following[0] is not None and following[0] not in seen and following not in avoid:
                seen.add(following[0])
                queue.append((following[0], way))
    return None


def made_from_alone(made: Edge | None, since: int) -> list[Edge]:
    """The edges above ``made`` up to the first node that has several: what the tensor was computed from and nothing
    else, parameters aside. Nodes older than number ``since`` are left out."""
    above: list[Edge] = []
    while made is not None and made[0]._sequence_nr() >= since:
        following = [one for one in made[0].next_functions if one[0] is not None and _parameter(one[0]) is None]
        if len(following) != 1:
            break
        made = following[0]
        above.append(made)
    return above


def crossing(made: Edge | None, since: int, avoid: Collection[Edge] = ()) -> list[Edge]:
    """The edges to older nodes of what was made since number ``since`` on the way to ``made``; not over ``avoid``."""
    if made is None:
        return []
    found, queue, seen = [], [made[0]], {made[0]}
    while queue:
        for following in queue.pop().next_functions:
            if following[0] is None or following in avoid:
                continue
            if following[0]._sequence_nr() < since:
                found.append(following)
            elif following[0] not in seen:
                seen.add(following[0])
                queue.append(following[0])
    return found


def uses_values(start: Edge | None, of: Collection[Tensor], since: int, at_most: int = 2000) -> bool:
    """Whether what was made since number ``since`` on the way to ``start`` was computed with the values of a tensor in
    ``of``, though the graph does not lead to it: a node kept them for its backward, as a product does."""
    if start is None:
        return False
    there = {_where(tensor) for tensor in of}
    queue, seen = [start[0]], {start[0]}
    while queue and len(seen) < at_most:
        node = queue.pop()
        if node._sequence_nr() < since or hasattr(node, "variable"):
            continue
        kept = [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]
        if any(_where(one) in there for one in kept if isinstance(one, Tensor) and one.layout == torch.strided):
            return True
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)
    return False


def _where(tensor: Tensor) -> tuple[int, int, torch.Size]:
    return tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tensor.shape


def reused(outputs: Iterable[Edge | None], at_most: int = 200_000) -> dict[Tensor, int]:
    """Parameters that are used again on what was computed with them: how often in a row. It is what a loop over time
    in plain tensor operations leaves in the graph.

    Looks at ``at_most`` nodes, and finds nothing in a larger graph; and only at uses of the parameter itself, or seen
    from another side (transposed, as another shape).
    """
    nodes = _nodes(outputs, at_most)
    of = {node: _parameter(node) for node in nodes}
    users: dict[Any, set[Any]] = {}
    for node in nodes:
        if of[node] is None:
            for following, _ in node.next_functions:
                if of.get(following) is not None:
                    users.setdefault(of[following], set()).add(node)
    found = {}
    for leaf, using in sorted(users.items(), key=lambda item: -len(item[1]))[:8]:
        if len(using) > 2:
            times: dict[Any, int] = {}
            for node in sorted((node for node in nodes if of[node] is None), key=lambda node: node._sequence_nr()):
                before = max((times.get(following, 0) for following, _ in node.next_functions), default=0)
                times[node] = before + (node in using)
            found[leaf.variable] = max(times.values())
    return {parameter: count for parameter, count in found.items() if count > 2}


def _nodes(outputs: Iterable[Edge | None], at_most: int) -> set[Any]:
    nodes = {made[0] for made in outputs if made is not None}
    queue = list(nodes)
    while queue:
        for following, _ in queue.pop().next_functions:
            if following is not None and following not in nodes:
                nodes.add(following)
                queue.append(following)
        if len(nodes) > at_most:
            return set()
    return nodes


_SEEN_FROM_ANOTHER_SIDE = {
    f"{name}Backward0" for name in ("T", "Transpose", "Permute", "View", "Unsqueeze", "Expand", "ToCopy")
}


def _parameter(node: Any) -> Any:
    """The node that takes up the gradient of the parameter that this one hands through unchanged; None for others."""
    while node.name() in _SEEN_FROM_ANOTHER_SIDE and len(node.next_functions) == 1 and node.next_functions[0][0]:
        node = node.next_functions[0][0]
    return node if hasattr(node, "variable") else None
