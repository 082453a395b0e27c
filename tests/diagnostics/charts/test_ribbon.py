import numpy as np
import pytest

from diagnostics.charts import ribbon
from diagnostics.charts.series import INFINITE, NAN, VALUE, ZERO
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import FRANCE, facts_of, france_facts, powers, run_of, story

FACTS = france_facts()
K = FACTS.loss_step


def test_each_word_has_the_gradient_of_its_own_timestep() -> None:
    prepared = ribbon.prepare([run_of(powers(0.9, K), facts=FACTS)])
    found = prepared.ribbons[0]
    steps = np.arange(len(FRANCE))
    np.testing.assert_array_equal(found.lag, K - steps)
    np.testing.assert_allclose(found.ratio, 0.9 ** (K - steps), rtol=1e-12)
    np.testing.assert_allclose(found.gradient, 0.1 * 0.9 ** (K - steps), rtol=1e-12)
    assert found.tokens[int(np.flatnonzero(found.informative)[0])] == "France"
    assert (found.kind == VALUE).all()


def test_the_remark_gives_the_number_of_the_informative_word() -> None:
    (found,) = ribbon.prepare([run_of(powers(0.5, K), facts=FACTS)]).ribbons
    assert found.remark == "France receives 1.5·10⁻¹¹ of the gradient at the loss"  # 0.5^36
    (found,) = ribbon.prepare([run_of(powers(1.5, K), facts=FACTS)]).ribbons
    assert found.remark == "France receives 2.2·10⁶ times the gradient at the loss"


@pytest.mark.parametrize(
    ("value", "kind", "remark"),
    [
        (0.0, ZERO, "France receives exactly 0"),
        (np.inf, INFINITE, "France receives an infinite gradient"),
        (np.nan, NAN, "France receives a gradient that is not a number"),
    ],
)
def test_what_has_no_place_on_a_log_scale_is_told_apart(value: float, kind: int, remark: str) -> None:
    profile = powers(0.9, K, 1)
    profile[:, 36] = value
    prepared = ribbon.prepare([run_of(profile, facts=FACTS)])
    (found,) = prepared.ribbons
    assert found.kind[8] == kind
    assert (np.delete(found.kind, 8) == VALUE).all()
    assert found.remark == remark
    texts = [text for trace in ribbon.draw(prepared).data if trace.text is not None for text in trace.text]
    assert f"<b>France {'▽▲✕'[kind - 1]}</b>" in texts


def test_without_a_gradient_at_the_loss_nothing_is_compared() -> None:
    profile = powers(0.9, K, 1)
    profile[:, 0] = 0.0
    (found,) = ribbon.prepare([run_of(profile, facts=FACTS)]).ribbons
    assert (found.kind[:-1] == NAN).all()
    assert found.kind[-1] == ZERO
    assert "nothing finite at the loss to compare it with" in found.remark


def test_the_slider_picks_the_nearest_profile() -> None:
    profile = np.vstack([powers(0.5, K, 10), powers(0.9, K, 10)])
    run = run_of(profile, facts=FACTS)
    early, late = (ribbon.prepare([run], at_step=step) for step in (0, None))
    assert early.origin.facts["training_steps"] == {run.id: 0}
    assert late.origin.facts["training_steps"] == {run.id: 199}
    assert early.ribbons[0].ratio[0] < late.ribbons[0].ratio[0]


def test_words_after_the_loss_have_what_was_recorded_there_exactly_nothing() -> None:
    facts = facts_of(9, 6)
    early = facts.__class__(**{**facts.__dict__, "loss_step": 6, "distance": 4})
    (found,) = ribbon.prepare([run_of(powers(0.9, 6), facts=early)]).ribbons
    assert list(found.kind) == [VALUE] * 7 + [ZERO, ZERO]


def test_a_run_without_profiles_shows_its_sentence_waiting() -> None:
    prepared = ribbon.prepare([run_of(np.empty((0, K + 1)), facts=FACTS, loss=np.empty(0), state="running")])
    assert prepared.ribbons[0].remark == "waiting for the first profile"
    assert (prepared.ribbons[0].kind == -1).all()
    ribbon.draw(prepared)


def test_a_run_that_was_stopped_before_its_first_profile_says_so() -> None:
    prepared = ribbon.prepare([run_of(np.empty((0, K + 1)), facts=FACTS, loss=np.empty(0), state="stopped")])
    assert prepared.ribbons[0].remark == "was stopped before its first profile"


def test_the_explosion_of_a_run_that_broke_is_seen() -> None:
    profile = powers(1.3, K, 20)
    profile[14:] = np.nan
    prepared = ribbon.prepare([run_of(profile, facts=FACTS, state="diverged", steps=20)])
    assert (prepared.ribbons[0].kind == VALUE).all()
    assert prepared.ribbons[0].remark.endswith("times the gradient at the loss")
    assert prepared.origin.caption.endswith("training step 13, the last with a finite gradient; nan from step 14")


def test_runs_that_have_said_nothing_make_an_informative_empty_figure() -> None:
    prepared = ribbon.prepare([Run("r-1", "x", "queued", {}, None, Records.empty())])
    figure = ribbon.draw(prepared)
    assert "Waiting" in figure.layout.annotations[0].text


def test_every_word_is_drawn_once_in_its_own_colour() -> None:
    prepared = ribbon.prepare(story())
    figure = ribbon.draw(prepared)
    words = [
        text.removeprefix("<b>").removesuffix("</b>").removesuffix(" ▽")
        for trace in figure.data
        if trace.text is not None
        for text in trace.text
    ]
    assert sorted(words) == sorted([token for found in prepared.ribbons for token in found.tokens])
    colours = np.concatenate([trace.marker.color for trace in figure.data if trace.marker.coloraxis])
    expected = np.concatenate([np.log10(found.ratio[found.kind == VALUE]) for found in prepared.ribbons])
    np.testing.assert_allclose(np.sort(colours), np.sort(expected), rtol=1e-6)


def test_a_long_sentence_shows_the_blocks_medians_in_its_strip() -> None:
    facts = france_facts(400)
    prepared = ribbon.prepare([run_of(powers(0.97, facts.loss_step), facts=facts)])
    strip = prepared.ribbons[0].layout.strips[0]
    figure = ribbon.draw(prepared)
    slivers = next(trace for trace in figure.data if trace.width == 0.34)
    first = slivers.customdata[0]
    block = prepared.ribbons[0].ratio[int(first[0]) : int(first[1]) + 1]
    assert first[2] == pytest.approx(np.median(block), rel=1e-6)
    assert slivers.customdata[-1][1] == strip.last
    assert any("steps without their text" in note.text for note in figure.layout.annotations)


def test_a_profile_of_nothing_but_nan_is_not_taken_for_none() -> None:
    (found,) = ribbon.prepare([run_of(np.full((1, K + 1), np.nan), facts=FACTS)]).ribbons
    assert found.remark == "France receives a gradient that is not a number"
    assert (found.kind == NAN).all()
