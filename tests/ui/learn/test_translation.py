"""The stop on translation."""

from __future__ import annotations

import pytest

from diagnostics.records import Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.panels import SHOWN
from ui.learn.stops import translation as stop

SLUG = "translation"
RIGHT = 3
"""The place of what comes out in the recorded example."""


def test_the_spec_is_what_the_controls_say() -> None:
    [spec] = stop.specs({"gap": 9, "cell": "lstm", "steps": 200})
    assert (spec.task, spec.gap, spec.cell, spec.steps) == ("translation", 9, "lstm", 200)


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, gap="8", cell="cat", steps="1e9")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("gap", "cell", "steps"):
        assert f"In the address, {name} must be one of" in said


def run(share: float) -> Run:
    return run_of(
        powers(0.9, 12, count=2), facts=facts_of(13, 12), spec={"cell": "gru", "hidden": 48}, success=(0, share)
    )


@pytest.mark.parametrize(("share", "place"), [(0.02, 0), (0.3, 1), (0.7, 2), (0.93, 3), (1.0, 3)])
def test_the_answer_is_what_happened(share: float, place: int) -> None:
    assert stop.answer(stop.USUAL, [run(share)]) == place


def test_what_to_see_has_the_run_s_own_numbers() -> None:
    said = " ".join(stop.seen(stop.USUAL, [run(0.93)]))
    assert "**93 %** of the held-out sentences are right" in said
    assert "12 steps earlier" in said
    assert "**28 %** of the last word's gradient arrives there" in said  # 0.9¹² = 0.282
    assert "one state of 48 numbers" in said
    assert "93 % of the sentences that it never saw" in stop.why(stop.USUAL, [run(0.93)])


def test_the_recorded_example_translates_the_lecture_s_sentence_that_it_never_saw(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, RIGHT)
    said = words(app)
    assert "As you predicted" in said
    assert "Hallo, ich bin Usman" in said.replace("\\", "")
    assert "It was never trained on this sentence; what it wrote is **right**, to the last word." in said
    assert "Teacher forcing and free running" in said
    assert {"bridge", "both-ways"} <= set(app.session_state[SHOWN][SLUG])


UNREAD = (
    ("I throw away the boat", "“boat” is not among the"),
    ("", "must have at least one word"),
    ("ich sehe das Buch", "“ich” is not among its English words"),
    ("<START> I see", "is not among"),
    ("I " * 17, "must have at most 16 words, but has 17"),
    ("🙂", "is not among the"),
)
READ = (
    ("the the the", "no sentence of its small grammar"),
    ("She says that I must throw away my old map today.", "only trained on sentences of up to 7 words"),
    ("She reads my old letter today", "what it wrote is"),
    ("Hello, I am Usman!", "what it wrote is **right**, to the last word"),
    ("Hello, I am Usman ?", "what it wrote is **right**, to the last word"),
)


def test_what_it_cannot_read_is_told_in_a_sentence_and_what_it_can_is_translated_and_judged(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, RIGHT)
    for text, sentence in UNREAD:
        app.text_input(key=f"learn-{SLUG}-sentence").set_value(text).run()
        assert not app.exception, app.exception
        assert sentence in " ".join(one.value.replace("\\", "") for one in app.warning)
        assert "both-ways" in app.session_state[SHOWN][SLUG], "the rest of the page stands"
    for text, sentence in READ:
        app.text_input(key=f"learn-{SLUG}-sentence").set_value(text).run()
        assert not app.exception, app.exception
        assert not app.warning
        assert sentence in words(app)
    key = next(one.key for one in app.button_group if "answer" in str(one.key))
    app.button_group(key=key).set_value(0).run()
    assert not app.exception, app.exception


def test_a_sentence_to_try_is_put_into_the_field(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, RIGHT)
    app.button_group(key=f"learn-{SLUG}-offered").set_value(stop.SENTENCES[1]).run()
    assert app.text_input(key=f"learn-{SLUG}-sentence").value == stop.SENTENCES[1]
    assert "heute das Buch weg" in words(app)


def test_weights_that_are_not_finite_are_told_and_break_nothing(monkeypatch: pytest.MonkeyPatch, learn: Learn) -> None:
    damaged = tuple(
        one._replace(weights=lambda step, one=one: {k: v * float("nan") for k, v in one.weights(step).items()})
        for one in examples.seen(SLUG)
    )
    monkeypatch.setattr(examples, "seen", lambda slug: damaged)
    app = predict(learn(SLUG), SLUG, RIGHT)
    assert "not finite" in words(app)
