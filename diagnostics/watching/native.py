"""torch.nn.RNN, GRU and LSTM anywhere in a model: while a training step is recorded, their forward is replaced by the
same computation out of recurrences whose backward tells every state's gradient.

A forward without gradients, and any forward outside of a recorded step, is torch's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence

from diagnostics.watching import forwards
from diagnostics.watching.calls import Call, Ledger
from diagnostics.watching.joining import Watched, passes_of
from diagnostics.watching.passing import Pass

INSTALLED = ("forward", "_replicate_for_data_parallel", "__getstate__")
"""The attributes that an armed layer has of ours."""

DEVICES = ("cpu", "cuda")

CLASSES: tuple[type[nn.RNNBase], ...] = (nn.RNN, nn.GRU, nn.LSTM)


def attach(model: nn.Module) -> NativeSource:
    """Watch every ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` in ``model``, which may be one itself."""
    return NativeSource(model)


def layers(model: nn.Module) -> dict[str, nn.RNNBase]:
    """By dotted name (``""`` for the model itself) what this module watches of ``model``, or says why it does not."""
    return {name: module for name, module in model.named_modules() if isinstance(module, CLASSES)}


class NativeSource:
    """The recurrent layers of one model; see ``passing.Source``."""

    def __init__(self, model: nn.Module) -> None:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._forwards: list[Forward] = []
        self.refused: dict[str, str] = {}
        """Group → one sentence why it is not watched; more may come with the forward passes."""
        for name, module in layers(model).items():
            watched = _described(name, module, names)
            if why := _refusal(watched, module):
                self.refused[watched.name] = why
            else:
                self._forwards.append(Forward(self, module, watched))
        self.modules: tuple[nn.RNNBase, ...] = tuple(forward.module for forward in self._forwards)
        """What is watched here."""
        self._ways: dict[str, dict[str, None]] = {}
        self.ledger: Ledger | None = None

    def arm(self, *, check: bool = False) -> None:
        """See ``passing.Source``."""
        self._forget()
        self.ledger = Ledger(check=check)
        for forward in self._forwards:
            forward.install()

    def take(self) -> list[Pass]:
        """See ``passing.Source``. A bidirectional layer gives two passes, → first."""
        calls = [] if self.ledger is None else self.ledger.calls
        passes = passes_of(calls, {forward: forward.watched for forward in self._forwards})
        self._forget()
        return passes

    def covered(self) -> list[str]:
        """See ``passing.Source``: also what is not watched, and why."""
        told = []
        for forward in self._forwards:
            ways = self._ways.get(forward.watched.name)
            if ways or forward.watched.name not in self.refused:
                way = ", ".join(ways or ("by the equations of its class, once it has been recorded",))
                told.append(f"{forward.watched.name} ({forward.watched.class_name}) is watched: exact, {way}")
        return told + list(self.refused.values())

    def close(self) -> None:
        """See ``passing.Source``."""
        self._forget()

    def note(self, watched: Watched, way: str) -> None:
        """A recorded forward went this way."""
        self._ways.setdefault(watched.name, {})[way] = None

    def refuse(self, watched: Watched, why: str) -> None:
        """A forward of an armed layer was not recorded."""
        self.refused[watched.name] = f"{watched.name} is not watched: {why}"

    def _forget(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = None
        for forward in self._forwards:
            forward.remove()


class Forward:
    """Stands in for the forward of one layer while its source is armed."""

    def __init__(self, source: NativeSource, module: nn.RNNBase, watched: Watched) -> None:
        self.source, self.module, self.watched = source, module, watched

    def install(self) -> None:
        """Put it in the module's place, as attributes of the instance."""
        ours = (self, self._replica, self._state)
        vars(self.module).update(zip(INSTALLED, ours, strict=True))

    def remove(self) -> None:
        """Leave the module's ``__dict__`` as it was; nothing where it is not installed."""
        if vars(self.module).get("forward") is self:
            for name in INSTALLED:
                del vars(self.module)[name]

    def __call__(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """The layer's forward."""
        module, ledger = self.module, self.source.ledger
        own = type(module).forward.__get__(module)
        if ledger is None or not torch.is_grad_enabled():
            return own(input, hx)
        if why := _impossible(input, hx):
            self.source.refuse(self.watched, why)
            return own(input, hx)
        module._update_flat_weights()
        try:
            given = forwards.Given(module, input, hx)
        except ValueError:
            result = own(input, hx)  # which says what is wrong, if anything is
            self.source.refuse(self.watched, "it was called with an empty input, or in a way that is not understood")
            return result
        if why := _unwatchable(module, given):
            self.source.refuse(self.watched, why)
            return own(input, hx)
        call = Call(
            ledger,
            self,
            module.num_layers,
            2 if module.bidirectional else 1,
            None if given.packing is None else given.packing.lengths,
        )
        _follow(call, given, ledger)
        result = forwards.run(module, given, call)
        ledger.calls.append(call)
        self.source.note(self.watched, _way(module, given))
        return result

    def _replica(self) -> Any:
        """nn.DataParallel's copy for another device: it has its own forward, and is not recorded."""
        replica = type(self.module)._replicate_for_data_parallel(self.module)
        for name in INSTALLED:
            del vars(replica)[name]
        self.source.refuse(self.watched, "nn.DataParallel runs copies of it that live for one step")
        return replica

    def _state(self) -> Any:
        """What a copy or a pickle of the module is made of: nobody watches that one."""
        state = type(self.module).__getstate__(self.module)
        return {name: value for name, value in state.items() if name not in INSTALLED}


def _described(name: str, module: nn.RNNBase, names: Mapping[int, str]) -> Watched:
    own = _own_class(module)
    package = "torch.nn" if own in CLASSES else own.__module__
    places = [
        f"weight_hh_l{layer}{suffix}"
        for layer in range(module.num_layers)
        for suffix in (("", "_reverse") if module.bidirectional else ("",))
    ]
    return Watched(
        name or own.__name__,
        forwards.KINDS[module.mode],
        f"{package}.{own.__name__}",
        [names.get(id(vars(module)["_parameters"].get(place)), "") for place in places],
    )


def _own_class(module: nn.Module) -> type[nn.Module]:
    """The class that the person named: a parametrised module has one of its own making."""
    found: type[nn.Module] = parametrize.type_before_parametrizations(module)
    return found


def _refusal(watched: Watched, module: nn.RNNBase) -> str:
    """Why a layer cannot be watched at all, as one sentence, or nothing."""
    base = next(base for base in CLASSES if isinstance(module, base))
    if "forward" in vars(module):
        return f"{watched.name} is not watched: something else has put a forward in the place of its own"
    if type(module).forward is not base.forward:
        return (
            f"{watched.name} is not watched: {watched.class_name} has a forward of its own, "
            f"which need not compute what torch.nn.{base.__name__} does"
        )
    return ""


def _impossible(given: Any, hx: Any) -> str:
    """Why nothing can be recorded of what runs now, or nothing."""
    if torch.compiler.is_compiling():
        return "torch.compile turns its forward into a graph; watch the model before it is compiled"
    if torch._C._get_tracing_state() is not None:
        return "torch.jit.trace turns its forward into a graph; watch the model that is traced"
    if torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return "a transform of torch.func, or forward-mode differentiation, runs it"
    tensors = [given.data if isinstance(given, PackedSequence) else given]
    tensors += hx if isinstance(hx, (tuple, list)) else [hx]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.device.type not in DEVICES:
            return f"it runs on the device {tensor.device.type}, and what is watched runs on {' or '.join(DEVICES)}"
        if isinstance(tensor, Tensor) and type(tensor) not in (Tensor, nn.Parameter):
            return f"its input is a {type(tensor).__name__}, whose numbers are not those of a plain tensor"
    return ""


def _unwatchable(module: nn.RNNBase, given: forwards.Given) -> str:
    """Why this call is not recorded, or nothing."""
    weights = [weight for weight in module._flat_weights if weight is not None]
    for weight in weights:
        if type(weight) not in (Tensor, nn.Parameter):
            return f"its weights are {type(weight).__name__}s, whose numbers are not those of a plain tensor"
    if given.x.device.type != "cpu" and module.dropout and module.training and module.num_layers > 1:
        return (
            f"its dropout between layers is drawn inside of {given.x.device.type}'s own kernels, "
            "so that the same numbers cannot be drawn again; set its dropout to 0, or watch it on the CPU"
        )
    if not any(tensor.requires_grad for tensor in (given.x, *(given.first or ()), *weights)):
        return "nothing in it is trained and its input needs no gradient, so no gradient goes through it"
    return ""


def _follow(call: Call, given: forwards.Given, ledger: Ledger) -> None:
    """Join the call to the latest one of the same layer whose final states it begins with."""
    first = given.first
    if first is None:
        return
    connected = [state.grad_fn is not None for state in first]
    constant = not any(state.requires_grad for state in first)
    if given.packing is None and (all(connected) or not any(connected)):
        for other in reversed(ledger.calls):
            if (
                other.owner is call.owner
                and other.lengths is None
                and other.after is None
                and _same(other.ended, first)
            ):
                other.after, call.before, call.cut = call, other, not connected[0]
                return
    call.cut = constant and any(bool(state.any()) for state in first)


def _same(ended: tuple[Tensor, ...], first: tuple[Tensor, ...]) -> bool:
    """Whether states are those that another call ended with: the same memory, or the same numbers other than zeros."""
    pairs = list(zip(ended, first, strict=True))
    if any(end.shape != state.shape or end.dtype != state.dtype for end, state in pairs):
        return False
    if all(end.data_ptr() == state.data_ptr() for end, state in pairs):
        return True
    return bool(first[0].any()) and all(torch.equal(end, state) for end, state in pairs)


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
