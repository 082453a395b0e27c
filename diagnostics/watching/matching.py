"""What one module remembers of its calls within a training step, and how the next call's arguments are matched."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from diagnostics.watching import graph
from diagnostics.watching.graph import Edge
from diagnostics.watching.leaves import Path, continuous
from diagnostics.watching.lines import Line
from diagnostics.watching.roles import Role
from diagnostics.watching.shares import Share


class UnclearError(Exception):
    """What a module hands on cannot be told apart; the sentence says why."""


@dataclass(slots=True, eq=False)
class Call:
    """One call. It holds no tensor and no graph."""

    since: int
    began: int
    ended: int = 0
    origin: dict[tuple[Hashable, ...], int] = field(default_factory=dict)
    batch: int | None = None
    share: Share | None = None
    product: torch.dtype | None = None
    line: Line | None = None
    index: int = 0
    continued: bool = False

    @property
    def span(self) -> tuple[int, int, int]:
        """As in ``Line.spans``."""
        return self.began, self.ended, self.since


@dataclass(frozen=True, slots=True)
class Output:
    """Where a tensor came from: ``path`` in what ``call`` returned, and how often it had been changed in place then."""

    call: Call
    path: Path
    version: int


@dataclass(frozen=True, slots=True)
class Handed:
    """One tensor that a call is given and that an earlier one returned, or that was made from what it returned."""

    output: Path
    tensor: Tensor
    way: tuple[str, ...] = ()
    """The nodes between the two; () where it is the same tensor."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What goes from ``call`` to the next one. ``cut``: without its graph."""

    call: Call
    states: list[Handed]
    cut: bool = False
    by_argument: bool = False


@dataclass(frozen=True, slots=True)
class CameIn:
    """A state that a call was given and that was made from what the call before it returned: what it was made from
    alone, its place in the graph, the number of the graph's next node when the call began, and what the call returned.
    """

    alone: list[Edge]
    made: Edge
    since: int
    returned: list[Edge]


