"""Why a layer of torch.nn, or one call of it, is not recorded, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

DEVICES = ("cpu", "cuda")

NEEDED = ((torch._C, "_current_graph_task_id"), (nn.RNNBase, "_update_flat_weights"))
"""What torch does not promise to keep, and nothing can be recorded without."""


def of_layer(module: nn.RNNBase, base: type[nn.RNNBase], class_name: str) -> str:
    """Why a layer cannot be watched at all, or nothing. ``base``: which of torch.nn's it is."""
    missing = [name for place, name in NEEDED if not hasattr(place, name)]
    if missing:
        return f"this version of torch, {torch.__version__}, has no {missing[0]}, which watching relies on"
    if "forward" in vars(module):
        return "something else has put a forward in the place of its own"
    if type(module).forward is not base.forward:
        return f"{class_name} has a forward of its own, which need not compute what torch.nn.{base.__name__} does"
    return ""


def of_moment(given: Any, hx: Any) -> str:
    """Why nothing can be recorded of what runs now, or nothing."""
    if torch.compiler.is_compiling():
        return "torch.compile turns its forward into a graph; watch the model before it is compiled"
    if getattr(torch._C, "_get_tracing_state", lambda: None)() is not None:
        return "torch.jit.trace turns its forward into a graph; watch the model that is traced"
    if _transformed():
        return "a transform of torch.func, or forward-mode differentiation, runs it"
    tensors = [given.data if isinstance(given, PackedSequence) else given]
    tensors += hx if isinstance(hx, (tuple, list)) else [hx]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.device.type not in DEVICES:
            return f"it runs on the device {tensor.device.type}, and what is watched runs on {' or '.join(DEVICES)}"
        if isinstance(tensor, Tensor) and type(tensor) not in (Tensor, nn.Parameter):
            return f"its input is a {type(tensor).__name__}, whose numbers are not those of a plain tensor"
    return ""


def _transformed() -> bool:
    """As far as this version of torch tells."""
    stack = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", lambda: None)
    return stack() is not None or getattr(forward_ad, "_current_level", -1) >= 0


def of_call(module: nn.RNNBase, x: Tensor, first: Sequence[Tensor]) -> str:
    """Why a call with ``x`` [T,B,I] and the states ``first`` is not recorded, or nothing."""
    weights = [weight for weight in module._flat_weights if weight is not None]
    for weight in weights:
        if type(weight) not in (Tensor, nn.Parameter):
            return f"its weights are {type(weight).__name__}s, whose numbers are not those of a plain tensor"
    if x.device.type != "cpu" and module.dropout and module.training and module.num_layers > 1:
        return (
            f"its dropout between layers is drawn inside of {x.device.type}'s own kernels, "
            "so that the same numbers cannot be drawn again; set its dropout to 0, or watch it on the CPU"
        )
    if not any(tensor.requires_grad for tensor in (x, *first, *weights)):
        return "nothing in it is trained and its input needs no gradient, so no gradient goes through it"
    return ""
