"""How a watched module is called in sentences, runs and figures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from diagnostics.watching.lines import Line
from diagnostics.watching.matching import Memory


def spoken(memory: Memory) -> str:
    """In a sentence."""
    return f"{memory.name or 'The model'} ({class_name(memory.module)})"


def class_name(module: nn.Module) -> str:
    """The module's class with its package, e.g. ``torch.nn.LSTMCell``."""
    if type(module).__name__ == "OptimizedModule":  # of torch.compile
        return class_name(module._orig_mod)  # type: ignore[arg-type]
    kind = parametrize.type_before_parametrizations(module)
    if isinstance(module, torch.jit.ScriptModule):
        return str(getattr(module, "original_name", kind.__name__))
    package = "torch.nn" if kind.__module__.startswith("torch.nn.modules.") else kind.__module__
    return f"{package}.{kind.__qualname__}"


def kind_of(memory: Memory) -> str:
    """The cell as the pages know it, or the class name of another."""
    module = memory.module
    if memory.known:
        if isinstance(module, nn.RNNCell):
            return module.nonlinearity
        return "gru" if isinstance(module, nn.GRUCell) else "lstm"
    return class_name(module).rsplit(".", 1)[-1]


def detached(lines: Sequence[Line]) -> list[str]:
    """Where states of these are detached, in words; nothing where none is."""
    cuts = sorted({cut for line in lines for cut in line.cuts})
    if not cuts:
        return []
    some = " of some of them" if any(set(line.cuts) != set(cuts) for line in lines) else ""
    return [f"detached before timestep {', '.join(map(str, cuts))}{some}"]
