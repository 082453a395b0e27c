"""The stop on truncated backpropagation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.records import Run
from diagnostics.store import Store
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words, write
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.stops import truncation as stop

SLUG = "truncation"
VALUES = {"gap": 20, "cell": "gru"}


def runs(*success: float) -> list[Run]:
    """The stop's runs with these successes, where guessing gives a half."""
    return [
        run_of(powers(0.9, 12, count=2), facts=facts_of(13, 12), spec=spec.to_json(), success=(0.5, share))
        for spec, share in zip(stop.specs(VALUES), success, strict=True)
    ]


def test_the_chunks_stand_on_both_sides_of_the_word() -> None:
    specs = stop.specs(VALUES)
    assert [spec.truncate for spec in specs] == [10, 20, 21, 40, None]
    assert {spec.timesteps for spec in specs} == {80}
    assert {spec.cell for spec in specs} == {"gru"}
    assert specs[stop.LOOK.place].truncate is None


@pytest.mark.parametrize(
    ("success", "place"),
    [
        ((0.9, 0.9, 0.9, 1.0, 1.0), 0),
        ((0.5, 0.52, 0.8, 1.0, 1.0), 1),
        ((0.5, 0.9, 0.8, 1.0, 1.0), 2),
        ((0.9, 0.9, 0.5, 1.0, 1.0), 2),
        ((0.5, 0.5, 0.6, 1.0, 1.0), 3),
        ((0.5, 0.5, 0.5, 0.5, 0.5), 3),
    ],
)
def test_the_answer_is_who_learned(success: tuple[float, ...], place: int) -> None:
    assert stop.answer(VALUES, runs(*success)) == place


def test_what_to_see_has_the_runs_own_numbers() -> None:
    some = runs(0.5, 0.52, 0.8, 0.97, 1.0)
    assert "A chunk of 20 steps ends one step after the word: 52 % right. One step more holds it: 80 %." in stop.why(
        VALUES, some
    )
    assert stop.seen(VALUES, some)[0] == (
        "Right answers by chunk length: chunks of 10: 50 %, chunks of 20: 52 %, chunks of 21: 80 %, chunks of 40: 97 % "
        "and whole sequence: 100 %; guessing gives 50 %."
    )


def test_the_example_has_memory_measured_and_the_cosine(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = words(app)
    assert any("As you predicted" in one.value for one in app.success)
    found = examples.inspection(SLUG, stop.LOOK)
    assert found is not None
    cosine = found["truncation_cosine"]
    assert np.all(np.diff(cosine) > 0)
    assert cosine[-1] == pytest.approx(1.0)
    full, cut = found["memory_full"], found["memory_truncated"]
    assert full[-1] / full[0] == pytest.approx(8, rel=0.2)  # in proportion to the length, which grows eightfold
    assert cut[-1] < 0.25 * full[-1]
    assert "From 10 to 80 timesteps the memory of one training step grows 7.5 times" in said


def test_a_run_that_cannot_be_looked_into_is_said(learn: Learn, store: Store) -> None:
    specs = [spec.to_json() for spec in stop.specs(stop.USUAL)]
    comparison, run_ids = store.create(specs, [f"r{n}" for n in range(5)], "Learn")
    for run_id, one in zip(run_ids, examples.seen(SLUG), strict=True):
        write(store, run_id, replace(one.run, id=run_id))
    app = learn(SLUG, comparison=comparison, predicted="2")
    assert any("could not be looked into" in one.value for one in app.info)
    assert any("As you predicted" in one.value for one in app.success)
