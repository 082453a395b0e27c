"""The graph of one call of a watched torch.nn layer, from the states that it begins with to what it gives.

Letters: T timesteps, B batch, H hidden size, P size of the state that is handed on, L layers, D directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor


class Graph:
    """The graph of a call between the states that its layers begin with and what they give.

    ``initial``: (h0, …) or (h0, …, c0, …), [B,·] each, of the bottom layer's directions, or of all layers where all
    have a graph; ``ends``: (output [T,B,D·P], h_n [L·D,B,P][, c_n [L·D,B,H]]); ``recurrences``: the nodes of the
    instrumented recurrences, bottom layer first, and ``bottom`` how many of them are in that.
    """

    def __init__(
        self, initial: Sequence[Tensor], ends: Sequence[Tensor], recurrences: Sequence[Any], bottom: int
    ) -> None:
        self.initial, self.ends, self.recurrences, self.bottom = initial, ends, recurrences, bottom

    @contextmanager
    def of_states_alone(self) -> Iterator[None]:
        """Within, what goes back through a recurrence forms no gradient of weights, nor of the bottom layer's input.

        A Function's ``needs_input_grad`` is what required a gradient in the forward pass, whatever ``autograd.grad``
        is asked for; with it as it is everything would be right, too, but take twice as long.
        """
        were = [node.needs_input_grad for node in self.recurrences]
        states = len(self.ends) - 1
        for k, node in enumerate(self.recurrences):
            *before, of_x = were[k][: -4 - states]  # x, the states, and four weights and biases are what comes last
            of_x = of_x and k >= self.bottom
            node.needs_input_grad = (*before, of_x, *were[k][-4 - states : -4], *[False] * 4)
        try:
            yield
        finally:
            for node, was in zip(self.recurrences, were, strict=True):
                node.needs_input_grad = was
