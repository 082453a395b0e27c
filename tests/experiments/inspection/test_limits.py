from typing import Any

import pytest

from experiments.inspection.asked import Asked
from experiments.inspection.compute import inspect
from experiments.inspection.limits import cannot, cannot_stored
from experiments.spec import Refusal, RunSpec
from experiments.train import Trainer


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"task": "order", "gap": 8, "model": "bag"}, "this run has none: its model is bag of words"),
        ({"task": "entities", "gap": 4, "bidirectional": True}, "this run's network reads in two"),
        ({"task": "entities", "gap": 4}, "those of this run's task differ"),
        ({"task": "translation", "gap": 8}, "a decoder takes over from an encoder"),
        ({"task": "captions", "gap": 3}, "also looks at pictures"),
        ({"task": "words", "gap": 5, "softmax": "nce"}, "this run's is nce"),
    ],
)
def test_a_run_that_cannot_be_looked_into_says_so_in_one_sentence(fields: dict[str, Any], why: str) -> None:
    spec = RunSpec.make(**fields)
    assert why in cannot(spec)
    assert cannot(spec).startswith("Inspect looks ")
    assert cannot_stored(spec.to_json()) == cannot(spec)
    with pytest.raises(Refusal) as refusal:
        inspect("r", spec, 0, {}, Asked(samples=1), lambda share, section: None)
    assert str(refusal.value) == cannot(spec)


@pytest.mark.parametrize(
    "fields", [{"task": "text", "gap": 3}, {"task": "words", "gap": 5}, {"task": "order", "gap": 8}]
)
def test_a_recurrence_of_the_lecture_is_looked_into_like_any_other(fields: dict[str, Any]) -> None:
    spec = RunSpec.make(**fields, hidden=4, embedding=3, batch=4, steps=2)
    assert cannot(spec) == ""
    found = inspect("r", spec, 0, Trainer(spec).weights(), Asked(samples=2), lambda share, section: None)
    assert found["bptt_sum_error"].max() < 1e-10
    assert found.timesteps == spec.timesteps


def test_a_spec_that_this_version_would_not_run_is_left_to_whoever_computes() -> None:
    assert cannot_stored({"task": "nothing"}) == ""