@dataclass(eq=False)
class Memory:
    """What is known of one module; ``by_argument`` stays known from one training step to the next."""

    name: str
    module: nn.Module
    named: bool
    by_argument: bool = False
    """Whether it is a module with one argument, which is the state."""
    roles: list[Role] | None = None
    outputs: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)
    latest: Call | None = None
    edges: dict[Path, list[Edge]] = field(default_factory=dict)
    """Of the latest call's outputs: as they were made, and as they were handed on."""
    shapes: dict[Path, torch.Size] = field(default_factory=dict)
    kept: dict[Path, Tensor] = field(default_factory=dict)
    """The latest call's outputs themselves, of a module that may be a cell."""
    constants: dict[Path, Tensor | None] = field(default_factory=dict)
    """What the latest call was given, where no state was handed to it: the tensors without a graph, None for others."""
    above: CameIn | None = None
    """The latest state that came in changed."""
    beside: bool = False
    """Whether a second tensor goes from timestep to timestep around a module whose argument is the state."""
    made: set[tuple[int, int]] = field(default_factory=set)
    """Of what all calls of the step returned: the places in the graph, in ``graph.numbers``."""
    calls: int = 0
    ungraded: int = 0
    unclear: str = ""
    lined: bool = False
    """Whether a call of this step was handed a state by an earlier one."""

    @property
    def known(self) -> bool:
        """Whether it is one of torch's own cells, whose arguments are known."""
        return isinstance(self.module, nn.RNNCellBase) and type(self.module).forward in _FORWARDS

    def forget(self) -> None:
        """Forget the training step."""
        self.outputs = WeakTensorKeyDictionary()
        self.above = self.roles = None
        self.latest, self.calls, self.ungraded, self.unclear, self.lined = None, 0, 0, "", False
        self.edges, self.shapes, self.kept, self.constants = {}, {}, {}, {}
        self.beside, self.made = False, set()

    def match(self, leaves: list[tuple[Path, Tensor]]) -> Handover | None:
        """What an earlier call handed to the one that is given ``leaves``; None where it begins anew.

        Raises ``UnclearError``.
        """
        places = [(path, leaf) for path, leaf in leaves if continuous(leaf) and self._may_be_state(path)]
        known = [(self.outputs[leaf], leaf) for _, leaf in places if leaf in self.outputs]
        same: dict[Path, tuple[Output, Tensor]] = {output.path: (output, leaf) for output, leaf in known}
        calls = {id(output.call): output.call for output, _ in known}
        if len(calls) > 1:
            raise UnclearError(
                "is given states that two different calls of it returned, so there is no one line of timesteps: mark "
                "the states along one of them with w.state(h)"
            )
        if not calls:
            if len(leaves) == 1 and not self.known:
                return self._argument(leaves[0][1])
            return self._changed(places) or self._detached(places)
        (call,) = calls.values()
        if call.continued:
            raise UnclearError(
                "hands the same state to two calls (a tree, a search), so there is no one line of timesteps: mark the "
                "states along one of them with w.state(h)"
            )
        states = [self._in_place(output, leaf) for output, leaf in same.values()]
        if call is self.latest:
            states += self._beside(places, same)
        return Handover(call, states)

    def _may_be_state(self, path: Path) -> bool:
        return not self.known or path[:2] in {(0, 1), (1, "hx")}

    def _in_place(self, output: Output, leaf: Tensor) -> Handed:
        changed = leaf._version != output.version
        return Handed(output.path, leaf, ("in place",) if changed else ())

    def _beside(self, places: list[tuple[Path, Tensor]], same: dict[Path, tuple[Output, Tensor]]) -> list[Handed]:
        """Of a call of which some output came in as it was: the others that came in changed, entry by entry."""
        found = {}
        for _, leaf in places:
            for path, edges in self.edges.items():
                if path in same or path in found or leaf in self.outputs or self.shapes[path] != leaf.shape:
                    continue
                way = self._way(leaf, edges, only_elementwise=True)
                if way is not None:
                    found[path] = Handed(path, leaf, way)
        return list(found.values())

    def _way(self, leaf: Tensor, edges: list[Edge], only_elementwise: bool = False) -> tuple[str, ...] | None:
        if self.latest is None:
            return None
        if only_elementwise:
            return graph.path(graph.edge(leaf), edges, self.latest.since, graph.elementwise)
        return graph.path(graph.edge(leaf), edges, self.latest.since)

    def _changed(self, places: list[tuple[Path, Tensor]]) -> Handover | None:
        """Nothing came in as it was: what came in that was made from the latest call's outputs, in their shape."""
        if self.latest is None:
            return None
        found: dict[Path, list[Handed]] = {}
        for path, edges in self.edges.items():
            for _, leaf in places:
                if leaf.shape == self.shapes[path]:
                    way = self._way(leaf, edges, only_elementwise=True)
                    if way is not None:
                        found.setdefault(path, []).append(Handed(path, leaf, way))
        if not found:
            self._check_samples(places)
            return None
        states = [min(handed, key=lambda one: len(one.way)) for handed in found.values()]
        if len({id(one.tensor) for one in states}) < len(states):  # e.g. h, which was made from c as well
            states = _shortest(states)
        if self.latest.continued:
            raise UnclearError(
                "hands the same state to two calls (a tree, a search), so there is no one line of timesteps: mark the "
                "states along one of them with w.state(h)"
            )
        return Handover(self.latest, states)

    def _check_samples(self, places: list[tuple[Path, Tensor]]) -> None:
        """Raise where what comes in was made from the latest states, but has fewer samples."""
        for path, edges in self.edges.items():
            shape = self.shapes[path]
            for _, leaf in places:
                fewer = 1 < leaf.dim() == len(shape) and leaf.shape[1:] == shape[1:] and len(leaf) < shape[0]
                if fewer and self._way(leaf, edges, only_elementwise=True) is not None:
                    raise UnclearError(
                        f"is given the states of {len(leaf)} samples where it handed on those of {shape[0]}, so that "
                        "its states are of no one shape: mark them with w.state(h), filled up to all samples"
                    )

    def _argument(self, leaf: Tensor) -> Handover | None:
        """For a module with one argument, like ``W`` in h = tanh(W(h) + U(x)): it is the state."""
        if len(self.edges) != 1 or self.latest is None:
            return None
        (edges,) = self.edges.values()
        way = self._way(leaf, edges)
        if not way or leaf.grad_fn is None or leaf.grad_fn.name() == "CatBackward0":
            return None
        return Handover(self.latest, [Handed((), leaf, way)], by_argument=True)

    def _detached(self, places: list[tuple[Path, Tensor]]) -> Handover | None:
        found: dict[Path, Handed] = {}
        for path, output in self.kept.items():
            for _, leaf in places:
                if same_values(leaf, output):
                    found.setdefault(path, Handed(path, leaf))
        if not found or self.latest is None or self.latest.continued:
            return None
        return Handover(self.latest, list(found.values()), cut=True)


_FORWARDS = {nn.RNNCell.forward, nn.GRUCell.forward, nn.LSTMCell.forward}


def _shortest(states: list[Handed]) -> list[Handed]:
    """Of several outputs that a tensor was made from, the one that is nearest to it."""
    nearest: dict[int, Handed] = {}
    for one in sorted(states, key=lambda one: len(one.way)):
        nearest.setdefault(id(one.tensor), one)
    return list(nearest.values())


def same_values(leaf: Tensor, output: Tensor) -> bool:
    """Whether ``leaf`` is ``output`` without its graph: of the same memory, or a copy that is not just zeros."""
    if leaf.grad_fn is not None or leaf.shape != output.shape:
        return False
    if leaf.untyped_storage().data_ptr() == output.untyped_storage().data_ptr():
        return leaf.storage_offset() == output.storage_offset()
    return leaf.dtype == output.dtype and bool(torch.equal(leaf, output)) and bool(leaf.any())
