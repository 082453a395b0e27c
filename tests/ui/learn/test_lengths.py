"""The stop on variable lengths: what it claims, on the networks that it trains, and its page."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from diagnostics.records import Run
from experiments.spec import RunSpec
from experiments.train import train
from models.answers import answers, hangs_on
from tasks.sentiment import COUNTING_CEILING, LINEAR_CEILING, Sentiment, overhead
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.experiments.recording import Memory
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.panels import SHOWN
from ui.learn.stop import Seen
from ui.learn.stops import lengths as stop
from ui.words import percent

torch.set_num_threads(1)
SLUG = "lengths"


def test_the_specs_are_the_three_networks_on_one_task() -> None:
    made = stop.specs({"gap": 4, "front": 2, "cell": "lstm"})
    assert [(spec.model, spec.cell) for spec in made] == [
        ("feedforward", "tanh"),
        ("convolution", "tanh"),
        ("recurrent", "lstm"),
    ]
    assert {(spec.task, spec.gap, spec.length) for spec in made} == {("sentiment", 4, overhead(4) + 2)}


# What it claims, on networks that were trained as it trains them


@cache
def trained(spec: RunSpec) -> Seen:
    memory = Memory()
    outcome = train(spec, memory)
    run = Run("r", spec.label(), outcome.state, spec.to_json(), memory.facts, memory.records, outcome.detail)
    return Seen(run, lambda step=None: memory.weights[max(memory.weights)])


@pytest.fixture(scope="module", params=[0, 1])
def three(request: pytest.FixtureRequest) -> list[Seen]:
    """The stop's networks with a seed: its own, and another."""
    return [trained(spec.changed(seed=request.param)) for spec in stop.specs(stop.USUAL)]


def shares(one: Seen, front: int) -> tuple[float, float]:
    """Right on held-out sentences as in training, and moved, by NumPy."""
    spec, task = one.run.spec, Sentiment(8, overhead(8) + front, "many-to-one")
    assert task.length == spec["length"]
    plain = task.batch(np.random.default_rng(99), 512)
    later = task.moved(np.random.default_rng(1), plain, front)
    found = [
        answers(str(spec["model"]), str(spec["cell"]), one.weights(None), batch.inputs, batch.lengths)
        for batch in (plain, later)
    ]
    return task.success(found[0], plain), task.success(found[1], later)


def test_moved_by_a_word_the_feed_forward_net_guesses_and_the_two_others_do_not(three: list[Seen]) -> None:
    feedforward, convolution, recurrent = (shares(one, 1) for one in three)
    assert min(feedforward[0], convolution[0], recurrent[0]) > 0.97, "all know the sentences where they were trained"
    assert min(convolution[1], recurrent[1]) > 0.97
    assert 0.4 < feedforward[1] < 0.6
    runs = [one.run for one in three]
    assert [run.records["eval_success"][-1] > 0.97 for run in runs] == [False, True, True]
    assert 0.4 < runs[0].records["eval_success"][-1] < 0.6
    assert stop.answer(stop.USUAL, runs) == 1


def test_behind_the_end_every_recorded_gradient_is_exactly_zero_and_before_it_none(three: list[Seen]) -> None:
    for one in three:
        facts = one.run.facts
        assert facts is not None
        gradient = one.run.records["input_grad"]
        behind = gradient[:, facts.loss_step + 1 :]
        assert behind.shape[1] == 5
        assert (behind == 0).all()
        assert (gradient[:, : facts.loss_step + 1, 1] > 0).all()
    said = stop.seen(stop.USUAL, [one.run for one in three])
    assert "At the 5 positions behind the end of the sentence the gradient was **exactly 0** in every" in said[-1]


def test_no_bit_of_an_answer_hangs_on_padding_and_it_does_on_what_decides(three: list[Seen]) -> None:
    task = Sentiment(8, overhead(8) + 1, "many-to-one")
    words, length = task.said(stop.LECTURE)
    for one in three:
        spec = one.run.spec
        found = hangs_on(str(spec["model"]), str(spec["cell"]), one.weights(None), words, length)
        assert (found[length:] == 0).all()
        assert (found[list(task.deciding(words))] > 1e-3).all()
        score = answers(str(spec["model"]), str(spec["cell"]), one.weights(None), words[:, None], np.array([length]))
        assert score[0].argmax() == 0, "negative"


def test_moved_by_two_words_the_feed_forward_net_still_knows_most() -> None:
    one = trained(stop.specs({**stop.USUAL, "front": 2})[0])
    before, after = shares(one, 2)
    assert before > 0.97
    assert 0.75 < after < 0.97
    assert "Moved by an even number of words" in stop.seen({**stop.USUAL, "front": 2}, [one.run])[-1]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bag_of_words_stays_below_its_ceiling(seed: int) -> None:
    spec = stop.specs({**stop.USUAL, "front": 0})[0].changed(model="bag", seed=seed)
    success = trained(spec).run.records["eval_success"]
    assert success.max() < LINEAR_CEILING + 3 * (LINEAR_CEILING * (1 - LINEAR_CEILING) / 512) ** 0.5
    assert LINEAR_CEILING < COUNTING_CEILING < 0.97


