"""Watches anything that is called once per timestep: torch's own cells, a person's, wrapped and scripted ones.

While a training step is recorded, hooks on the modules look at what each call is given. Where that is what an earlier
call of the same module returned, or was made from it, it is the state that was handed on, and a hook on the very tensor
gets the total derivative with respect to it. A call that returns several tensors returns aliases of them: so an LSTM's
c can be told from the same c inside the cell, from which h was computed, and its gradient is that of its direct path.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from diagnostics.watching import graph, grouping, hooks
from diagnostics.watching.following import Following, StateOf
from diagnostics.watching.leaves import tensors
from diagnostics.watching.matching import Memory
from diagnostics.watching.passing import Pass
from diagnostics.watching.runs import Runs
from diagnostics.watching.uses import Answers

IDLE = 3
"""After so many recorded steps in a row in which no module handed anything on, unless one is torch's own or named, …"""
LOOK_AGAIN = 10
"""… only every so many of them are looked at: hooks that find nothing are dear in a small model."""


def attach(
    model: nn.Module,
    cells: Mapping[str, nn.Module] | Sequence[str] | None = None,
    state: StateOf | None = None,
    skip: Collection[nn.Module] = (),
    marks: Callable[[], Collection[tuple[int, int]]] = frozenset,
) -> Cells:
    """Watch the modules of ``model`` that are called once per timestep.

    ``cells``: their names in the model, or name → module; None: they are recognised by their calls.
    ``state``: from the arguments, the keyword arguments and the output of a call of one of ``cells`` to the tensor, or
    (h, c), that it hands on; None: recognised.
    ``skip``: modules that others watch; what is in them and around them is left alone. ``marks``: as ``Marks.places``,
    the states that the person marks; what hands on just these is not recorded a second time.
    Raises ``ValueError`` for a name that the model does not have and for ``state`` without ``cells``.
    """
    if state is not None and cells is None:
        raise ValueError("state must come with cells, the names of the modules that it is about, but cells is None")
    found = dict(visible(model, skip)) if cells is None else _named(model, cells)
    memories = [Memory(name, module, cells is not None) for name, module in found.items()]
    return Cells(memories, state, model.parameters, marks)


class Cells:
    """A ``Source``. For what says what is not covered, after a recorded step: ``refusals``, why a module that hands on
    states is not watched; ``marked``, the names of those whose states the person marked; ``calls``, by name; and
    ``reused``, where nothing is recognised: names of parameters that are
    used again and again on what was computed with them → how often."""

    def __init__(
        self,
        memories: list[Memory],
        state: StateOf | None,
        parameters: Callable[[], Iterable[nn.Parameter]],
        marks: Callable[[], Collection[tuple[int, int]]],
    ) -> None:
        self._memories, self._state, self._parameters, self._marks = memories, state, parameters, marks
        self._remove: list[Callable[[], None]] = []
        self._sentences: list[str] = []
        self._answers = Answers()
        self._counted = False
        self._following = Following(state)
        self.refusals: list[str] = []
        self.marked: set[str] = set()
        self._looked = False
        self._idle = 0
        self._armed = self._looking = False
        self.calls: dict[str, Calls] = {}
        self.reused: dict[str, int] = {}

    @property
    def named(self) -> dict[str, nn.Module]:
        """The modules that the person named."""
        return {memory.name: memory.module for memory in self._memories if memory.named}

    def arm(self, *, check: bool = False) -> None:
        """As ``Source.arm``."""
        self.close()
        self._looking = self._idle < IDLE or self._idle % LOOK_AGAIN == 0
        if not self._looking:
            return
        self._armed, self._counted = True, self._answers.due(check=check)
        self._following = Following(self._state, check, Runs(self._parameters), counted=self._counted)
        for memory in self._memories:
            self._remove.append(hooks.install(memory.module, self._before(memory), self._after(memory)))

    def take(self) -> list[Pass]:
        """As ``Source.take``."""
        if not self._looking:
            self._idle += 1
            return []
        idle = not any(memory.known or memory.named or memory.lined or memory.unclear for memory in self._memories)
        self._idle = self._idle + 1 if idle else 0
        lines = list(self._following.finished.values())
        self.calls = {
            memory.name: Calls(
                memory.calls, memory.ungraded, any(line.name == memory.name and bool(line.recorded) for line in lines)
            )
            for memory in self._memories
        }
        chosen = grouping.choose(lines, {memory.name: memory for memory in self._memories}, self._marks())
        self.refusals, self._sentences, self.marked = chosen.refusals, chosen.sentences, chosen.marked
        self.close()
        return self._answers.told(chosen.passes, counted=self._counted)

    def covered(self) -> list[str]:
        """As ``Source.covered``, about the latest recorded step."""
        return [*self._sentences, *self._answers.sentences()]

    def close(self) -> None:
        """As ``Source.close``."""
        if not self._armed:
            return
        self._armed = False
        for remove in self._remove:
            remove()
        self._remove = []
        self._following.runs.close()
        self._following = Following(self._state)
        for memory in self._memories:
            memory.forget()

    def _before(self, memory: Memory) -> Callable[..., None]:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if _sees(memory, module):
                self._following.begin(memory, args, kwargs)

        return before

    def _after(self, memory: Memory) -> Callable[..., Any]:
        def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            if not _sees(memory, module):
                memory.ungraded += module is memory.module and not torch.is_grad_enabled()
                return None
            output = self._following.end(memory, args, kwargs, output)
            if not memory.name and not memory.named and memory.calls == 1:
                self._look_for_loops(module, output)
            return output

        return after

    def _look_for_loops(self, model: nn.Module, output: Any) -> None:
        """Once, and only where no module hands anything on: whether there is a loop in plain tensor operations."""
        if self._looked or any(memory.lined for memory in self._memories):
            return
        self._looked = True
        found = graph.reused(graph.edge(leaf) for _, leaf in tensors(output))
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.reused = {names[id(leaf)]: times for leaf, times in found.items() if id(leaf) in names}


