"""The stop on order: what it claims, on the networks that it trains, and its page."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diagnostics.records import Array, Run
from experiments.making import build, task_of
from experiments.spec import Refusal, RunSpec
from experiments.train import train
from models.answers import answers
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.experiments.recording import Memory
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.panels import SHOWN
from ui.learn.stops import order as stop

torch.set_num_threads(1)
SLUG = "order"


def test_the_specs_are_the_bag_and_what_is_chosen_beside_it() -> None:
    made = stop.specs({"gap": 16, "beside": ("tanh", "convolution")})
    assert [(spec.model, spec.cell, spec.gap) for spec in made] == [
        ("bag", "tanh", 16),
        ("recurrent", "tanh", 16),
        ("convolution", "tanh", 16),
    ]
    with pytest.raises(Refusal, match=r"^beside must have at least one value, but got none$"):
        stop.specs({"gap": 8, "beside": ()})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("gap", [4, 8])
def test_a_bag_is_right_on_exactly_half_and_a_recurrent_network_on_all(gap: int, seed: int) -> None:
    for spec in stop.specs({"gap": gap, "beside": ("gru", "tanh", "lstm")}):
        memory = Memory()
        train(spec.changed(seed=seed), memory)
        success = memory.records["eval_success"]
        if spec.model == "bag":
            assert (success == 0.5).all(), "at every measurement, trained or not"
            assert memory.records["eval_loss"].min() > math.log(2) - 1e-6
        else:
            assert success[-1] > 0.99
        one, other = in_numpy(spec, memory)
        assert (one.tobytes() == other.tobytes()) == (spec.model == "bag"), "bit for bit"
        if spec.model == "bag":
            one, other = in_torch(spec, memory)
            assert one.tobytes() == other.tobytes()


def in_numpy(spec: RunSpec, memory: Memory) -> tuple[Array, Array]:
    """The scores of held-out sentences, and of their pairs, as the page computes them."""
    found = answers(str(spec.model), spec.cell, memory.weights[spec.steps], task_of(spec).held_out(3, 256).inputs)
    return found[::2], found[1::2]


def in_torch(spec: RunSpec, memory: Memory) -> tuple[Array, Array]:
    """The same as training computes them, in float32."""
    task = task_of(spec)
    network = build(spec, task, seed=0)
    kept = {name: torch.from_numpy(np.array(value)) for name, value in memory.weights[spec.steps].items()}
    network.load_state_dict(kept)
    with torch.no_grad():
        found = network(torch.from_numpy(task.held_out(3, 256).inputs)).outputs.numpy()
    np.testing.assert_allclose(found[::2], in_numpy(spec, memory)[0], rtol=1e-4, atol=1e-5)
    return found[::2], found[1::2]


# What is said of it


def runs(*success: float) -> list[Run]:
    specs = [("bag", "tanh"), ("recurrent", "gru")]
    return [
        run_of(
            powers(0.9, 12, count=2), facts=facts_of(13, 12), run_id=f"r-{model}",
            spec={"model": model, "cell": cell, "steps": 150}, success=(0.5, share),
        )
        for (model, cell), share in zip(specs, success, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(("bag", "place"), [(1.0, 0), (0.7, 1), (0.5, 2), (0.498, 3)])
def test_the_answer_is_what_the_bag_got_right(bag: float, place: int) -> None:
    assert stop.answer(stop.USUAL, runs(bag, 1.0)) == place


def test_the_words_have_the_runs_own_numbers() -> None:
    some = runs(0.5, 0.97)
    assert "bag of words 50 % and GRU 97 %" in stop.why(stop.USUAL, some)
    assert stop.seen(stop.USUAL, some)[1] == "**GRU** reads the words one after the other: 97 % right."
    assert "has not learned to: 55 % right" in stop.seen(stop.USUAL, runs(0.5, 0.55))[1]


# Its page


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, gap="7", beside="cat,gru")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("gap", "beside"):
        assert f"In the address, {name} must be one of" in said
    assert not app.exception


def test_without_a_network_beside_it_says_so(learn: Learn) -> None:
    app = learn(SLUG)
    app.button_group(key=f"learn-{SLUG}-beside").set_value([]).run()
    assert any("beside must have at least one value" in one.value for one in app.error)
    assert not app.exception


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 2)
    assert "As you predicted: **Exactly half of them**" in words(app)
    charts = app.session_state[SHOWN][SLUG]
    assert list(charts) == ["side-by-side", "pairs"]
    beside, every = (charts[key].make("dark", "page")[1] for key in ("side-by-side", "pairs"))
    assert beside.count("the same number to the last bit") == 1
    assert "“Bear falls into market territory" in beside
    assert "bag of words: 256 of 256 pairs equal bit for bit, 50 % right" in every
    assert "GRU: 0 of 256 pairs equal bit for bit, 100 % right" in every


def test_what_a_diverged_run_kept_is_drawn_as_what_it_is() -> None:
    some = examples.seen(SLUG)
    broken = {i: {name: np.full_like(w, np.nan) for name, w in one.weights(None).items()} for i, one in enumerate(some)}
    assert "trading" in stop._side_by_side(stop.USUAL, some, broken, "light", "page")[1]
    assert "GRU: " in stop._every_pair(stop.USUAL, some, broken, "light", "page")[1]
    for draw in (stop._side_by_side, stop._every_pair):
        assert "Waiting" in draw(stop.USUAL, some, {}, "dark", "page")[1]
