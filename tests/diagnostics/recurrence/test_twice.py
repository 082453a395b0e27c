"""A gradient that is differentiated in turn, as a penalty of gradients has it: against autograd through the twin."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import diagnostics.recurrence as fast
from diagnostics.recurrence import Trace, reference
from diagnostics.recurrence.trace import StateGradients

from .cases import CELLS, WALKS, WAYS, Problem, error, problem

CLOSE = {torch.float64: 1e-12, torch.float32: 1e-4}


def thrice(p: Problem, module: ModuleType, listener: Any = None) -> tuple[list[Tensor], Trace]:
    """The first, second and third derivatives of what is made of them, and the trace after the second."""
    *ends, trace = p.run(module)
    value, leaves = p.loss(*ends), p.leaves()
    first = torch.autograd.grad(value, leaves, create_graph=True)
    trace.listener = listener
    penalty = torch.stack([gradient.square().sum() for gradient in first]).sum()
    second = torch.autograd.grad(value + penalty, leaves, create_graph=True)
    trace.listener = None
    states = StateGradients(trace.grad_h.clone(), None if trace.grad_c is None else trace.grad_c.clone(), trace.grad_h)
    third = torch.autograd.grad(torch.stack([one.square().sum() for one in second]).sum(), leaves)
    trace.record(states)
    return [*first, *second, *third], trace


@pytest.mark.parametrize("walk", WALKS.values(), ids=list(WALKS))
@CELLS
@WAYS
def test_higher_derivatives_are_those_of_the_twin(
    cell: str, path: str, dtype: torch.dtype, walk: dict[str, Any]
) -> None:
    p = problem(cell, (5, 3, 2, 4), dtype=dtype, **walk)
    got, want = thrice(p, fast)[0], thrice(p, reference)[0]
    for a, b in zip(got, want, strict=True):
        assert error(a, b) <= CLOSE[dtype]


@pytest.mark.parametrize("walk", WALKS.values(), ids=list(WALKS))
@CELLS
def test_what_a_listener_is_told_adds_up_to_the_derivative_at_the_states(cell: str, walk: dict[str, Any]) -> None:
    p = problem(cell, (5, 3, 2, 4), **walk)
    told: list[StateGradients] = []
    thrice(p, fast, told.append)
    want = thrice(p, reference)[1]
    assert len(told) == 2
    assert error(told[0].h + told[1].h, want.grad_h) <= 1e-12
    assert told[0].h.any()
    if cell == "lstm":
        cells = [one.c for one in told if one.c is not None]
        assert want.grad_c is not None
        assert error(cells[0] + cells[1], want.grad_c) <= 1e-12
    else:
        assert told[0].c is told[1].c is None


@CELLS
def test_a_penalty_alone(cell: str) -> None:
    """Nothing of the second backward pass goes through the recurrence itself."""
    p = problem(cell, (4, 2, 2, 3))
    found = []
    for module in (fast, reference):
        output, *_ = p.run(module)
        (once,) = torch.autograd.grad(output.sum(), p.x, create_graph=True)
        found.append(torch.autograd.grad(once.square().sum(), p.leaves(), allow_unused=True))
    for a, b in zip(*found, strict=True):
        if b is None or not b.any():
            assert a is None or not a.any()
        else:
            assert a is not None
            assert error(a, b) <= 1e-12


def test_autocast_around_the_second_pass_changes_nothing() -> None:
    p = problem("lstm", (4, 2, 2, 3), dtype=torch.float32)
    output, *_ = p.run(fast)
    (once,) = torch.autograd.grad(output.sum(), p.x, create_graph=True)
    want = torch.autograd.grad(once.square().sum(), p.x, retain_graph=True)[0]
    with torch.autocast("cpu", torch.bfloat16):
        got = torch.autograd.grad(once.square().sum(), p.x)[0]
    assert torch.equal(got, want)
