"""torch.nn's own layers, watched, against the layers themselves and against the same written out in plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from diagnostics.watching.answers import walked

from .native_cases import CELLS, Case, T, by_group, close, gone_alone, gone_through, total, unrolled, watching

STACKED = {"num_layers": 2, "bidirectional": True, "dropout": 0.4}
GRID = {
    "plain": {},
    "last": {"loss": "last"},
    "final state alone": {"loss": "final"},
    "batch first": {"options": {"batch_first": True}, "loss": "both"},
    "no biases": {"options": {"bias": False}, "state": True},
    "three layers": {"options": {"num_layers": 3}, "state": True, "loss": "both"},
    "unbatched": {"options": {"bidirectional": True, "batch_first": True}, "unbatched": True, "state": True},
    "both directions, dropout": {"options": STACKED, "state": True, "loss": "both"},
    "input without gradient": {"options": STACKED, "x_learns": False},
    "packed": {"packed": "sorted", "loss": "last"},
    "packed in no order": {"options": STACKED, "packed": "unsorted", "state": True, "loss": "both"},
    "packed, batch first": {"options": {**STACKED, "batch_first": True}, "packed": "short"},
}
PROJECTED = {
    "projected": {"options": {"proj_size": 2}, "loss": "both"},
    "projected, stacked": {"options": {**STACKED, "proj_size": 2}, "state": True, "loss": "both"},
    "projected, packed": {"options": {**STACKED, "proj_size": 2}, "packed": "unsorted", "state": True},
}
CASES = [(cell, name, how) for name, how in GRID.items() for cell in CELLS]
CASES += [("lstm", name, how) for name, how in PROJECTED.items()]
EVERY = pytest.mark.parametrize(("cell", "name", "how"), CASES, ids=[f"{cell}-{name}" for cell, name, _ in CASES])

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_outputs_gradients_and_random_numbers_are_those_of_the_unwatched_layer(
    cell: str, name: str, how: dict[str, Any], dtype: torch.dtype
) -> None:
    case = Case(cell, **how, dtype=dtype)
    want, got = gone_alone(case), gone_through(case)
    assert got[0].stride() == want[0].stride()
    for mine, theirs in zip((got[0], *got[1]), (want[0], *want[1]), strict=True):
        close(mine, theirs, dtype)
    for leaf in want[2]:
        close(got[2][leaf], want[2][leaf], dtype)
    assert torch.equal(got[3], want[3])
    assert len(got[4]) == case.D


@EVERY
def test_state_gradients_are_the_total_ones_of_plain_autograd(cell: str, name: str, how: dict[str, Any]) -> None:
    case = Case(cell, **how)
    passes = by_group(gone_through(case, check=True)[4])
    torch.manual_seed(3)
    output, finals, layers = unrolled(case)
    case.value(output, finals, case.of_output, case.of_finals).backward()
    weights = case.gradients()
    for (layer, direction), twin in layers.items():
        one = passes[direction].layers[layer]
        close(one.grad_h, total(twin.h, twin, case.lengths))
        if cell == "lstm":
            assert one.grad_c is not None
            close(one.grad_c, total(twin.c, twin, case.lengths))
        else:
            assert one.grad_c is None
        assert one.weight_sum is not None
        close(one.weight_sum, weights[one.weight])
        assert not one.grad_h.requires_grad


@EVERY
def test_the_last_answer_alone(cell: str, name: str, how: dict[str, Any]) -> None:
    case = Case(cell, **how)
    passes = by_group(gone_through(case)[4])
    ends = torch.full((case.batch,), T) if case.lengths is None else case.lengths
    several = case.loss in ("every", "both")
    for direction, one in passes.items():
        if not (case.packed and case.loss == "last"):  # where only the longest samples have an answer
            assert one.answers == (int(ends.max()) if several else 1)
        if one.answers == 1:
            assert all(layer.last_answer is None for layer in one.layers)
            continue
        of_output = torch.zeros_like(case.of_output)
        samples = case.order
        at = ends - 1 if direction == 0 else torch.zeros_like(ends)
        of_output[at, samples] = case.of_output[at, samples]
        of_finals = [torch.zeros_like(final) for final in case.of_finals]
        for mine, theirs in zip(of_finals, case.of_finals, strict=True):
            mine[direction :: case.D] = theirs[direction :: case.D]
        torch.manual_seed(3)
        output, finals, layers = unrolled(case)
        case.value(output, finals, of_output, of_finals).backward()
        case.gradients()
        for layer in range(case.module.num_layers):
            found, twin = one.layers[layer].last_answer, layers[layer, direction]
            assert found is not None
            close(found[0], total(twin.h, twin, case.lengths))
            if cell == "lstm":
                assert found[1] is not None
                close(found[1], total(twin.c, twin, case.lengths))


@pytest.mark.parametrize("packed", ["", "unsorted"])
@pytest.mark.parametrize("x_learns", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_inputs_gradients_sum_to_that_of_the_input(cell: str, x_learns: bool, packed: str) -> None:
    case = Case(cell, options=STACKED, packed=packed, x_learns=x_learns, loss="both")
    _, _, found, _, passes = gone_through(case)
    if not x_learns:
        case.x_learns = True
        case.x.requires_grad_()
        found = gone_alone(case)[2]
    both = torch.zeros_like(found["x"])
    for direction, one in by_group(passes).items():
        assert one.input_grad is not None
        turned = one.input_grad
        order = walked(len(turned), case.lengths, reverse=direction == 1)
        if order is not None:
            turned = turned[order, torch.arange(case.batch)]  # its own inverse
        both[: len(turned), case.order] += turned
    close(both, found["x"])


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gates_are_in_walk_order(cell: str) -> None:
    case = Case(cell, options={"bidirectional": True}, packed="sorted")
    _, finals, _, _, passes = gone_through(case)
    assert case.lengths is not None
    for direction, one in by_group(passes).items():
        layer, samples = one.layers[0], torch.arange(case.batch)
        assert one.lengths is not None
        assert torch.equal(one.lengths, case.lengths)
        close(layer.h[case.lengths - 1, samples], finals[0][direction])
        assert not layer.h[torch.arange(T)[:, None] >= case.lengths].any()
        assert set(layer.gates) == set({"gru": "rzn", "lstm": "ifgo"}.get(cell, ""))
        if cell == "lstm":
            assert layer.c is not None
            close(layer.gates["o"] * layer.c.tanh(), layer.h)
            close(layer.c[case.lengths - 1, samples], finals[1][direction])


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_pass_says_of_its_layer(cell: str) -> None:
    case = Case(cell, options={"bidirectional": True, "num_layers": 2})
    model = nn.ModuleDict({"body": nn.Sequential(nn.Linear(2, 3), case.module)})
    with watching(model) as source:
        case.call()[0].sum().backward()
        passes = source.take()
    assert [one.group for one in passes] == ["body.1 →", "body.1 ←"]
    assert [one.direction for one in passes] == ["forward", "reverse"]
    assert [layer.weight for one in passes for layer in one.layers] == [
        f"body.1.weight_hh_l{layer}{suffix}" for suffix in ("", "_reverse") for layer in range(2)
    ]
    assert {one.kind for one in passes} == {cell}
    assert {one.class_name for one in passes} == {f"torch.nn.{type(case.module).__name__}"}
    assert all(layer.weight_sum is None for one in passes for layer in one.layers)


@pytest.mark.parametrize("packed", ["", "sorted"])
@pytest.mark.parametrize("options", [STACKED, {"num_layers": 2, "batch_first": True}], ids=["both", "one"])
@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16(cell: str, options: dict[str, Any], packed: str) -> None:
    case = Case(cell, options=options, packed=packed, dtype=torch.bfloat16, state=True, loss="both")
    want, got = gone_alone(case), gone_through(case, check=True)
    assert torch.equal(got[3], want[3])
    for mine, theirs in zip((got[0], *got[1]), (want[0], *want[1]), strict=True):
        assert mine.dtype == torch.bfloat16
        close(mine, theirs, torch.bfloat16)
    for leaf in want[2]:
        close(got[2][leaf], want[2][leaf], torch.bfloat16)
    for one in got[4]:
        for layer in one.layers:
            assert layer.grad_h.dtype == torch.bfloat16
            assert layer.rounding is None
            assert layer.weight_sum is not None
            close(layer.weight_sum, got[2][layer.weight], torch.bfloat16)


@pytest.mark.parametrize("options", [STACKED, {"batch_first": True}], ids=["both", "one"])
@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_autocast(cell: str, state: bool, options: dict[str, Any]) -> None:
    case = Case(cell, options=options, dtype=torch.float32, state=state, loss="both")
    with torch.autocast("cpu", torch.bfloat16):
        want = gone_alone(case)
        torch.manual_seed(3)
        with watching(case.module) as source:
            output, finals, _ = case.call()
            case.value(output, finals, case.of_output, case.of_finals).backward()
            passes, told = source.take(), source.covered()
    found = case.gradients()
    assert torch.equal(torch.get_rng_state(), want[3])
    for mine, theirs in zip((output, *finals), (want[0], *want[1]), strict=True):
        assert mine.dtype == theirs.dtype
        close(mine, theirs, torch.bfloat16)
    for leaf in want[2]:
        close(found[leaf], want[2][leaf], torch.bfloat16)
    assert len(passes) == case.D
    assert {layer.rounding or layer.h.dtype for one in passes for layer in one.layers} == {torch.bfloat16}
    assert "under autocast" in told[0]


@pytest.mark.parametrize(
    ("precision", "dtype", "rounding"),
    [
        ("highest", torch.float32, None),
        ("high", torch.float32, None),  # TF32 is CUDA's
        ("medium", torch.float32, torch.bfloat16),
        ("medium", torch.float64, None),
    ],
)
@pytest.mark.parametrize("options", [{}, {"proj_size": 2}], ids=["", "projected"])
def test_products_of_float32_that_are_rounded_more_coarsely(
    precision: str, dtype: torch.dtype, rounding: torch.dtype | None, options: dict[str, Any]
) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        (one,) = gone_through(Case("lstm", options=options, dtype=dtype), check=True)[4]
    finally:
        torch.set_float32_matmul_precision(before)
    assert one.layers[0].rounding == rounding


def test_where_torch_does_not_tell_how_it_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refuse)
    (one,) = gone_through(Case("gru", dtype=torch.float32), check=True)[4]
    assert one.layers[0].rounding is None
