"""What of a model is not watched, and why: so that nobody is left with an empty chart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import nn

from diagnostics.watching.cells import Calls, Cells, compiled
from diagnostics.watching.naming import class_name

RECURRENT = {"RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"}
ATTENTION = ("Attention", "Transformer")


class NotCovered(UserWarning):
    """A part of the model that is not watched; the sentence says which, why, and what to do."""


def missing(
    model: nn.Module, seen: Collection[str], cells: Cells | None = None, refused: Collection[str] = ()
) -> list[str]:
    """One sentence for each part that is not covered, after the first recorded training step.

    ``seen``: the names of the groups that were recorded. ``cells``: the source that recognises cells, for what it saw.
    ``refused``: the names of parts of which others have said why they are not watched. Where nothing was recorded there
    is always a sentence, of ours or of theirs.
    """
    groups = {group.removesuffix(" →").removesuffix(" ←") for group in seen}
    calls = {} if cells is None else cells.calls
    said = {*groups, *refused, *(() if cells is None else cells.marked)}
    sentences = [*_parts(model, said, calls)]
    if cells is not None:
        sentences += [f"{refusal} It is not recorded." for refusal in cells.refusals]
        sentences += _unrecognised(cells, said, sentences)
    if not said and not sentences:
        sentences.append(_nothing(model, cells))
    return sentences


def _is_seen(name: str, module: nn.Module, groups: Collection[str]) -> bool:
    """Whether a group is the module, or what it is in or has in it."""
    own = name or class_name(module).rsplit(".", 1)[-1]
    parts = [part for part in own.split(".") if not part.isdigit()]
    return any(
        own == group or own.startswith(f"{group}.") or group.startswith(f"{own}.") or group.split(".") == parts
        for group in groups
    )


def _parts(model: nn.Module, groups: Collection[str], calls: dict[str, Calls]) -> Iterator[str]:
    """About recurrent modules of which nothing has been said, as of ``groups`` and what is in and around them; what is
    inside a compiled or a scripted one is said at that."""
    said: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(outer) for outer in said) or _is_seen(name, module, groups):
            continue
        inside = [(f"{name}.{part}".strip("."), one) for part, one in module.named_modules() if _recurrent(one)]
        if inside and all(_is_seen(part, one, groups) for part, one in inside):
            continue
        reason = _reason(name, module, groups, calls)
        if reason:
            yield f"{name or 'The model'} ({class_name(module)}) {reason}"
            said.append(f"{name}." if name else "")


def _reason(name: str, module: nn.Module, groups: Collection[str], calls: dict[str, Calls]) -> str:
    recurrent = [part for part in module.modules() if _recurrent(part)]
    if compiled(module) and (recurrent or not groups):
        return (
            "is compiled by torch.compile, and no state inside a compiled graph can be seen: watch the model before "
            "torch.compile, and train that one while it is watched."
        )
    if isinstance(module, torch.jit.ScriptModule) and recurrent:
        kinds = " and ".join(sorted({_recurrent(part) for part in recurrent}))
        return (
            f"is scripted by torch.jit and holds {kinds}, which cannot be seen through: watch the model that it was "
            "scripted from."
        )
    if not _recurrent(module):
        return ""
    if "quantized" in type(module).__module__:
        return "is quantised: no gradient goes through it. Watch the model before it is quantised."
    return _why_not(module, calls.get(name))


def _recurrent(module: nn.Module) -> str:
    """The recurrent layer of torch that a module is, or was before it was scripted or quantised; "" for others."""
    if isinstance(module, torch.jit.ScriptModule):
        name = str(getattr(module, "original_name", ""))
        return name if name in RECURRENT else ""
    for kind in type(module).__mro__:
        if kind.__name__ in RECURRENT and kind.__module__.startswith("torch."):
            return kind.__name__
    return ""


def _why_not(module: nn.Module, calls: Calls | None) -> str:
    kind = _recurrent(module)
    if calls is not None and calls.recorded + calls.without_graph == 0:
        return (
            "was not called in the recorded training step, or only inside a graph of torch.compile: if it is meant to "
            "be, train the very model that is watched, and watch it before torch.compile."
        )
    if calls is not None and calls.recorded == 0:
        return (
            "was called without a graph (under torch.no_grad, or inside a checkpoint with use_reentrant=True), so "
            "there is no gradient to record: call it with one (a checkpoint with use_reentrant=False)."
        )
    if type(module).forward is not getattr(nn, kind).forward:
        return (
            f"is a subclass of torch.nn.{kind} with a forward of its own, which cannot be seen through: call torch.nn."
            f"{kind} inside it, or mark the states with w.state(h)."
        )
    if calls is None:
        return (
            "was not called with a graph in the recorded training step, or no gradient came back to it: if it is meant "
            "to be trained, see that the loss depends on it."
        )
    if calls.recorded == 1:
        return (
            "was called once in the training step, and one timestep hands its state to no other: call it once for each "
            "timestep, with the state that the call before returned."
        )
    if not calls.watched:
        return (
            f"was called {calls.recorded} times, but either no state went from one call to the next, or no gradient "
            "came back to them: mark the states with w.state(h), or name them with cells= and state=."
        )
    return ""


def _unrecognised(cells: Cells, groups: Collection[str], said: Sequence[str]) -> Iterator[str]:
    """About modules that the person named and that do not hand anything on."""
    for name, module in cells.named.items():
        title = f"{name or 'The model'} ({class_name(module)})"
        if _is_seen(name, module, groups) or any(sentence.startswith(title) for sentence in said):
            continue
        calls = cells.calls.get(name, Calls(0, 0, False))
        if calls.recorded < 2:
            times = _times(calls.recorded)
            yield (
                f"{title} is named in cells, but was called {times} with a graph in the training step: name the module "
                "that is called once for each timestep."
            )
        else:
            yield (
                f"{title} is named in cells and was called {calls.recorded} times, but nothing that it was given came "
                "from an earlier call of it, or no gradient came back: say with state= what it hands on, or mark "
                "it with w.state(h)."
            )


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def _nothing(model: nn.Module, cells: Cells | None) -> str:
    title = f"The model ({class_name(model)})"
    if cells is not None and cells.reused:
        name, times = max(cells.reused.items(), key=lambda item: (item[1], not item[0].endswith("bias")))
        return (
            f"{title} uses {name} {times} times in a row, each time on what was computed with it before: a loop over "
            "time, of which it is not seen what goes from one timestep to the next. Mark its state with w.state(h), or "
            "with w.state(h, c=c) where there are two, as an LSTM's."
        )
    if cells is not None and cells.calls and not any(calls.recorded for calls in cells.calls.values()):
        return (
            f"{title} was not called with a graph in the recorded training step, nor was any part of it: train the "
            "very model that is watched, and not a copy, a compiled form or nn.DataParallel's replicas of it."
        )
    kinds = [type(module).__name__ for module in model.modules()]
    what = "is a feed-forward model"
    if any(part in kind for kind in kinds for part in ATTENTION):
        what = "works by attention, not by recurrence"
    elif any(kind.startswith("Conv") for kind in kinds):
        what = "works by convolution, not by recurrence"
    return (
        f"{title} {what}, as far as can be seen: no state goes from timestep to timestep, so there is no state "
        "gradient to record. If it has a loop over time of its own, mark the state there with w.state(h); a parallel "
        "scan, with w.scan(h, decay)."
    )


def cuts(group: str, cuts: Sequence[int], steps: int) -> str:
    """A sentence about a group's detached states, "" where there are none.

    ``cuts``: the timesteps, in walk order, whose incoming state was detached, as in ``Pass.cuts``; ``steps``: how many
    timesteps there are.
    """
    within = sorted({cut for cut in cuts if cut > 0})
    said = []
    if 0 in cuts:
        said.append(
            "begins with a state that was detached from what came before (truncated backpropagation): no gradient goes "
            "further back than the first timestep of the batch"
        )
    if within:
        every = len(within) == steps - 1
        where = "at every timestep" if every else f"before timestep {_few(within)}"
        said.append(f"the state is detached {where} of {steps}, so no gradient goes further back than that")
    if not said:
        return ""
    return f"{group}{' ' if 0 in cuts else ': '}{'; '.join(said)}."


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:6]))
    return shown if len(numbers) <= 6 else f"{shown}, … ({len(numbers)} times)"
