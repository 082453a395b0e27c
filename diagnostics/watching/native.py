"""torch.nn.RNN, GRU and LSTM anywhere in a model: while a training step is recorded, their forward is replaced by the
same computation out of recurrences whose backward tells every state's gradient.

A forward without gradients, and any forward outside of a recorded step, is torch's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from diagnostics.watching import forwards, refusing
from diagnostics.watching.calls import Call
from diagnostics.watching.joining import Watched, follow, passes_of
from diagnostics.watching.ledger import Ledger
from diagnostics.watching.passing import Pass
from diagnostics.watching.runs import AGAIN, Runs

INSTALLED = ("forward", "_replicate_for_data_parallel", "__getstate__")
"""The attributes that an armed layer has of ours."""

CLASSES: tuple[type[nn.RNNBase], ...] = (nn.RNN, nn.GRU, nn.LSTM)


def attach(model: nn.Module) -> NativeSource:
    """Watch every ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` in ``model``, which may be one itself."""
    return NativeSource(model)


def layers(model: nn.Module) -> dict[str, nn.RNNBase]:
    """By dotted name (``""`` for the model itself) what this module watches of ``model``, or says why it does not."""
    return {name: module for name, module in model.named_modules() if isinstance(module, CLASSES)}


class NativeSource:
    """The recurrent layers of one model; see ``passing.Source``.

    Where a gradient is differentiated (``create_graph``), the passes are those of the run of autograd that adds to the
    parameters' ``.grad``, with all that goes through the graph of the gradient in them.
    """

    def __init__(self, model: nn.Module) -> None:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._parameters = model.parameters
        self._forwards: list[Forward] = []
        self._refused: dict[str, str] = {}
        for name, module in layers(model).items():
            watched = _described(name, module, names)
            base = next(base for base in CLASSES if isinstance(module, base))
            if why := refusing.of_layer(module, base, watched.class_name):
                self._refused[watched.name] = f"{watched.name} is not watched: {why}"
            else:
                self._forwards.append(Forward(self, module, watched))
        self.modules: tuple[nn.RNNBase, ...] = tuple(forward.module for forward in self._forwards)
        """What is watched here."""
        self.ledger: Ledger | None = None

    @property
    def refused(self) -> dict[str, str]:
        """Group → one sentence on what of it was not recorded, and why; more may come with the forward passes."""
        told = {forward.watched.name: forward.left_out() for forward in self._forwards}
        return self._refused | {name: sentence for name, sentence in told.items() if sentence}

    def arm(self, *, check: bool = False) -> None:
        """See ``passing.Source``."""
        self._forget()
        self.ledger = Ledger(Runs(self._parameters), check=check)
        for forward in self._forwards:
            forward.install()
            for name, parameter in forward.recurrent() if check else ():
                self.ledger.listen(name, parameter)

    def take(self) -> list[Pass]:
        """See ``passing.Source``. A bidirectional layer gives two passes, → first."""
        if self.ledger is None:
            return []
        passes = passes_of(self.ledger, {forward: forward.watched for forward in self._forwards})
        for forward in self._forwards:
            forward.again |= self.ledger.again(forward)
        self._forget()
        return passes

    def covered(self) -> list[str]:
        """See ``passing.Source``: also what is not watched, and why."""
        told = [forward.said() for forward in self._forwards if forward.ways or not forward.missed]
        whole = [forward.left_out() for forward in self._forwards if forward.missed and not forward.ways]
        return [*told, *self._refused.values(), *whole]

    def close(self) -> None:
        """See ``passing.Source``."""
        self._forget()

    def _forget(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = None
        for forward in self._forwards:
            forward.remove()


class Forward:
    """Stands in for the forward of one layer while its source is armed, and remembers what became of its calls."""

    def __init__(self, source: NativeSource, module: nn.RNNBase, watched: Watched) -> None:
        self.source, self.module, self.watched = source, module, watched
        self.ways: Counter[str] = Counter()
        """How the gradients of recorded calls were taken → how often."""
        self.missed: Counter[str] = Counter()
        """Why calls of recorded steps were not recorded → how often."""
        self.changed = False
        """Whether a call began with states that were computed from those that an earlier one ended with."""
        self.again = False
        """Whether a gradient that went through it may itself have been differentiated."""

    def install(self) -> None:
        """Put it in the module's place, as attributes of the instance."""
        ours = (self, self._replica, self._state)
        vars(self.module).update(zip(INSTALLED, ours, strict=True))

    def remove(self) -> None:
        """Leave the module's ``__dict__`` as it was; nothing where it is not installed."""
        if vars(self.module).get("forward") is self:
            for name in INSTALLED:
                del vars(self.module)[name]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's forward, of ``input`` and ``hx``."""
        module, ledger = self.module, self.source.ledger
        own = type(module).forward.__get__(module)
        if ledger is None or not torch.is_grad_enabled():
            return own(*args, **kwargs)
        try:
            input, hx = _arguments(*args, **kwargs)
            why = refusing.of_moment(input, hx)
            if not why:
                module._update_flat_weights()
                given = forwards.Given(module, input, hx)
                why = refusing.of_call(module, given.x, given.first or ())
        except (TypeError, ValueError):
            result = own(*args, **kwargs)  # which says what is wrong, if anything is
            self.missed["it was called with an empty input, or in a way that is not understood"] += 1
            return result
        if why:
            self.missed[why] += 1
            return own(*args, **kwargs)
        lengths = None if given.packing is None else given.packing.lengths
        directions = 2 if module.bidirectional else 1
        call = Call(ledger, self, module.num_layers, directions, lengths, self.watched.weights)
        given.first = follow(call, given.first, ledger)
        self.changed |= call.changed
        result = forwards.run(module, given, call)
        ledger.add(call)
        self.ways[_way(module, given)] += 1
        return result

    def recurrent(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(dotted name, parameter) of the recurrent weights that are parameters."""
        for place, name in zip(places(self.module), self.watched.weights, strict=True):
            parameter = vars(self.module)["_parameters"].get(place)
            if name and parameter is not None:
                yield name, parameter

    def said(self) -> str:
        """One sentence of what is watched and how, and of what is not."""
        way = ", ".join(self.ways or ("by the equations of its class, once it has been recorded",))
        parts = [f"{self.watched.name} ({self.watched.class_name}) is watched: exact, {way}"]
        if self.changed:
            parts.append("its state is changed between calls")
        if self.again:
            parts.append(AGAIN)
        if unchecked := self._unchecked():
            parts.append(f"its shares of the gradient cannot be checked, because {unchecked}")
        if self.missed:
            parts.append(f"{self._how_often()} not recorded, because {'; '.join(self.missed)}")
        return "; ".join(parts)

    def left_out(self) -> str:
        """A sentence on the calls that were not recorded, where there are any."""
        if not self.missed:
            return ""
        why = "; ".join(self.missed)
        name = self.watched.name
        return f"{name}: {self._how_often()} not recorded: {why}" if self.ways else f"{name} is not watched: {why}"

    def _how_often(self) -> str:
        missed, calls = self.missed.total(), self.missed.total() + self.ways.total()
        return f"{missed} of its {calls} calls in recorded training steps {'was' if missed == 1 else 'were'}"

    def _unchecked(self) -> str:
        named = dict(self.recurrent())
        made = [place for place, name in zip(places(self.module), self.watched.weights, strict=True) if not name]
        frozen = [name for name, parameter in named.items() if not parameter.requires_grad]
        told = [f"{', '.join(made)} {_is(made)} made of other parameters"] if made else []
        told += [f"{', '.join(frozen)} {_is(frozen)} frozen"] if frozen else []
        return " and ".join(told)

    def _replica(self) -> Any:
        """nn.DataParallel's copy for another device: it has its own forward, and is not recorded."""
        replica = type(self.module)._replicate_for_data_parallel(self.module)
        for name in INSTALLED:
            del vars(replica)[name]
        self.missed["nn.DataParallel runs copies of it that live for one step"] += 1
        return replica

    def _state(self) -> Any:
        """What a copy or a pickle of the module is made of: nobody watches that one."""
        state = type(self.module).__getstate__(self.module)
        return {name: value for name, value in state.items() if name not in INSTALLED}


def places(module: nn.RNNBase) -> list[str]:
    """The names of a layer's recurrent weights in it, a layer after the other and its directions in turn."""
    ways = ("", "_reverse") if module.bidirectional else ("",)
    return [f"weight_hh_l{layer}{way}" for layer in range(module.num_layers) for way in ways]


def _arguments(input: Any, hx: Any = None) -> tuple[Any, Any]:
    """As torch.nn's forwards take them; raises ``TypeError`` where they do not."""
    return input, hx


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _described(name: str, module: nn.RNNBase, names: Mapping[int, str]) -> Watched:
    own = _own_class(module)
    package = "torch.nn" if own in CLASSES else own.__module__
    return Watched(
        name or own.__name__,
        forwards.KINDS[module.mode],
        f"{package}.{own.__name__}",
        [names.get(id(vars(module)["_parameters"].get(place)), "") for place in places(module)],
    )


def _own_class(module: nn.Module) -> type[nn.Module]:
    """The class that the person named: a parametrised module has one of its own making."""
    found: type[nn.Module] = parametrize.type_before_parametrizations(module)
    return found


def _way(module: nn.RNNBase, given: forwards.Given) -> str:
    """How the gradients of a recorded call were taken, in words."""
    if forwards.autocast(given.x):
        return (
            "in a plain loop of the same operations under autocast, equal to its own within the rounding of its dtype"
        )
    if not forwards.exact(module, given.x):
        why = "with its projection" if module.proj_size else f"in {str(given.x.dtype).removeprefix('torch.')}"
        return f"in a plain loop of the same operations, {why}"
    return "by recurrences whose backward tells every state's gradient"
