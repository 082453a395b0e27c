"""Both directions and samples of different lengths: what must hold beside the agreement with the twins."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import diagnostics.recurrence as fast
from diagnostics.recurrence import reference
from diagnostics.recurrence.walk import Walk

from .cases import CELLS, WAYS, Problem, error, problem, tolerance

REVERSE = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
BOTH = pytest.mark.parametrize("module", [fast, reference], ids=["fast", "reference"])
SHAPE = (11, 6, 3, 5)
OF_TIME = ("output", "h", "c", "r", "z", "n", "i", "f", "g", "o", "grad_h", "grad_c", "grad_preactivation", "x")
OF_SAMPLES = ("h_n", "c_n", "h0", "c0")


def of(found: dict[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Those of everything that have, say, a row per timestep."""
    return {name: value for name, value in found.items() if name.removeprefix("gradient of ") in names}


def reordered(p: Problem, samples: torch.Tensor) -> None:
    """Put the samples in another order."""
    for name in ("x", "h0", "c0", "of_output", "of_final", "lengths"):
        value = getattr(p, name)
        if value is not None:
            moved = value.detach().index_select(0 if name in ("h0", "c0", "lengths") else 1, samples)
            setattr(p, name, moved.requires_grad_() if name in ("x", "h0", "c0") else moved)


@WAYS
@CELLS
@REVERSE
def test_lengths_that_are_all_whole_are_bit_for_bit_no_lengths(
    cell: str, reverse: bool, path: str, dtype: torch.dtype
) -> None:
    want = problem(cell, SHAPE, dtype=dtype, reverse=reverse).everything(fast)
    p = problem(cell, SHAPE, dtype=dtype, reverse=reverse)
    p.lengths = torch.full((SHAPE[1],), SHAPE[0])
    for name, value in p.everything(fast).items():
        assert torch.equal(value, want[name]), name


@CELLS
@REVERSE
def test_without_lengths_nothing_is_copied(cell: str, reverse: bool) -> None:
    p = problem(cell, SHAPE, reverse=reverse)
    output, h_n, c_n, trace = p.run(fast)
    p.loss(output, h_n, c_n).backward()
    T, B, _, H = SHAPE
    states = [output, trace.h, trace.grad_h, *([] if c_n is None else [trace.c, trace.grad_c])]
    assert {held.untyped_storage().nbytes() for held in states} == {(T + 1) * B * H * 8}  # one row more
    assert {held.untyped_storage().nbytes() for held in trace.gates.values()} <= {T * B * len(trace.gates) * H * 8}


@WAYS
@CELLS
def test_reverse_is_the_flipped_run_of_what_is_flipped(cell: str, path: str, dtype: torch.dtype) -> None:
    p = problem(cell, SHAPE, dtype=dtype, reverse=True)
    got = p.everything(fast)
    p.reverse = False
    p.x, p.of_output = p.x.detach().flip(0).requires_grad_(), p.of_output.flip(0)
    want = p.everything(fast)
    for name, value in of(want, OF_TIME).items():
        want[name] = value.flip(0)
    for name, value in got.items():
        if "w_" in name or "b_" in name:  # sums over time, in another order
            assert error(value, want[name]) <= tolerance(dtype, SHAPE[0])
        else:  # the same operations; a last place depends on whether an element lies in a vector or in the remainder
            assert error(value, want[name]) <= 4 * torch.finfo(dtype).eps, name


@WAYS
@CELLS
@REVERSE
def test_the_order_of_the_samples_is_that_of_the_results(
    cell: str, reverse: bool, path: str, dtype: torch.dtype
) -> None:
    how: dict[str, Any] = {"dtype": dtype, "lengths": "mixed", "reverse": reverse}
    samples = torch.tensor([4, 0, 5, 2, 1, 3])
    want = problem(cell, SHAPE, **how).everything(fast)
    p = problem(cell, SHAPE, **how)
    reordered(p, samples)
    got = p.everything(fast)
    for name, value in got.items():
        samples_last = value.index_select(1, samples.argsort()) if name in of(got, OF_TIME) else value
        back = value.index_select(0, samples.argsort()) if name in of(got, OF_SAMPLES) else samples_last
        assert error(back, want[name]) <= tolerance(dtype, SHAPE[0]), name


