"""The stop on reading in both directions."""

from __future__ import annotations

import pytest

from diagnostics.records import Run
from tasks.entities import vocabulary
from tasks.typed import typed
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples
from ui.learn.panels import SHOWN
from ui.learn.stops import directions as stop

SLUG = "directions"
FIELD = f"learn-{SLUG}-sentence-4"


def test_the_specs_are_the_same_network_in_two_directions_and_in_one() -> None:
    two, one = stop.specs({"gap": 8, "cell": "lstm"})
    assert (two.bidirectional, one.bidirectional) == (True, False)
    assert two.changed(bidirectional=False) == one
    assert (one.task, one.gap, one.cell) == ("entities", 8, "lstm")


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, gap="7", cell="cat")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("gap", "cell"):
        assert f"In the address, {name} must be one of" in said


def test_the_sentence_of_each_gap_has_what_decides_just_there() -> None:
    assert set(stop.AT_GAP) == set(stop.GAPS)
    for gap, text in stop.AT_GAP.items():
        said = text.replace(",", " ,").replace(".", " .").split()
        assert said.index("lives") - said.index("Jordan") == gap
    for text in (*stop.AT_GAP.values(), *stop.SENTENCES):
        typed(text, vocabulary(), stop.MOST_WORDS)


def runs(two: float, one: float) -> list[Run]:
    return [
        run_of(
            powers(0.9, 12, count=2), facts=facts_of(13, 12), run_id=f"r-{both}", spec={"bidirectional": both},
            success=(0.5, share),
        )
        for both, share in ((True, two), (False, one))
    ]  # fmt: skip


@pytest.mark.parametrize(("two", "one", "place"), [(1.0, 1.0, 0), (0.97, 0.52, 1), (0.5, 0.95, 2), (0.6, 0.5, 3)])
def test_the_answer_is_what_happened(two: float, one: float, place: int) -> None:
    assert stop.answer(stop.USUAL, runs(two, one)) == place


def test_what_to_see_has_the_runs_own_numbers() -> None:
    some = runs(0.97, 0.52)
    assert "two directions gets 97 % right and reading in one 52 %" in stop.why(stop.USUAL, some)
    said = " ".join(stop.seen(stop.USUAL, some))
    assert "In **two directions** 97 % of those names are right, in **one direction** 52 %." in said
    assert "not enough" not in said
    assert "not enough" in " ".join(stop.seen(stop.USUAL, runs(0.6, 0.5)))


def test_the_recorded_example_tells_the_story_and_tags_a_sentence(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = words(app)
    assert "As you predicted" in said
    assert "Jordan, indeed, lives in Jordan" in app.text_input(key=FIELD).value
    assert said.count("<strong>person</strong>") >= 1
    assert said.count("<strong>location</strong>") >= 2
    assert "heard" in app.session_state[SHOWN][SLUG]


UNREAD = (
    ("Jordan livs in Munich", "“livs” is not among the"),
    ("", "must have at least one word"),
    ("<script>alert(1)</script>", "is not among the"),
    ("Jordan " * 41, "must have at most 40 words, but has 41"),
    ("\x00‮🙂", "is not among the"),
)


def test_what_it_cannot_read_is_told_in_a_sentence_and_another_answer_can_be_asked(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    for text, sentence in UNREAD:
        app.text_input(key=FIELD).set_value(text).run()
        assert not app.exception, app.exception
        assert sentence in " ".join(one.value.replace("\\", "") for one in app.warning)
    app.button_group(key=f"learn-{SLUG}-offered-4").set_value(stop.SENTENCES[1]).run()
    assert app.text_input(key=FIELD).value == stop.SENTENCES[1]
    assert "lies" in words(app)
    key = next(one.key for one in app.button_group if "answer" in str(one.key))
    for chosen in (3, None):
        app.button_group(key=key).set_value(chosen).run()
        assert not app.exception, app.exception


def test_weights_that_are_not_finite_are_told_and_break_nothing(monkeypatch: pytest.MonkeyPatch, learn: Learn) -> None:
    damaged = tuple(
        one._replace(weights=lambda step, one=one: {k: v * float("nan") for k, v in one.weights(step).items()})
        for one in examples.seen(SLUG)
    )
    monkeypatch.setattr(examples, "seen", lambda slug: damaged)
    app = predict(learn(SLUG), SLUG, 1)
    assert "not finite" in words(app)
