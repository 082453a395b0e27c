"""The stop on image captioning."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from diagnostics.records import Run
from diagnostics.store import StoreError
from experiments.spec import Refusal
from models.captioning import Caption, Captioner, Gradients, caption
from models.sight import look
from tasks import scenes
from tasks.captions import END, START, T, random_scene, true_of
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.stop import Seen
from ui.learn.stops import captions as stop

SLUG = "captions"


def test_the_specs_are_every_way_of_looking_with_one_cell() -> None:
    specs = stop.specs({"cell": "gru", "looks": (1, 5, 8), "seed": 3})
    assert [(spec.gap, spec.cell, spec.seed, spec.task) for spec in specs] == [
        (gap, "gru", 3, "captions") for gap in (1, 5, 8)
    ]
    for few in ((), (8,)):
        with pytest.raises(Refusal, match=f"looks must have at least two values to compare, but got {len(few)}"):
            stop.specs({**stop.USUAL, "looks": few})


def test_networks_are_named_by_how_long_they_look() -> None:
    assert stop.names(stop.USUAL) == ["tanh · at every word", "tanh · only at <START>"]


def test_one_way_of_looking_is_refused_in_a_sentence(learn: Learn) -> None:
    app = learn(SLUG, looks="8")
    assert any("looks must have at least two values" in one.value for one in app.error)
    assert not app.exception


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, cell="cat", looks="1,77", seed="-4")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("cell", "looks", "seed"):
        assert f"In the address, {name} must be" in said
    assert not app.exception


def test_an_odd_seed_is_a_run_like_any_other(learn: Learn) -> None:
    app = learn(SLUG, seed=str(2**32 - 1), looks="1,5,8", cell="lstm")
    assert app.button(key=f"learn-{SLUG}-run").label == "Run 3 networks"


def runs(*successes: float) -> list[Run]:
    gaps = (1, 8) if len(successes) == 2 else (1, 5, 8)
    return [
        run_of(
            powers(0.9, 8, count=2),
            facts=facts_of(9, 8),
            run_id=f"r{gap}",
            spec={"cell": "tanh", "gap": gap},
            success=(0.0, share),
        )
        for gap, share in zip(gaps, successes, strict=True)
    ]


@pytest.mark.parametrize(
    ("successes", "place"),
    [((0.8, 0.2), 0), ((0.8, 0.75), 1), ((0.7, 0.79), 1), ((0.3, 0.9), 2), ((0.8, 0.1, 0.3), 0)],
)
def test_the_answer_compares_the_longest_with_the_shortest_look(successes: tuple[float, ...], place: int) -> None:
    assert stop.answer(stop.USUAL, runs(*successes)) == place


def test_what_to_see_has_the_runs_own_numbers() -> None:
    said = " ".join(stop.seen(stop.USUAL, runs(0.8, 0.25)))
    assert "80 % of the captions of new scenes" in said
    assert "25 %" in said
    assert "8 steps away" in said
    assert "80 % where it is looked at at every word and 25 %" in stop.why(stop.USUAL, runs(0.8, 0.25)).replace(
        "\\", ""
    )


# On the recorded example


def test_the_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    assert "As you predicted" in words(app)
    assert "The **CNN** was trained first" in words(app)


@pytest.mark.parametrize(("place", "least", "most"), [(0, 0.7, 1.0), (1, 0.05, 0.5)])
def test_the_examples_networks_caption_new_scenes_as_often_as_recorded(place: int, least: float, most: float) -> None:
    """From the kept weights, word by word fed back, on scenes that training never drew: 150 of them."""
    one = examples.seen(SLUG)[place]
    captioner = Captioner("tanh", one.weights(None), T - int(one.run.spec["gap"]))
    rng = np.random.default_rng(1)
    right = 0
    for _ in range(150):
        things = random_scene(rng)
        looked = look(captioner.weights, scenes.picture(things))
        right += caption(captioner, looked, start=START, end=END, longest=T).tokens in true_of(things)
    assert least <= right / 150 <= most
    recorded = float(one.run.records["eval_success"][-1])
    assert right / 150 == pytest.approx(recorded, abs=0.16), "the measure gives the true words so far, this does not"


def test_a_scene_is_captioned_and_another_one_on_a_click(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    first = _greedy(words(app))
    app.button(key=stop.key("random")).click().run()
    assert not app.exception
    assert _greedy(words(app)) != first


def _greedy(said: str) -> str:
    found = re.search(r"Greedily, the likeliest word each time:\s+\*\*(.*?)\*\*", said)
    assert found is not None
    return found[1]


def test_a_composed_scene_is_captioned(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    app.toggle(key=stop.key("compose")).set_value(True).run()
    app.selectbox(key=stop.key("shape-1")).set_value("nothing").run()
    app.selectbox(key=stop.key("colour-0")).set_value("green").run()
    app.selectbox(key=stop.key("place-0")).set_value("bottom right").run()
    assert not app.exception
    assert _greedy(words(app)) == "a green circle"
    assert "true of this picture" in words(app)


def test_two_things_in_one_place_are_refused_in_a_sentence(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    app.toggle(key=stop.key("compose")).set_value(True).run()
    app.selectbox(key=stop.key("place-1")).set_value("top left").run()
    assert any("Two things cannot be in the same place" in one.value for one in app.warning)
    assert not app.exception


def test_captions_are_drawn_at_a_temperature_and_again_on_a_click(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    app.slider(key=stop.key("temperature")).set_value(2.0).run()
    first = words(app)
    app.button(key=stop.key("again")).click().run()
    assert not app.exception
    assert words(app) != first


def test_by_which_look_a_words_gradient_came() -> None:
    features = np.zeros((5, 5, 2))
    features[4, 4], features[4, 1], features[3, 3] = (3.0, 4.0), (0.0, 5.0), (0.1, 0.0)
    found = Gradients(np.zeros((5, 3, 8, 8)), features)
    said = Caption((3, 4, 8, 14, 6), (1.0,) * 5, np.zeros((5, 16)))
    told = stop.ways(found, said)
    assert "“blue” hangs most on the picture: 50 %" in told
    assert stop.ways(Gradients(found.picture, features * 0), said) == ""
    assert stop.ways(Gradients(found.picture, features * np.nan), said) == ""


def test_the_other_network_can_be_asked(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    app.button_group(key=stop.key("network")).set_value(1).run()
    assert not app.exception
    assert "Greedily" in words(app)


def test_places_of_the_composer_are_whole_and_told_apart() -> None:
    assert len(stop.PLACES) == 9
    for x, y in stop.PLACES.values():
        assert stop._RADIUS < x < 31 - stop._RADIUS
        assert stop._RADIUS < y < 31 - stop._RADIUS
    one, other = (
        scenes.Thing("circle", "red", *stop.PLACES[name], stop._RADIUS) for name in ("top left", "top middle")
    )
    assert scenes.relations(one, other) == (0,)


def test_while_the_cnn_learns_that_is_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(stop.st, "caption", said.append)
    waiting = run_of(powers(0.9, 8, count=1), facts=facts_of(9, 8), run_id="r", spec={"cell": "tanh", "gap": 1})
    waiting = dataclasses.replace(waiting, state="running", detail="training the CNN")

    def none(step: int | None) -> dict[str, np.ndarray]:
        raise StoreError("there are none yet")

    stop.own(stop.USUAL, [Seen(waiting, none)])
    assert said == ["Now: training the CNN. As soon as the first weights are kept, scenes can be captioned here."]