@WAYS
@CELLS
@REVERSE
def test_each_sample_is_as_if_it_were_alone(cell: str, reverse: bool, path: str, dtype: torch.dtype) -> None:
    how: dict[str, Any] = {"dtype": dtype, "lengths": "mixed", "reverse": reverse}
    together = problem(cell, SHAPE, **how)
    want = together.everything(fast)
    for b, length in enumerate(together.lengths.tolist()):
        p = problem(cell, SHAPE, **how)
        reordered(p, torch.tensor([b]))
        p.lengths, p.of_output, p.x = None, p.of_output[:length], p.x.detach()[:length].requires_grad_()
        found = p.everything(fast)
        for name, value in of(found, OF_TIME).items():
            assert error(want[name][:length, b : b + 1], value) <= tolerance(dtype, SHAPE[0]), name
        for name, value in of(found, OF_SAMPLES).items():
            assert error(want[name][b : b + 1], value) <= tolerance(dtype, SHAPE[0]), name


@WAYS
@CELLS
@REVERSE
def test_steps_that_no_sample_has_are_as_if_they_were_not_there(
    cell: str, reverse: bool, path: str, dtype: torch.dtype
) -> None:
    p = problem(cell, SHAPE, dtype=dtype, reverse=reverse)
    p.lengths = torch.full((SHAPE[1],), 3)
    got = p.everything(fast)
    p.lengths, p.of_output, p.x = None, p.of_output[:3], p.x.detach()[:3].requires_grad_()
    for name, value in p.everything(fast).items():
        in_time = name in of(got, OF_TIME)
        assert error(got[name][:3] if in_time else got[name], value) <= tolerance(dtype, 3), name
        assert not in_time or not got[name][3:].any()


@WAYS
@CELLS
@REVERSE
def test_padding_is_not_read_and_everything_there_is_zero(
    cell: str, reverse: bool, path: str, dtype: torch.dtype
) -> None:
    how: dict[str, Any] = {"dtype": dtype, "lengths": "mixed", "reverse": reverse}
    want = problem(cell, SHAPE, **how).everything(fast)
    for poison in (float("nan"), float("inf"), 1e30):
        p = problem(cell, SHAPE, **how)
        with torch.no_grad():
            p.x[p.padding()] = poison
            p.of_output[p.padding()] = poison
        output, h_n, c_n, trace = p.run(fast)
        of_output = (p.of_output * output.detach().cos(), p.of_final[0] * h_n.detach().cos())
        arriving = (*of_output, *(() if c_n is None else (p.of_final[1] * c_n.detach().cos(),)))
        gradients = torch.autograd.grad([t for t in (output, h_n, c_n) if t is not None], p.leaves(), arriving)
        assert error(trace.grad_h, want["grad_h"]) <= tolerance(dtype, SHAPE[0])
        for (name, _), gradient in zip(p.named().items(), gradients, strict=True):
            assert error(gradient, want[f"gradient of {name}"]) <= tolerance(dtype, SHAPE[0]), name
        everything = (output, trace.h, trace.grad_h, trace.grad_preactivation, gradients[0], *trace.gates.values())
        cells = () if c_n is None else (trace.c, trace.grad_c)
        for value in (*everything, *cells):
            assert not value[p.padding()].any()


@WAYS
@CELLS
@REVERSE
@pytest.mark.parametrize("lengths", [None, "mixed"], ids=["whole", "mixed"])
def test_not_a_number_stays_with_its_sample(
    cell: str, reverse: bool, lengths: str | None, path: str, dtype: torch.dtype
) -> None:
    how: dict[str, Any] = {"dtype": dtype, "lengths": lengths, "reverse": reverse}
    clean = problem(cell, SHAPE, **how)
    want = clean.everything(fast)
    p = problem(cell, SHAPE, **how)
    ill = 2 if lengths is None else int(p.lengths.argmax())
    t = (SHAPE[0] if lengths is None else int(p.lengths[ill])) // 2
    with torch.no_grad():
        p.x[t, ill, 1] = float("nan")
    got = p.everything(fast)
    others = torch.tensor([b for b in range(SHAPE[1]) if b != ill])
    for name, value in (of(got, OF_TIME) | of(got, OF_SAMPLES)).items():
        batch = 1 if name in of(got, OF_TIME) else 0
        mine, theirs = value.index_select(batch, others), want[name].index_select(batch, others)
        assert error(mine, theirs) <= tolerance(dtype, SHAPE[0]), name
    assert got["output"][t, ill].isnan().all()
    assert got["h_n"][ill].isnan().all()
    before = got["output"][t + 1 :, ill] if reverse else got["output"][:t, ill]
    assert not before.isnan().any()


