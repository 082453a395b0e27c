"""The stop on the softmax over V."""

from __future__ import annotations

import pytest

from experiments import timing
from experiments.spec import Refusal
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui import places
from ui.learn.stops import softmax as stop

SLUG = "softmax"


def test_the_specs_are_one_network_with_each_head() -> None:
    specs = stop.specs(stop.USUAL)
    assert [spec.softmax for spec in specs] == ["full", "adaptive", "hierarchical", "nce"]
    assert len({spec.changed(softmax="full").digest() for spec in specs}) == 1
    with pytest.raises(Refusal, match="heads must have at least one value"):
        stop.specs({**stop.USUAL, "heads": ()})


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    said = words(app)
    assert "As you predicted" in said
    assert "**full** 1 · **adaptive** 1 · **hierarchical** 1 · **noise-contrastive** " in said
    assert not app.error


def test_measuring_is_begun_and_its_points_are_shown(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    class Child:
        pid = 1

    monkeypatch.setattr(timing, "launch", lambda module, arguments, log: Child())
    monkeypatch.setattr(timing, "lives", lambda pid, spawned_s: True)
    app = predict(learn(SLUG), SLUG, 0)
    app.button(key=f"learn-{SLUG}-measure").click().run()
    assert not app.exception
    assert "Measuring: 0 of 16 points so far." in words(app)
    assert app.button(key=f"learn-{SLUG}-measure").disabled
    where = timing.folder(places.store())
    timing.tell(where, 1, 0.0, [("full", 100, 0.001)] * 16, "a machine", done=True)
    app.run()
    assert not app.button(key=f"learn-{SLUG}-measure").disabled


def test_the_recorded_times_are_of_every_kind_and_size() -> None:
    points, where = stop._recorded()
    assert len(points) == 16
    assert {kind for kind, *_ in points} == set(stop.HEADS)
    assert {size for _, size, _ in points} == set(timing.WORDS)
    assert "torch" in where
