"""What watching leaves of the person's model: its modes, its errors, its copies, and what it returns."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from .native_cases import Case, close, gone_alone, gone_through, watching

STACKED = {"num_layers": 2, "bidirectional": True, "dropout": 0.4}


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
        assert list(source.ledger.newest_first()) == []
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


STATES = torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)
WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "input": ((torch.zeros(4, 2, 7),), {}),
    "hidden": ((torch.zeros(4, 2, 3), (torch.zeros(1, 3, 5), torch.zeros(1, 3, 5))), {}),
    "dimensions": ((torch.zeros(1, 4, 2, 3),), {}),
    "dtype": ((torch.zeros(4, 2, 3).double(),), {}),
    "one state": ((torch.zeros(4, 2, 3), STATES[0]), {}),
    "states in one tensor": ((torch.zeros(4, 2, 3), torch.stack(STATES)), {}),
    "a number as state": ((torch.zeros(4, 2, 3), 5), {}),
    "a dict as state": ((torch.zeros(4, 2, 3), {"h": STATES[0]}), {}),
    "nothing in the pair": ((torch.zeros(4, 2, 3), (STATES[0], None)), {}),
    "a list": (([[[0.0] * 3] * 2] * 4,), {}),
    "an array": ((np.zeros((4, 2, 3), np.float32),), {}),
    "None": ((None,), {}),
    "nothing": ((), {}),
    "three": ((torch.zeros(4, 2, 3), STATES, STATES), {}),
    "another name": ((torch.zeros(4, 2, 3),), {"state": STATES}),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_call_is_refused_in_torchs_own_words(how: str) -> None:
    module = nn.LSTM(3, 5)
    given, named = WRONG[how]
    with pytest.raises((RuntimeError, ValueError, AttributeError, IndexError, TypeError, KeyError)) as want:
        module(*given, **named)
    with watching(module) as source, pytest.raises(type(want.value)) as got:
        module(*given, **named)
    assert str(got.value) == str(want.value)
    assert source.refused == {}  # it has not run at all


def test_states_may_come_by_name_and_in_a_list() -> None:
    module, x = nn.LSTM(3, 5), torch.randn(4, 2, 3)
    with watching(module) as source:
        module(input=x, hx=list(STATES))[0].sum().backward()
        assert len(source.take()) == 1


def saved(model: nn.Module) -> nn.Module:
    """As it comes back from a file."""
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    found: nn.Module = torch.load(file, weights_only=False)
    return found


def test_copies_and_pickles_are_models_of_their_own() -> None:
    case = Case("lstm")
    model = nn.Sequential(case.module)
    want = case.call()[0]
    with watching(model, check=True) as source:
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), saved(model)]
        case.call()[0].sum().backward()
        assert len(source.take()) == 1
        assert not any(parameter._backward_hooks for one in copies for parameter in one.parameters())
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