@WAYS
def test_an_infinite_last_state_does_not_reach_the_steps_before_it(path: str, dtype: torch.dtype) -> None:
    """A sample's state after its last step lies where the next step, which is padding, would read it."""
    big = torch.finfo(dtype).max / 2
    x = torch.tensor([[[1.0], [1.0]], [[big], [1.0]], [[0.0], [1.0]]], dtype=dtype)
    one = torch.ones(1, 1, dtype=dtype)
    weights = [(one * 4).requires_grad_(), one.clone().requires_grad_()]
    output, _, _ = fast.rnn(x, None, *weights, None, None, nonlinearity="identity", lengths=[2, 3])
    assert output[1, 0].isinf()
    output[0].sum().backward()
    assert [weight.grad.item() for weight in weights] == [2.0, 0.0]


@BOTH
@CELLS
@REVERSE
def test_the_trace_says_how_it_was_walked(cell: str, reverse: bool, module: Any) -> None:
    p = problem(cell, SHAPE, lengths="mixed", reverse=reverse)
    trace = p.run(module)[3]
    assert trace.reverse is reverse
    assert torch.equal(trace.lengths, p.lengths)
    p.lengths[0] = 99  # what the caller does with it afterwards is nothing to the trace
    assert 99 not in trace.lengths
    p.lengths = None
    assert p.run(module)[3].lengths is None


@BOTH
@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        (torch.tensor([1, 2, 3]), r"lengths must have the shape \[B\] = \[2\], but got \[3\]"),
        (torch.tensor([[1, 2]]), r"lengths must have the shape \[B\] = \[2\], but got \[1, 2\]"),
        (torch.tensor([1.0, 2.0]), "lengths must be int64, but got float32"),
        (torch.tensor([1, 2], dtype=torch.int32), "lengths must be int64, but got int32"),
        (torch.tensor([1, 2], device="meta"), "lengths must be on the device cpu, but got meta"),
        (torch.tensor([1, 6]), "lengths must be in 1…T = 1…5, but got 6"),
        (torch.tensor([0, 5]), "lengths must be in 1…T = 1…5, but got 0"),
        ([-1, 5], "lengths must be in 1…T = 1…5, but got -1"),
        ([1], "lengths must be B = 2 numbers, but got 1"),
        ([1, 2.5], "lengths must be whole numbers, but got 2.5"),
        (3, "lengths must be whole numbers, but got int"),
    ],
)
def test_wrong_lengths_are_refused_in_one_sentence(module: Any, lengths: Any, sentence: str) -> None:
    weights = torch.zeros(4, 3), torch.zeros(4, 4), None, None
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        module.rnn(torch.zeros(5, 2, 3), None, *weights, lengths=lengths)


def test_lengths_may_be_any_whole_numbers() -> None:
    p = problem("tanh", (5, 2, 3, 4))
    seen = []
    for lengths in (torch.tensor([2, 5]), [2, 5], (2, 5), np.array([2, 5])):
        p.lengths = lengths
        seen.append(p.run(fast)[0])
    assert all(torch.equal(output, seen[0]) for output in seen[1:])


@REVERSE
def test_a_walk_is_cut_where_its_size_changes_and_where_a_block_ends(reverse: bool) -> None:
    sizes = np.array([5, 5, 5, 4, 4, 2, 2, 2, 0, 0])
    walk = Walk(sizes, reverse)
    blocks = [slice(0, 4), slice(4, 8), slice(8, 10)]
    stretches = walk.stretches(blocks)
    bounds = [(stretch.steps.start, stretch.steps.stop, stretch.active) for stretch in stretches]
    want = [(0, 3, 5), (3, 4, 4), (4, 5, 4), (5, 8, 2)]
    assert bounds == (want[::-1] if reverse else want)
    assert list(walk.ordered(blocks)) == (blocks[::-1] if reverse else blocks)
    assert walk.block(blocks[1]).stretches([slice(0, 4)])[-1 if reverse else 0].active == 4
    states = torch.arange(11.0)[:, None].expand(11, 5)
    for stretch in stretches:
        before, after = stretch.before(states)[:, 0], stretch.after(states)[:, 0]
        assert torch.equal(before, after + 1 if reverse else after - 1)
        rows = before.unbind(), after.unbind()
        taken = [(earlier.item(), later.item()) for earlier, later in stretch.onward(*rows)]
        assert all(now[1] == following[0] for now, following in pairwise(taken))
        assert [(earlier.item(), later.item()) for earlier, later in stretch.back(*rows)] == taken[::-1]