@dataclass(frozen=True)
class Calls:
    """How often a module was called in a recorded step, with a graph and without one; whether a state of it was handed
    on and a gradient came back."""

    recorded: int
    without_graph: int
    watched: bool


def _sees(memory: Memory, module: nn.Module) -> bool:
    """Whether this call is of the recorded forward pass, and not of a copy of the module, of a compiled graph, inside
    torch.func, without a graph, or of a checkpointed part that is computed once more."""
    if torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None:  # inside torch.func
        return False
    return module is memory.module and torch.is_grad_enabled() and not graph.in_backward()


def compiled(module: nn.Module) -> bool:
    """Whether a module's calls are those of a compiled graph."""
    return type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None


def visible(model: nn.Module, skip: Collection[nn.Module] = (), prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules whose calls can be seen, by their names: with parameters, not compiled, not inside a scripted one,
    and neither in nor around those in ``skip``."""
    seen: set[nn.Module] = set()

    def walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
        if module in seen or module in skip or compiled(module):
            return
        seen.add(module)
        inside = any(part in skip for part in module.modules())
        if not inside and next(module.parameters(), None) is not None:
            yield name, module
        if not isinstance(module, torch.jit.ScriptModule):
            for key, part in module.named_children():
                if key != "parametrizations":
                    yield from walk(part, f"{name}.{key}" if name else key)

    yield from walk(model, prefix)


def _named(model: nn.Module, cells: Mapping[str, nn.Module] | Sequence[str]) -> dict[str, nn.Module]:
    there = dict(model.named_modules())
    if isinstance(cells, str):
        raise ValueError(f'cells must be a list of names or name → module, but is the text "{cells}"')
    if not cells:
        raise ValueError("cells must name at least one module, or be None for the recognised ones, but is empty")
    for name in cells:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.4)
            hint = f"near it: {', '.join(near)}" if near else f"it has {', '.join(list(there)[1:9]) or 'no modules'}"
            raise ValueError(f'cells must name modules of the model, but it has no "{name}"; {hint}')
        if isinstance(cells, Mapping) and cells[name] is not there[name]:
            raise ValueError(f'cells must name modules of the model, but its "{name}" is not the module that is given')
    return {name: there[name] for name in cells}
