"""What a caller may rely on beside the numbers: the trace's life, refusals, odd inputs, memory, infinities."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

import diagnostics.recurrence as fast
from diagnostics.recurrence import Trace, lstm, reference

from .cases import CELLS, WALKS, WAYS, error, problem, tolerance

BOTH = pytest.mark.parametrize("module", [fast, reference], ids=["fast", "reference"])
MODULES = pytest.mark.parametrize(
    ("module", "path", "dtype"),
    [
        (fast, "plain", torch.float64),
        (fast, "plain", torch.float32),
        (fast, "fused", torch.float32),
        (reference, "plain", torch.float64),
    ],
    ids=["plain-float64", "plain-float32", "fused-float32", "reference"],
    indirect=["path"],
)


@MODULES
@CELLS
def test_gradients_before_a_backward_are_refused(cell: str, module: Any, path: str, dtype: torch.dtype) -> None:
    *_, trace = problem(cell, (3, 2, 2, 2), dtype=dtype).run(module)
    assert isinstance(trace, Trace)
    for name in ("grad_h", "grad_preactivation", *(("grad_c",) if cell == "lstm" else ())):
        with pytest.raises(RuntimeError, match=rf"trace\.{name} must be read after a backward pass through this"):
            getattr(trace, name)


@MODULES
@CELLS
def test_the_trace_holds_the_latest_backward(cell: str, module: Any, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (9, 2, 2, 4), dtype=dtype)
    output, _, _, trace = p.run(module)
    output[4].sum().backward(retain_graph=True)
    early, kept = trace.grad_h, trace.grad_h.clone()
    output[-1].square().sum().backward(retain_graph=True)
    late = trace.grad_h.clone()
    assert late[-1].any()
    assert torch.equal(early, kept)  # who kept the earlier tensor still has it
    output[4].sum().backward()
    assert torch.equal(trace.grad_h, early)
    assert not trace.grad_h[5:].any()
    assert not trace.grad_preactivation[5:].any()


@MODULES
@CELLS
def test_without_grad_mode_it_runs_and_has_no_gradients(cell: str, module: Any, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (3, 2, 2, 2), dtype=dtype)
    with torch.no_grad():
        output, h_n, _, trace = p.run(module)
    assert not output.requires_grad
    assert torch.equal(output[-1], h_n)
    assert torch.equal(trace.h, p.run(module)[3].h)
    with pytest.raises(RuntimeError, match="must be read after a backward pass"):
        _ = trace.grad_h


@MODULES
@CELLS
def test_only_what_requires_a_gradient_gets_one(cell: str, module: Any, path: str, dtype: torch.dtype) -> None:
    want = problem(cell, (5, 3, 2, 4), dtype=dtype)
    output, h_n, c_n, full = want.run(module)
    want.loss(output, h_n, c_n).backward()
    for kept in range(len(want.leaves())):
        p = problem(cell, (5, 3, 2, 4), dtype=dtype)
        leaves = p.leaves()
        for k, leaf in enumerate(leaves):
            leaf.requires_grad_(k == kept)
        output, h_n, c_n, trace = p.run(module)
        p.loss(output, h_n, c_n).backward()
        assert error(leaves[kept].grad, want.leaves()[kept].grad) <= tolerance(dtype, 5)
        assert all(leaf.grad is None for k, leaf in enumerate(leaves) if k != kept)
        assert error(trace.grad_h, full.grad_h) <= tolerance(dtype, 5)  # recorded all the same
        assert error(trace.grad_preactivation, full.grad_preactivation) <= tolerance(dtype, 5)


@CELLS
@WAYS
def test_inputs_need_not_be_contiguous(cell: str, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (6, 3, 4, 5), dtype=dtype)
    want = p.run(fast)
    gradients = torch.autograd.grad(p.loss(*want[:3]), p.leaves())
    names = ("x", "h0", "c0")
    for name in names:
        value = getattr(p, name)
        if value is not None:
            setattr(p, name, value.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_())
    p.parameters = [
        None if w is None else torch.stack((w.detach(), w.detach()), -1)[..., 0].requires_grad_() for w in p.parameters
    ]
    assert not p.x.is_contiguous()
    got = p.run(fast)
    assert error(got[0], want[0]) <= tolerance(dtype, 6)
    for a, b in zip(torch.autograd.grad(p.loss(*got[:3]), p.leaves()), gradients, strict=True):
        assert error(a, b) <= tolerance(dtype, 6)


@CELLS
@WAYS
def test_the_two_biases_get_gradients_of_their_own(cell: str, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (5, 3, 2, 4), dtype=dtype)
    output, h_n, c_n, trace = p.run(fast)
    p.loss(output, h_n, c_n).backward()
    storages = {leaf.grad.untyped_storage().data_ptr() for leaf in p.leaves()}
    storages |= {trace.grad_h.untyped_storage().data_ptr(), trace.grad_preactivation.untyped_storage().data_ptr()}
    assert len(storages) == len(p.leaves()) + 2  # clipping works in place: nothing may share memory


@MODULES
@CELLS
def test_everything_is_freed_without_the_garbage_collector(
    cell: str, module: Any, path: str, dtype: torch.dtype
) -> None:
    p = problem(cell, (4, 2, 2, 3), dtype=dtype)
    for backward in (True, False):
        gc.disable()
        try:
            output, h_n, c_n, trace = p.run(module)
            if backward:
                p.loss(output, h_n, c_n).backward(retain_graph=True)
            gone = [weakref.ref(held) for held in (trace, output, trace.h, output.grad_fn)]
            del output, h_n, c_n, trace
            assert [ref() for ref in gone] == [None] * len(gone)
        finally:
            gc.enable()


@CELLS
@WAYS
def test_the_trace_outlives_the_graph(cell: str, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (4, 2, 2, 3), dtype=dtype)
    output, h_n, c_n, trace = p.run(fast)
    p.loss(output, h_n, c_n).backward()
    graph = weakref.ref(output.grad_fn)
    del output, h_n, c_n
    assert graph() is None
    assert trace.h.grad_fn is None
    assert not trace.grad_h.requires_grad
    assert trace.grad_h.any()


@WAYS
def test_a_silent_unit_stops_an_infinite_gradient_as_autograd_does(path: str, dtype: torch.dtype) -> None:
    x = torch.tensor([[[-1.0, 2.0]]], dtype=dtype, requires_grad=True)
    eye, nothing = torch.eye(2, dtype=dtype), torch.zeros(2, 2, dtype=dtype)
    seen = []
    for module in (fast, reference):
        output, _, trace = module.rnn(x, None, eye, nothing, None, None, nonlinearity="relu")
        output.backward(torch.full_like(output, float("inf")))
        seen.append(trace.grad_preactivation)
    assert torch.equal(seen[0], seen[1])
    assert seen[0].flatten().tolist() == [0.0, float("inf")]


@CELLS
@WAYS
def test_not_a_number_and_overflow_are_results_not_warnings(cell: str, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, (20, 2, 2, 3), dtype=dtype)
    with torch.no_grad():
        p.parameters[1] = p.parameters[1] * torch.finfo(dtype).max ** 0.5
        p.x[7] = float("nan")
    p.parameters[1].requires_grad_()
    output, h_n, c_n, trace = p.run(fast)
    p.loss(output, h_n, c_n).backward()
    assert output[:7].isnan().logical_not().any()
    assert output[7:].isnan().all()
    assert trace.grad_h.isnan().any()


@WAYS
def test_it_runs_under_autocast_in_the_dtype_that_it_was_given(path: str, dtype: torch.dtype) -> None:
    p = problem("lstm", (4, 2, 2, 3), dtype=dtype)
    want, *_ = p.run(fast)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, *_ = p.run(fast)
    assert torch.equal(got, want)


def _tensors() -> dict[str, Any]:
    return {
        "x": torch.zeros(5, 2, 3),
        "h0": torch.zeros(2, 4),
        "w_ih": torch.zeros(12, 3),
        "w_hh": torch.zeros(12, 4),
        "b_ih": torch.zeros(12),
        "b_hh": torch.zeros(12),
    }


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("x", torch.zeros(5, 3), r"x must have the shape \[T, B, I\] with each at least 1, but got \[5, 3\]"),
        ("x", torch.zeros(0, 2, 3), r"x must have the shape \[T, B, I\] with each at least 1, but got \[0, 2, 3\]"),
        ("x", torch.zeros(5, 2, 3, dtype=torch.int64), "x must be float32 or float64, but got int64"),
        ("x", [[1.0]], "x must be a tensor, but got list"),
        ("h0", torch.zeros(2, 5), r"h0 must have the shape \[B, H\] = \[2, 4\], but got \[2, 5\]"),
        ("h0", torch.zeros(2, 4).double(), "h0 must have the dtype of x, float32, but got float64"),
        ("h0", torch.zeros(2, 4, device="meta"), "h0 must be on the device of x, cpu, but got meta"),
        ("w_ih", torch.zeros(8, 3), r"w_ih must have the shape \[3·H, I\] = \[12, 3\], but got \[8, 3\]"),
        ("w_ih", None, "w_ih must be a tensor, but got NoneType"),
        ("w_hh", torch.zeros(8, 4), r"w_hh must have the shape \[3·H, H\] with H at least 1, but got \[8, 4\]"),
        ("b_hh", torch.zeros(4), r"b_hh must have the shape \[3·H\] = \[12\], but got \[4\]"),
    ],
)
@BOTH
def test_wrong_arguments_are_refused_in_one_sentence(module: Any, name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        module.gru(**{**_tensors(), name: value})


@BOTH
def test_an_unknown_nonlinearity_and_a_lone_state_are_refused(module: Any) -> None:
    x, w_ih, w_hh = torch.zeros(5, 2, 3), torch.zeros(4, 3), torch.zeros(4, 4)
    with pytest.raises(ValueError, match=r"^nonlinearity must be one of tanh, relu, sigmoid, identity, but got 'elu'$"):
        module.rnn(x, None, w_ih, w_hh, None, None, nonlinearity="elu")
    with pytest.raises(ValueError, match=r"^state must be the pair \(h0, c0\) or None, but got Tensor$"):
        module.lstm(x, torch.zeros(2, 4), torch.zeros(16, 3), torch.zeros(16, 4), None, None)


def test_half_of_an_lstm_state_may_be_left_out() -> None:
    p = problem("lstm", (5, 2, 3, 4))
    zeros = torch.zeros(2, 4, dtype=torch.float64)
    pairs: list[tuple[tuple[Tensor | None, Tensor | None], tuple[Tensor, Tensor]]] = [
        ((p.h0, None), (p.h0, zeros)),
        ((None, p.c0), (zeros, p.c0)),
    ]
    for given, meant in pairs:
        assert torch.equal(lstm(p.x, given, *p.parameters)[0], lstm(p.x, meant, *p.parameters)[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@CELLS
@pytest.mark.parametrize("walk", WALKS)
def test_another_device_gives_the_same_numbers(cell: str, walk: str) -> None:
    p = problem(cell, (12, 3, 4, 8), **WALKS[walk])
    want = p.run(fast)
    gradients = torch.autograd.grad(p.loss(*want[:3]), p.leaves())
    for name in ("x", "h0", "c0", "of_output", "of_final"):
        if getattr(p, name) is not None:
            setattr(p, name, getattr(p, name).detach().cuda().requires_grad_(name in ("x", "h0", "c0")))
    p.parameters = [None if w is None else w.detach().cuda().requires_grad_() for w in p.parameters]
    got = p.run(fast)
    again = torch.autograd.grad(p.loss(*got[:3]), p.leaves())
    assert error(got[3].grad_h.cpu(), want[3].grad_h) <= 1e-10
    for a, b in zip(again, gradients, strict=True):
        assert error(a.cpu(), b) <= 1e-10