# What is said of it


def runs(*success: float, loss: float = 0.01) -> list[Run]:
    specs = [("feedforward", "tanh"), ("convolution", "tanh"), ("recurrent", "gru")]
    return [
        run_of(
            powers(0.9, 12, count=2), facts=facts_of(13, 12), run_id=f"r-{model}",
            spec={"model": model, "cell": cell}, success=(0.5, share),
        )
        for (model, cell), share in zip(specs, success, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("success", "place"),
    [
        ((1.0, 1.0, 1.0), 0),
        ((0.5, 1.0, 0.98), 1),
        ((0.5, 0.6, 0.98), 2),
        ((0.5, 1.0, 0.5), 3),
        ((1.0, 0.5, 1.0), 3),
        ((math.nan, math.nan, math.nan), 3),
    ],
)
def test_the_answer_is_what_happened(success: tuple[float, ...], place: int) -> None:
    assert stop.answer(stop.USUAL, runs(*success)) == place


def test_the_words_have_the_runs_own_numbers() -> None:
    said = stop.why({**stop.USUAL, "front": 3}, runs(0.5, 1.0, 0.98))
    assert "moved by 3 words: feed-forward 50 %, convolution 100 % and GRU 98 %, where guessing gives 50 %" in said


# Its page


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, gap="7", front="99", cell="cat")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("gap", "front", "cell"):
        assert f"In the address, {name} must be one of" in said
    assert not app.exception


def test_the_address_fills_the_controls(learn: Learn) -> None:
    app = learn(SLUG, gap="12", front="0", cell="lstm")
    assert app.session_state[f"learn-{SLUG}-gap"] == 12
    assert (app.query_params["gap"], app.query_params["front"], app.query_params["cell"]) == ("12", "0", "lstm")
    assert app.button(key=f"learn-{SLUG}-run").label == "Run 3 networks"


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = words(app)
    assert "As you predicted" in said
    assert "**exactly 0**" in said
    assert set(app.session_state[SHOWN][SLUG]) == {"padding", "moved"}
    assert not app.warning


def drawn(app: object, key: str) -> str:
    """What a chart of the page shows, in words."""
    return str(app.session_state[SHOWN][SLUG][key].make("light", "page")[1])  # type: ignore[attr-defined]


def test_its_charts_say_so_too(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = drawn(app, "padding")
    assert said.count("exactly 0 at all 12 positions of padding") == 3
    assert said.count("exactly 0 at all 11 positions of padding") == 3
    assert said.count("negative") >= 5, "all three on the sentence, two of them on the moved one"
    measured = percent(examples.seen(SLUG)[0].run.records["eval_success"][-1])
    said = drawn(app, "moved")
    assert f"feed-forward: 100 % right, {measured} moved by one word" in said, "as the run itself recorded it"
    assert "GRU: 100 % right, 100 % moved by one word" in said


def test_a_sentence_can_be_tried_and_what_is_not_known_is_said(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    box = app.text_input(key=f"learn-{SLUG}-sentence")
    box.set_value("Nobody really hated that film.").run()
    assert not app.warning
    assert "positive" in drawn(app, "padding")
    for wrong, rule in (
        ("there is nothing to eat", "but got 'eat'"),
        ("", "a sentence must have from 1 to 20 words"),
        ("\U0001f600 <script>", "Every word must be one that the network was trained on"),
        ("like " * 39, "but got 39"),
    ):
        app.text_input(key=f"learn-{SLUG}-sentence").set_value(wrong).run()
        assert rule.lower() in " ".join(one.value for one in app.warning).replace("\\", "").lower()
        assert not app.exception
        assert "negative" in drawn(app, "padding"), "the lecture's sentence instead"


def test_while_nothing_is_kept_yet_the_charts_wait() -> None:
    example = examples.seen(SLUG)[0]
    assert stop._weights(example) is not None
    shown, refusal = stop._sentences(stop.USUAL, stop.LECTURE)
    assert not refusal
    figure, said = stop._padding(stop.USUAL, [example], {}, shown, "light", "page")
    assert "Waiting" in said
    assert "Waiting" in stop._before_and_after(stop.USUAL, [example], {}, "dark", "page")[1]
    assert figure.layout.height


def test_what_a_diverged_run_kept_is_drawn_as_what_it_is() -> None:
    some = examples.seen(SLUG)
    broken = {i: {name: np.full_like(w, np.nan) for name, w in one.weights(None).items()} for i, one in enumerate(some)}
    shown, _ = stop._sentences(stop.USUAL, stop.LECTURE)
    figure, said = stop._padding(stop.USUAL, some, broken, shown, "light", "page")
    assert "✕" in {text for trace in figure.data for text in trace.text}
    assert "–" in said
    assert "feed-forward: 0 % right" in stop._before_and_after(stop.USUAL, some, broken, "light", "page")[1]
    lost = [replace(one.run, state="diverged", detail="diverged at step 3: the loss is nan") for one in some]
    assert "**GRU** diverged: diverged at step 3" in " ".join(stop.seen(stop.USUAL, lost))
