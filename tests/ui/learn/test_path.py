"""What holds of every stop of the path."""

from __future__ import annotations

import re
from html import unescape

import pytest

from diagnostics.charts.gallery import FIGURES
from diagnostics.export.mathml import mathml
from diagnostics.store import StoreError
from experiments.keep import steps_to_keep
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import ask, examples, path
from ui.learn.exports import page
from ui.learn.make_examples import AT_MOST_BYTES
from ui.learn.panels import SHOWN
from ui.learn.stop import Seen
from ui.learn.uses import USES

STOPS = list(path.PATH)
ORDER = (
    "lengths", "order", "dependencies", "recurrence", "characters", "truncation", "directions", "translation",
    "captions", "ngram", "softmax", "cures",
)  # fmt: skip


def test_the_path_is_in_the_order_of_the_lecture() -> None:
    assert list(ORDER) == STOPS


@pytest.mark.parametrize("slug", STOPS)
def test_a_stop_says_who_it_is_in_few_words(slug: str) -> None:
    stop = path.load(slug)
    assert (stop.slug, stop.title) == (slug, path.PATH[slug])
    assert len(stop.text.split()) <= 130
    assert len(stop.question.split()) <= 40
    assert 2 <= len(stop.prediction.options) <= 6
    assert len(set(stop.prediction.options)) == len(stop.prediction.options)
    assert set(stop.figures) <= set(FIGURES)
    assert all(ask.written(value) is not None for value in stop.usual.values())


@pytest.mark.parametrize("slug", STOPS)
def test_its_example_is_of_its_usual_specs_and_small(slug: str) -> None:
    stop = path.load(slug)
    specs = [spec.to_json() for spec in stop.specs(stop.usual)]
    seen = examples.seen(slug)
    assert len(seen) == len(specs)
    untold = ("record_every", "eval_every")
    for one, spec in zip(seen, specs, strict=True):
        assert {k: v for k, v in one.run.spec.items() if k not in untold} == {
            k: v for k, v in spec.items() if k not in untold and k in one.run.spec
        }
        assert bool(stop.example_weights) == bool(_weights(one))
    if specs:
        assert sum(file.stat().st_size for file in (examples.FOLDER / slug).iterdir()) <= AT_MOST_BYTES
    for look in stop.looks:
        found = examples.inspection(slug, look)
        assert found is not None
        assert set(look.sections) <= set(found.sections)
        assert look.step in steps_to_keep(stop.specs(stop.usual)[look.place].steps, 1)


def _weights(one: Seen) -> bool:
    try:
        return bool(one.weights(None))
    except StoreError:
        return False


@pytest.mark.parametrize("slug", STOPS)
def test_nothing_is_shown_before_the_prediction_and_the_answer_after_it(learn: Learn, slug: str) -> None:
    stop = path.load(slug)
    app = learn(slug)
    assert app.title[0].value.endswith(stop.title)
    before = words(app)
    assert "What to see" not in before
    assert not app.expander or all("How to read" not in one.label for one in app.expander)
    runs = [one.run for one in examples.seen(slug)]
    came = stop.prediction.answer(stop.usual, runs)
    assert 0 <= came < len(stop.prediction.options)
    predict(app, slug, came)
    assert not app.warning, [one.value for one in app.warning]
    assert any(f"As you predicted: **{stop.prediction.options[came]}**" in one.value for one in app.success)
    assert "What to see" in words(app)
    assert app.query_params["stop"] == slug
    assert app.query_params["predicted"] == str(came + 1)


@pytest.mark.parametrize("slug", STOPS)
def test_another_prediction_is_kept_and_compared(learn: Learn, slug: str) -> None:
    stop = path.load(slug)
    runs = [one.run for one in examples.seen(slug)]
    came = stop.prediction.answer(stop.usual, runs)
    other = (came + 1) % len(stop.prediction.options)
    app = predict(learn(slug), slug, other)
    said = words(app)
    assert f"You predicted **{stop.prediction.options[other]}**" in said
    assert stop.prediction.options[came] in said


@pytest.mark.parametrize("slug", STOPS)
def test_its_report_has_the_question_the_outcome_and_every_figure(learn: Learn, slug: str) -> None:
    stop = path.load(slug)
    app = predict(learn(slug), slug, 0)
    charts = app.session_state[SHOWN].get(slug, {}) if SHOWN in app.session_state else {}
    runs = [one.run for one in examples.seen(slug)]
    html = page(stop, stop.usual, 0, runs, charts)
    assert html.count('class="plot"') >= len(charts) + len(stop.figures) * bool(runs)
    assert charts or stop.figures
    said = unescape(re.sub("<[^>]*>", "", html.partition("<main>")[2].partition("</main>")[0]))
    for part in (f"Predicted: {stop.prediction.options[0]}", "What to see"):
        assert part in said
    assert mathml(stop.equation) in html
    assert "**" not in said
    assert "\0" not in html


def test_every_use_of_the_lecture_is_named_with_its_wiring(learn: Learn) -> None:
    said = words(learn())
    for use in USES:
        assert f"**{use.name}**" in said
        assert use.wiring in said
    assert {use.stop for use in USES} <= set(STOPS)
