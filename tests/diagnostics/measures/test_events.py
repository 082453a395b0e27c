import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.measures.events import Event, events, over_seeds
from diagnostics.records import Records, Run
from diagnostics.strict_json import dumps
from tests.diagnostics.charts.samples import facts_of, powers, run_of


def recorded(pre: list[float], post: list[float], clip: str = "norm:1.0", **columns: list[int]) -> Run:
    run = run_of(
        powers(0.9, 8, 2),
        facts=facts_of(9, 6),
        loss=np.full(len(pre), 2.0),
        pre=np.array(pre),
        post=np.array(post),
        spec={"clip": clip},
    )
    changed: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
    return replace(run, records=Records({**run.records, **changed}))


def kinds(run: Run) -> list[str]:
    return [event.kind for event in events(run)]


def one(run: Run) -> Event:
    (found,) = events(run)
    return found


def test_a_gradient_that_clipping_set_to_zero_is_an_event() -> None:
    found = events(recorded([0.5, 2.0, 3.0, 0.5, 0.2], [0.5, 0.0, 0.0, 0.5, 0.2]))
    assert [event.kind for event in found] == ["erased"]
    assert (found[0].steps, found[0].first_step, found[0].fault) == (2, 1, True)
    assert "on 2 training steps, first at step 1" in found[0].sentence


def test_torch_erases_a_gradient_whose_norm_overflows_float32_and_the_event_says_so() -> None:
    layer = nn.Linear(4, 4)
    for parameter in layer.parameters():
        parameter.grad = torch.full_like(parameter, 1e20)
    flat = [p.grad.double() for p in layer.parameters() if p.grad is not None]
    pre = float(torch.cat([g.flatten() for g in flat]).norm())
    nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    post = float(torch.cat([p.grad.double().flatten() for p in layer.parameters() if p.grad is not None]).norm())
    assert post == 0.0
    found = one(recorded([0.5, pre, 0.5], [0.5, post, 0.5]))
    assert found.kind == "erased"
    assert "which float32 cannot square" in found.sentence


def test_a_gradient_that_was_zero_was_not_erased() -> None:
    assert kinds(recorded([0.0, 2.0, 0.5, 0.4], [0.0, 1.0, 0.5, 0.4])) == []


def test_an_infinite_entry_that_became_nan_is_an_event() -> None:
    run = recorded([0.5, np.inf, 2.0, 0.1], [0.5, np.nan, 1.0, 0.1], nan_count=[0, 0, 0, 0], inf_count=[0, 3, 0, 0])
    found = one(run)
    assert (found.kind, found.steps, found.first_step) == ("made_nan", 1, 1)
    assert "3 infinite entries" in found.sentence


def test_a_gradient_that_was_nan_before_is_not_the_work_of_clipping() -> None:
    run = recorded([0.5, np.nan, 2.0, 0.1], [0.5, np.nan, 1.0, 0.1], nan_count=[0, 7, 0, 0], inf_count=[0, 0, 0, 0])
    assert kinds(run) == []


def test_clipping_before_backward_is_found_where_it_should_have_engaged() -> None:
    """A loop that clips, then calls backward, then steps: the optimiser sees the raw gradient."""
    layer, pre, post = nn.Linear(3, 1, bias=False), [], []
    x = torch.ones(1, 3)
    for scale in (0.1, 100.0, 50.0):
        layer.zero_grad()
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)  # the mistake
        (scale * layer(x)).sum().backward()
        assert layer.weight.grad is not None
        pre.append(float(layer.weight.grad.double().norm()))
        post.append(pre[-1])
    found = one(recorded(pre, post))
    assert (found.kind, found.steps, found.first_step) == ("not_applied", 2, 1)
    assert "before backward()" in found.sentence


def test_a_norm_just_above_the_threshold_is_clipped_and_no_mistake() -> None:
    c = 1.0
    pre = [c * (1 + d) for d in (1e-7, 1e-4, 1e-3, 9e-3, -0.5, -0.5, -0.5, -0.5, -0.5)]
    assert kinds(recorded(pre, [min(p, c) * (1 - 1e-6 * (p > c)) for p in pre])) == []


def test_by_value_a_norm_above_the_threshold_means_nothing() -> None:
    assert kinds(recorded([5.0, 6.0], [5.0, 6.0], "value:1.0")) == ["never_engaged"]


@pytest.mark.parametrize(("state", "words"), [("finished", "never engaged;"), ("running", "never engaged so far;")])
def test_a_rule_that_never_engaged_is_worth_a_word(state: str, words: str) -> None:
    found = one(replace(recorded([0.5, 0.25], [0.5, 0.25]), state=state))
    assert (found.kind, found.fault) == ("never_engaged", False)
    assert words in found.sentence
    assert "largest norm was 0.5" in found.sentence


@pytest.mark.parametrize(("clipped", "said"), [(1, []), (2, []), (3, ["engaged_often"]), (4, ["engaged_often"])])
def test_often_is_more_than_half_of_the_steps(clipped: int, said: list[str]) -> None:
    pre = [2.0] * clipped + [0.5] * (4 - clipped)
    assert kinds(recorded(pre, np.minimum(pre, 1.0).tolist())) == said


@pytest.mark.parametrize("clip", ["none", "", "norm:", "nonsense:3", "norm:x"])
def test_without_a_rule_there_is_nothing_to_say(clip: str) -> None:
    assert kinds(recorded([2.0, 3.0], [2.0, 3.0], clip)) == []


def test_before_the_first_step_there_is_nothing_to_say() -> None:
    assert kinds(recorded([], [])) == []


def test_over_seeds_each_kind_is_said_once_with_the_number_of_seeds() -> None:
    often = recorded([2.0, 3.0], [1.0, 1.0])
    never = recorded([0.5, 0.6], [0.5, 0.6])
    broken = recorded([2.0, 0.5, 0.4], [0.0, 0.5, 0.4])
    found = over_seeds(
        [replace(run, spec={**run.spec, "seed": s}) for s, run in enumerate([often, never, often, broken])]
    )
    assert [(event.kind, event.steps) for event in found] == [("erased", 1), ("engaged_often", 4), ("never_engaged", 0)]
    assert found[0].sentence.startswith("In 1 of 4 seeds (here seed 3): Clipping erased")
    assert found[1].sentence.startswith("In 2 of 4 seeds (here seed 0): ")
    assert over_seeds([often]) == events(often)


def test_an_event_is_strict_json() -> None:
    assert json.loads(dumps(one(recorded([2.0, 3.0], [1.0, 1.0])).to_json()))["kind"] == "engaged_often"
