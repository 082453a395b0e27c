"""The stop on the softmax over V."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tasks
from experiments import timing
from experiments.spec import Refusal
from experiments.train import train
from models.mass import mass
from tests.experiments.recording import Memory
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui import places
from ui.learn.panels import SHOWN
from ui.learn.stops import softmax as stop

SLUG = "softmax"


def test_the_specs_are_one_network_with_each_head() -> None:
    specs = stop.specs(stop.USUAL)
    assert [spec.softmax for spec in specs] == ["full", "adaptive", "hierarchical", "nce"]
    assert len({spec.changed(softmax="full").digest() for spec in specs}) == 1
    with pytest.raises(Refusal, match="heads must have at least one value"):
        stop.specs({**stop.USUAL, "heads": ()})


def test_noise_contrast_lags_behind_the_full_softmax_and_adds_up_to_about_one_without_a_sum_over_v() -> None:
    """Measured after 150 steps, seeds 0 to 2: 5.2 to 5.8 against 11.7 to 13.3, with a median sum of 1.3 to 1.5."""
    found, memory = [], Memory()
    for spec in stop.specs({"heads": ("full", "nce"), "steps": 150}):
        memory = Memory()
        found.append(math.exp(train(spec.changed(eval_every=150), memory).loss))
    full, nce = found
    assert 2 < full < nce - 3 < 17
    words = tasks.build("words", spec.gap).held_out(0, stop.CONTEXTS).inputs
    assert 0.7 < np.median(mass("nce", spec.cell, memory.weights[150], words)) < 2


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    said = words(app)
    assert "As you predicted" in said
    [times] = [one for one in app.session_state[SHOWN][SLUG].values() if one.key == "softmax-time"]
    assert "noise-contrastive: " in times.make("dark", "page")[1]
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
