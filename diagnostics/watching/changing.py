"""A state that is changed between two calls of a layer: scaled, masked where an episode is over, its samples reordered.

What arrives at the earlier call's ends by way of a change is found by going through the nodes of the change without
autograd's engine: no hook of the person's runs twice, no ``.grad`` is touched, and what the nodes saved stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from diagnostics.watching.calls import Call
from diagnostics.watching.doors import Exit

FARTHEST = 64
"""So many nodes are looked at between a given state and the ends that it may come from."""

Node = Any
"""Of autograd's graph; those of equal identity are equal."""


class Change:
    """The nodes between the states that ``call`` is given, ``first``, and the ends of earlier calls of its layer.

    It holds the graph of ``first``, and is to be held by what lies above that alone.
    """

    def __init__(self, call: Call, first: Sequence[Tensor]) -> None:
        self._owner, self._ledger = call.owner, call.ledger
        self._roots = [(state.grad_fn, state.output_nr) for state in first]
        self._order: list[Node] = []
        """Every node before those that it leads to; the exits of the layer's calls among them."""
        seen: set[Node] = set()
        whole, ends = [], []
        for node, output in self._roots:
            nodes, complete = _above([node])
            ends.append(self._ends(nodes, [(node, output)]))
            whole.append(complete)
            seen |= nodes
        self._whole = all(whole)
        found = set.intersection(*ends)
        self.origin: Call | None = max(found, key=lambda call: call.number, default=None)
        """The latest call that all of ``first`` comes from by its final states, or by the output of its only step."""
        if self.origin is not None:
            self._order = _ordered([node for node, _ in self._roots], seen, self._of_owner)

    def back(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None] | None:
        """What arrives at the ends of ``origin`` by way of the change where these arrive at ``first``; None where it
        cannot be known: a node is too far away, or of the person's own making, which may not run twice, or what was
        given comes from several calls."""
        found: list[list[Tensor | None] | None] = []
        with torch.enable_grad():
            device = next((one.device for one in gradients if one is not None), None)
            start = torch.zeros((), device=device, requires_grad=True)
            _Within.apply(start, lambda: found.append(self._walk(gradients))).backward()
        return found[0]

    def _walk(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None] | None:
        if not self._whole:
            return None
        arrived: dict[Node, list[Tensor | None]] = {node: [None] * len(node._input_metadata) for node in self._order}
        for (node, output), gradient in zip(self._roots, gradients, strict=True):
            _add(arrived, node, output, gradient)
        result: list[Tensor | None] | None = None
        for node in self._order:
            came = arrived[node]
            if self._of_owner(node):
                if node.call is self.origin:
                    result = came
                elif any(one is not None and bool(one.any()) for one in came):
                    return None
                continue
            if all(one is None for one in came):
                continue
            if not callable(node):  # a Function written in Python
                return None
            given = node(*came)
            for (following, place), one in zip(
                node.next_functions, given if isinstance(given, tuple) else (given,), strict=True
            ):
                if following in arrived:
                    _add(arrived, following, place, one)
        return result

    def _ends(self, nodes: set[Node], roots: Iterable[tuple[Node, int]]) -> set[Call]:
        edges = {edge for node in nodes if not _exit(node) for edge in node.next_functions if _exit(edge[0])}
        edges |= {edge for edge in roots if _exit(edge[0])}
        return {node.call for node, output in edges if self._of_owner(node) and (output > 0 or node.call.steps == 1)}

    def _of_owner(self, node: Node) -> bool:
        return _exit(node) and node.call.owner is self._owner and node.call.ledger is self._ledger


class _Within(Function):
    """Runs something in a backward pass of its own, as what a checkpoint keeps may be unpacked once in each."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, work: Callable[[], None]) -> Tensor:
        ctx.work = work
        return start.clone()

    @staticmethod
    def backward(ctx: Any, *arriving: Any) -> Any:
        with torch.no_grad():
            ctx.work()
        return None, None


def _exit(node: Node) -> bool:
    return isinstance(node, Exit._backward_cls)


def _above(roots: Iterable[Node]) -> tuple[set[Node], bool]:
    """The nodes that lead to ``roots``, the nearest first, up to the exits of watched calls; and whether that is all.
    Parameters, which lead nowhere, are not counted."""
    queue, seen, looked = deque(roots), set(roots), 0
    while queue:
        node = queue.popleft()
        if _exit(node) or not node.next_functions:
            continue
        looked += 1
        if looked > FARTHEST:
            return seen, False
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)
    return seen, True


def _ordered(roots: Iterable[Node], within: set[Node], wanted: Callable[[Node], bool]) -> list[Node]:
    """Of the nodes ``within`` those that lead from ``roots`` to what is ``wanted``, each before what it leads to."""
    leads: dict[Node, bool] = {}
    order: list[Node] = []
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            leads[node] = any(leads.get(following, False) for following, _ in node.next_functions)
            if leads[node]:
                order.append(node)
        elif node not in leads:
            leads[node] = wanted(node)
            if leads[node]:
                order.append(node)
            elif not _exit(node):
                stack.append((node, True))
                stack += [(following, False) for following, _ in node.next_functions if following in within]
    return order[::-1]


def _add(arrived: dict[Node, list[Tensor | None]], node: Node, place: int, gradient: Tensor | None) -> None:
    """As autograd's engine does: summed to the shape of what the gradient is of, and in its dtype."""
    if gradient is None or node not in arrived:
        return
    wanted = node._input_metadata[place]
    if gradient.shape != torch.Size(wanted.shape):
        gradient = gradient.sum_to_size(wanted.shape)
    gradient = gradient.to(wanted.dtype)
    known = arrived[node][place]
    arrived[node][place] = gradient if known is None else known + gradient
