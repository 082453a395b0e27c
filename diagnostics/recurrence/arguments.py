"""Check the arguments of a recurrence before anything is computed: one sentence per mistake."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Lengths = Tensor | Sequence[int] | None
"""How many steps each sample of a batch has: int64 [B] on the CPU, or whole numbers; None for all."""

DTYPES = (torch.float32, torch.float64)


def check(
    gates: int,
    x: Tensor,
    states: Mapping[str, Tensor | None],
    w_ih: Tensor,
    w_hh: Tensor,
    biases: Mapping[str, Tensor | None],
) -> None:
    """Raise ``ValueError`` where a shape, a dtype or a device does not fit.

    The rules: x [T,B,I], each state [B,H] or None, w_ih [G·H,I], w_hh [G·H,H], each bias [G·H] or None, with
    T, B, I, H ≥ 1; all of one dtype, float32 or float64, and on one device.
    """
    tensors = {"x": x, **states, "w_ih": w_ih, "w_hh": w_hh, **biases}
    for name, tensor in tensors.items():
        if tensor is None and name not in ("x", "w_ih", "w_hh"):
            continue
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, but got {type(tensor).__name__}")
    if x.dim() != 3 or 0 in x.shape:
        raise ValueError(f"x must have the shape [T, B, I] with each at least 1, but got {list(x.shape)}")
    if w_hh.dim() != 2 or 0 in w_hh.shape or w_hh.shape[0] != gates * w_hh.shape[1]:
        raise ValueError(f"w_hh must have the shape [{gates}·H, H] with H at least 1, but got {list(w_hh.shape)}")
    batch, inputs, hidden = x.shape[1], x.shape[2], w_hh.shape[1]
    expected = {name: ("[B, H]", [batch, hidden]) for name in states}
    expected["w_ih"] = (f"[{gates}·H, I]", [gates * hidden, inputs])
    expected.update({name: (f"[{gates}·H]", [gates * hidden]) for name in biases})
    for name, (letters, shape) in expected.items():
        tensor = tensors[name]
        if tensor is not None and list(tensor.shape) != shape:
            raise ValueError(f"{name} must have the shape {letters} = {shape}, but got {list(tensor.shape)}")
    if x.dtype not in DTYPES:
        raise ValueError(f"x must be float32 or float64, but got {_short(x.dtype)}")
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dtype != x.dtype:
            raise ValueError(f"{name} must have the dtype of x, {_short(x.dtype)}, but got {_short(tensor.dtype)}")
        if tensor is not None and tensor.device != x.device:
            raise ValueError(f"{name} must be on the device of x, {x.device}, but got {tensor.device}")


def check_lengths(lengths: Lengths, x: Tensor) -> Tensor | None:
    """The lengths as int64 [B], a tensor of its own, or None.

    Raises ``ValueError`` where they are not B whole numbers in 1…T, or a tensor that is not int64 on the CPU.
    """
    if lengths is None:
        return None
    T, B = x.shape[:2]
    if isinstance(lengths, Tensor):
        if lengths.dtype != torch.int64:
            raise ValueError(f"lengths must be int64, but got {_short(lengths.dtype)}")
        if lengths.device.type != "cpu":
            raise ValueError(f"lengths must be on the device cpu, but got {lengths.device}")
        if list(lengths.shape) != [B]:
            raise ValueError(f"lengths must have the shape [B] = [{B}], but got {list(lengths.shape)}")
        lengths = lengths.tolist()
    whole = []
    try:
        for length in lengths:
            whole.append(operator.index(length))
    except TypeError:
        got = repr(length) if isinstance(lengths, Sequence) else type(lengths).__name__
        raise ValueError(f"lengths must be whole numbers, but got {got}") from None
    if len(whole) != B:
        raise ValueError(f"lengths must be B = {B} numbers, but got {len(whole)}")
    wrong = [length for length in whole if not 1 <= length <= T]
    if wrong:
        raise ValueError(f"lengths must be in 1…T = 1…{T}, but got {wrong[0]}")
    return torch.tensor(whole)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


NONLINEARITIES = ("tanh", "relu", "sigmoid", "identity")


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise ``ValueError`` where it is none of ``NONLINEARITIES``."""
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, but got {nonlinearity!r}")


def pair(state: tuple[Tensor | None, Tensor | None] | None) -> tuple[Tensor | None, Tensor | None]:
    """The LSTM's state as (h0, c0). Raise ``ValueError`` where it is neither a pair nor None."""
    if state is None:
        return None, None
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ValueError(f"state must be the pair (h0, c0) or None, but got {type(state).__name__}")
    return state[0], state[1]
