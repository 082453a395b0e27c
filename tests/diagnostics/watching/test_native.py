"""torch.nn's own layers, watched, against the layers themselves and against the same written out in plain autograd."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diagnostics.watching.answers import walked
from diagnostics.watching.passing import Pass

from .native_cases import CELLS, Case, T, by_group, total, unrolled, watching

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
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")


def close(got: Tensor, want: Tensor, dtype: torch.dtype = torch.float64) -> None:
    assert got.shape == want.shape
    scale = max(1.0, want.abs().max().item()) if want.numel() else 1.0
    assert (got.double() - want.double()).abs().max().item() <= CLOSE[dtype] * scale


def gone_through(case: Case, **how: Any) -> tuple[Tensor, list[Tensor], dict[str, Tensor], Tensor, list[Pass]]:
    """Output, final states, gradients, the generator's state afterwards and the passes of one step, watched."""
    torch.manual_seed(3)
    with watching(case.module, **how) as source:
        output, finals, _ = case.call()
        case.value(output, finals, case.of_output, case.of_finals).backward()
        passes = source.take()
    return output, finals, case.gradients(), torch.get_rng_state(), passes


def gone_alone(case: Case) -> tuple[Tensor, list[Tensor], dict[str, Tensor], Tensor]:
    """The same of the layer that nobody watches."""
    torch.manual_seed(3)
    output, finals, _ = case.call()
    case.value(output, finals, case.of_output, case.of_finals).backward()
    return output, finals, case.gradients(), torch.get_rng_state()


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
    assert "under autocast" in told[0]


def test_evaluation_mode_draws_nothing() -> None:
    case = Case("lstm", options=STACKED)
    case.module.eval()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    got = gone_through(case)
    assert torch.equal(got[3], before)
    close(got[0], gone_alone(case)[0])


def test_without_gradients_or_unarmed_the_forward_is_torchs_own() -> None:
    case = Case("lstm")
    with watching(case.module) as source:
        with torch.no_grad():
            output, _, _ = case.call()
        assert not output.requires_grad
        with torch.inference_mode():
            case.call()
        assert source.ledger is not None
        assert source.ledger.calls == []
        assert source.take() == []
        assert "forward" not in vars(case.module)
        output, _, _ = case.call()
        output.sum().backward()
        assert source.take() == []


def test_an_exception_leaves_the_model_as_it_was() -> None:
    case = Case("gru")
    names = list(vars(case.module))

    def interrupted() -> None:
        with watching(case.module):
            case.call()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert list(vars(case.module)) == names


@pytest.mark.parametrize("how", ["input", "hidden", "dimensions", "dtype", "pair"])
def test_a_wrong_call_is_refused_in_torchs_own_words(how: str) -> None:
    module = nn.LSTM(3, 5)
    given: tuple[Any, ...] = {
        "input": (torch.zeros(4, 2, 7),),
        "hidden": (torch.zeros(4, 2, 3), (torch.zeros(1, 3, 5), torch.zeros(1, 3, 5))),
        "dimensions": (torch.zeros(1, 4, 2, 3),),
        "dtype": (torch.zeros(4, 2, 3).double(),),
        "pair": (torch.zeros(4, 2, 3), torch.zeros(1, 2, 5)),
    }[how]
    with pytest.raises((RuntimeError, ValueError, AttributeError, IndexError)) as want:
        module(*given)
    with watching(module), pytest.raises(type(want.value)) as got:
        module(*given)
    assert str(got.value) == str(want.value)


def test_copies_and_pickles_are_models_of_their_own() -> None:
    case = Case("lstm")
    model = nn.Sequential(case.module)
    want = case.call()[0]
    with watching(model) as source:
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        case.call()[0].sum().backward()
        assert len(source.take()) == 1
    copies += [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for one in copies:
        assert "forward" not in vars(one[0])
        close(one(case.given())[0], want)
        assert list(vars(one[0])) == list(vars(copies[-1][0]))


@pytest.mark.parametrize("packed", ["", "sorted"])
def test_what_is_returned_may_be_written_into(packed: str) -> None:
    for options in ({}, {"bidirectional": True}, {"batch_first": True}):
        case = Case("gru", options=options, packed=packed)
        grads = []
        for watched in (False, True):
            with watching(case.module) as source:
                if not watched:
                    source.take()
                output, finals, _ = case.call()
                output *= 2
                finals[0].mul_(3)
                (output.sum() + finals[0].sum()).backward()
            grads.append(case.gradients())
        for name, gradient in grads[0].items():
            close(grads[1][name], gradient)


def test_frozen_weights() -> None:
    case = Case("lstm", options={"num_layers": 2}, x_learns=False)
    for name, parameter in case.module.named_parameters():
        parameter.requires_grad_("l1" in name)
    _, _, found, _, passes = gone_through(case)
    assert not found["weight_hh_l0"].any()
    assert passes[0].layers[0].grad_h.any()
    for parameter in case.module.parameters():
        parameter.requires_grad_(False)
    with watching(case.module) as source:
        output, _, _ = case.call()
        assert not output.requires_grad
        assert source.take() == []
    assert source.covered()[-1] == (
        "LSTM is not watched: nothing in it is trained and its input needs no gradient, so no gradient goes through it"
    )
