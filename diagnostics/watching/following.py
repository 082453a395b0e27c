"""The calls of one training step as they come, entered into their lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from diagnostics.watching import graph
from diagnostics.watching.between import begins_detached, check_whole, constants
from diagnostics.watching.leaves import Path, continuous, replaced, tensors
from diagnostics.watching.lines import Line, Place
from diagnostics.watching.matching import Call, Handed, Handover, Memory, Output, UnclearError, same_values
from diagnostics.watching.members import members
from diagnostics.watching.roles import HandedOn, Role, from_names, roles
from diagnostics.watching.runs import Runs
from diagnostics.watching.shares import product, share

StateOf = Callable[[tuple[Any, ...], dict[str, Any], Any], Tensor | tuple[Tensor, Tensor]]


@dataclass(slots=True, eq=False)
class Frame:
    """A call that has begun."""

    memory: Memory
    call: Call
    leaves: list[tuple[Path, Tensor]]
    handover: Handover | None = None
    arguments: frozenset[Path] = frozenset()
    """Where in what the call is given the states lie that were handed to it."""


class Following:
    """``finished``: the lines at which a gradient has arrived."""

    def __init__(
        self, state: StateOf | None, check: bool = False, runs: Runs | None = None, *, counted: bool = False
    ) -> None:
        self.runs = runs or Runs()
        self.finished: dict[int, Line] = {}
        self._check, self._counted = check, counted
        self._state = state
        self._order = 0
        self._frames: list[Frame] = []
        self._open: list[tuple[Memory, Line]] = []
        self._raw = WeakTensorKeyDictionary()  # alias → what it is an alias of
        self._tokens = WeakTensorKeyDictionary()
        self._made_by = WeakTensorKeyDictionary()  # what a call returned → (the call, its module's name, its number)

    def begin(self, memory: Memory, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call begins."""
        self._order += 1
        frame = Frame(memory, Call(graph.now(), self._order), list(tensors((args, kwargs))))
        self._frames.append(frame)
        with _kept_from_the_training(memory):
            for _, leaf in frame.leaves:
                self._look_for_end(leaf, memory)
            if self._state is None and not memory.unclear:
                own = [(path, self._own(memory, leaf)) for path, leaf in frame.leaves]
                frame.handover = memory.match(own)
                if frame.handover is not None:
                    handed = {id(one.tensor) for one in frame.handover.states}
                    frame.arguments = frozenset(path for path, leaf in own if id(leaf) in handed)
            self._note_inputs(frame)

    def end(self, memory: Memory, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """A call ends with ``output``; what it is to return instead. Raises what the person's ``state`` raises."""
        while self._frames and self._frames[-1].memory is not memory:
            self._frames.pop()  # of calls that ended in an exception
        if not self._frames:
            return output
        frame = self._frames.pop()
        frame.call.ended = self._order
        given = {id(leaf) for _, leaf in frame.leaves}
        made = {
            path: leaf
            for path, leaf in tensors(output)
            if leaf.requires_grad and continuous(leaf) and id(leaf) not in given
        }
        if len({id(leaf) for leaf in made.values()}) > 1:
            output = replaced(output, self._alias({id(leaf): leaf for leaf in made.values()}))
        returned = {path: leaf for path, leaf in tensors(output) if path in made}
        said: Any = None
        if self._state is not None:
            said = self._state(args, kwargs, output)
            _check_said(said, memory)
        with _kept_from_the_training(memory):
            for leaf in returned.values():
                self._look_for_end(leaf, memory)
            self._follow(frame, returned if self._state is None else self._said(frame, said))
        return output

    def _alias(self, ours: dict[int, Tensor]) -> Callable[[Tensor], Tensor]:
        aliases: dict[int, Tensor] = {}

        def alias(leaf: Tensor) -> Tensor:
            if id(leaf) not in ours or leaf in self._raw:
                return leaf
            if id(leaf) not in aliases:
                aliases[id(leaf)] = leaf.view_as(leaf)
                self._raw[aliases[id(leaf)]] = leaf
            return aliases[id(leaf)]

        return alias

    def _own(self, memory: Memory, leaf: Tensor) -> Tensor:
        """What the module returned itself, where ``leaf`` is what a module around it made of it."""
        raw = self._as_made(leaf)
        return raw if leaf not in memory.outputs and raw in memory.outputs else leaf

    def _as_made(self, leaf: Tensor) -> Tensor:
        raw: Tensor = self._raw.get(leaf, leaf)
        return raw

    def _token(self, tensor: Tensor) -> object:
        return self._tokens.setdefault(tensor, object())

    def _note_inputs(self, frame: Frame) -> None:
        """Of what a call's inputs are slices or outputs, and where in it they lie; and the batch size they tell."""
        handed = {id(one.tensor) for one in frame.handover.states} if frame.handover else set()
        origin: dict[tuple[Hashable, ...], int] = {}
        for path, leaf in frame.leaves:
            if id(leaf) in handed:
                continue
            if leaf in self._made_by:
                call, name, number = self._made_by[leaf]
                origin[path, name] = number
                if len(call.origin) == 1:  # of an embedding or the like: where that had its input from
                    ((source, place),) = call.origin.items()
                    origin[path, *source] = place
            elif leaf._is_view():
                origin[path, leaf.untyped_storage().data_ptr()] = int(leaf.storage_offset())
            if frame.call.batch is None and leaf.dim():
                frame.call.batch = len(leaf)
        frame.call.origin = origin

    def _said(self, frame: Frame, value: Any) -> dict[Path, Tensor]:
        """What the person's ``state`` says that a call hands on; with it, what the call before handed to it."""
        memory = frame.memory
        parts = value if isinstance(value, tuple) else (value,)
        returned: dict[Path, Tensor] = {(letter,): part for letter, part in zip("hc", parts, strict=False)}
        memory.roles = [Role(("h",), ("c",) if len(parts) == 2 else None)]
        before = [found for edges in memory.edges.values() for found in edges]
        if memory.latest is not None and not memory.latest.continued:
            if graph.path(graph.edge(returned["h",]), before, memory.latest.since) is not None:
                frame.handover = Handover(memory.latest, [])
            elif any(same_values(leaf, kept) for _, leaf in frame.leaves for kept in memory.kept.values()):
                frame.handover = Handover(memory.latest, [], cut=True)
        return {path: leaf for path, leaf in returned.items() if leaf.requires_grad}

    def _follow(self, frame: Frame, returned: dict[Path, Tensor]) -> None:
        """Enter a call into its line, if it is in one, and remember what it returned for the next one."""
        memory, call, handover = frame.memory, frame.call, frame.handover
        if self._check and (memory.known or memory.by_argument):
            made = [self._as_made(leaf) if not at else leaf for at, leaf in enumerate(returned.values())]
            call.share = share(memory.module, frame.leaves, made)
        call.product = product(returned.values())
        if handover is not None and not memory.unclear:
            if memory.roles is None:
                memory.roles = self._roles(frame, handover, returned)
            self._enter(memory, call, handover, frame.arguments)
            if not handover.by_argument:
                self._put(memory, call, returned)
        several = len(frame.leaves) > 1
        memory.kept = returned if several or memory.known or self._state is not None else {}
        memory.edges = {path: self._edges(leaf) for path, leaf in returned.items()}
        memory.made |= {graph.numbers(edge) for edges in memory.edges.values() for edge in edges}
        memory.shapes = {path: leaf.shape for path, leaf in returned.items()}
        memory.constants = {} if handover is not None else constants(frame.leaves)
        memory.latest = call
        memory.calls += 1
        for path, leaf in returned.items():
            memory.outputs[leaf] = Output(call, path, leaf._version)
            self._made_by[leaf] = call, memory.name, memory.calls

    def _edges(self, leaf: Tensor) -> list[graph.Edge]:
        return [found for found in (graph.edge(leaf), graph.edge(self._as_made(leaf))) if found is not None]

    def _roles(self, frame: Frame, handover: Handover, returned: dict[Path, Tensor]) -> list[Role]:
        if handover.by_argument:
            return [Role(())]
        if frame.memory.known:
            return from_names(returned)
        states = [
            HandedOn(one.output, graph.edge(self._as_made(returned[one.output])), graph.edge(one.tensor))
            for one in handover.states
            if one.output in returned
        ]
        handed = {id(one.tensor) for one in handover.states}
        fed_back = all(id(leaf) in handed for _, leaf in frame.leaves if continuous(leaf))
        try:
            return roles(states, frame.call.since, fed_back)
        except ValueError as reason:
            raise UnclearError(
                f"{reason}: say it with watch(…, cells=[…], state=…), or mark it with w.state(h)"
            ) from None

    def _enter(self, memory: Memory, call: Call, handover: Handover, arguments: Collection[Path]) -> None:
        """Put ``call`` behind the one that handed it its state, and the states between the two in their places."""
        earlier, line = handover.call, handover.call.line
        if line is None:
            line = earlier.line = Line(
                memory.name, self.finished, self.runs, counted=self._counted, by_argument=handover.by_argument
            )
            line.append(earlier.span, earlier.origin, earlier.batch, earlier.share, earlier.product)
            memory.by_argument = handover.by_argument
            if earlier is memory.latest:
                self._put(memory, earlier, memory.kept)
                line.cuts += [0] * begins_detached(memory, arguments)
        line.append(call.span, call.origin, call.batch, call.share, call.product)
        earlier.continued = memory.lined = True
        call.line, call.index = line, earlier.index + 1
        if handover.cut:
            line.cuts.append(call.index)
            return
        handed = {one.output: one for one in handover.states}
        for place, path in _places(memory.roles):
            if path in handed:
                self._hand(memory, line, earlier.index, place, handed[path])

    def _hand(self, memory: Memory, line: Line, t: int, place: Place, one: Handed) -> None:
        if one.way:
            if place == (0, "h"):
                check_whole(memory, one.tensor, line.spans[t][2])
            line.put(t, place, one.tensor, self._token(one.tensor))
            if place[1] == "h" and place not in line.templates:
                line.templates[place] = one.output, one.way
                self._open.append((memory, line))
        elif not line.has(t, place):
            tensor = self._as_made(one.tensor) if place[1] == "h" else one.tensor
            line.put(t, place, tensor, self._token(tensor))

    def _put(self, memory: Memory, call: Call, returned: dict[Path, Tensor]) -> None:
        """The states in what ``call`` returned: h as it was made, so that all its uses count; c as it is handed on."""
        for place, path in _places(memory.roles):
            if path in returned and call.line is not None:
                tensor = self._as_made(returned[path]) if place[1] == "h" else returned[path]
                call.line.put(call.index, place, tensor, self._token(tensor))

    def _look_for_end(self, leaf: Tensor, by: Memory) -> None:
        """Where states are changed between calls: whether ``leaf`` (or one that it stacks) is what the latest one
        became. No call is given the last of all, but something else is: a head, a later layer."""
        for memory, line in self._open:
            call = memory.latest
            if memory is by or call is None or call.line is not line:
                continue
            for place, (path, way) in line.templates.items():
                shape = line.steps[0][place].value.shape
                for value, made, tensor in members(leaf, shape):
                    if graph.path(made, memory.edges.get(path, []), call.since, limit=len(way)) == way:
                        if tensor is None:
                            line.put_member(call.index, place, value, made)
                        else:
                            line.put(call.index, place, tensor, self._token(tensor))
                        line.end_seen = True
                        break


@contextlib.contextmanager
def _kept_from_the_training(memory: Memory) -> Iterator[None]:
    """Whatever goes wrong here is a reason not to watch a module, and must not end the person's training."""
    try:
        yield
    except UnclearError as reason:
        memory.unclear = str(reason)
    except Exception as reason:
        memory.unclear = (
            f"could not be followed ({type(reason).__name__}: {reason}), which is a fault of ours; the training is not "
            "touched by it: mark its state with w.state(h)"
        )


def _check_said(value: Any, memory: Memory) -> None:
    parts = value if isinstance(value, tuple) else (value,)
    if len(parts) not in {1, 2} or not all(isinstance(part, Tensor) for part in parts):
        raise ValueError(f"state must return a tensor or (h, c), but for a call of {memory.name} it returned {value!r}")


def _places(found: list[Role] | None) -> Iterator[tuple[Place, Path]]:
    for layer, role in enumerate(found or []):
        yield (layer, "h"), role.h
        if role.c is not None:
            yield (layer, "c"), role.c
