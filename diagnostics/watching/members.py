"""The states in a tensor that a loop made of them: what a head is given after it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from diagnostics.watching import graph

Member = tuple[Tensor, graph.Edge, Tensor | None]
"""Values, their place in the graph, and the tensor itself if it is there."""


def members(leaf: Tensor, shape: tuple[int, ...]) -> Iterator[Member]:
    """``leaf`` itself where it has ``shape``, or what it stacks, the last first, where those have."""
    made = graph.edge(leaf)
    if made is not None and leaf.shape == shape:
        yield leaf, made, leaf
    elif made is not None and leaf.dim() == len(shape) + 1:
        yield from (member for member in _stacked(leaf.detach(), made) if member[0].shape == shape)


def _stacked(values: Tensor, made: graph.Edge) -> Iterator[Member]:
    """What ``torch.stack`` made a tensor from, also where it was transposed; or ``torch.cat``, from unsqueezed ones.

    What a node keeps of a negative axis is the number that it would be as an unsigned one.
    """
    node, name = made[0], made[0].name()
    following = [one for one in node.next_functions if one[0] is not None]
    if name == "TransposeBackward0":
        one, other = (axis if axis < values.dim() else axis - 2**64 for axis in (node._saved_dim0, node._saved_dim1))
        yield from _stacked(values.transpose(one, other), following[0])
    elif name in {"StackBackward0", "CatBackward0"} and len(following) == len(node.next_functions):
        axis = node._saved_dim if node._saved_dim < values.dim() else node._saved_dim - 2**64
        if name == "CatBackward0":
            if not all(one.name() == "UnsqueezeBackward0" for one, _ in following):
                return
            following = [one.next_functions[0] for one, _ in following]
        rows = values.unbind(axis)
        if len(rows) == len(following):
            yield from ((row, one, None) for row, one in reversed(list(zip(rows, following, strict=True))) if one[0])
