"""Verdicts of networks that read in two directions, or take in all positions at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from diagnostics.charts import heatmap, profile, ribbon
from diagnostics.charts.palette import styles
from diagnostics.measures.profile import bands_by_lag
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Records, Run, TaskFacts
from tests.diagnostics.charts.samples import facts_of

T, LOSS = 12, 4
WORDS = ("Then", "we", "saw", "how", "Jordan", "now", "and", "then", "lives", "in", "Jordan", ".")
AHEAD = replace(facts_of(T, 1), tokens=WORDS, loss_step=LOSS, distance=-4, informative_steps=(8,))
"""“lives” comes four steps after the name that it decides on."""


def run_of(values: list[float], facts: TaskFacts, success: float = 0.5, **spec: Any) -> Run:
    """A run of ten profiles whose medians are ``values`` at each timestep."""
    medians = np.tile(np.array(values), (10, 1, 1))
    banded = np.stack([medians, medians, medians], axis=-1)
    steps = np.arange(10)
    columns = {
        "step": steps,
        "loss": np.ones(10),
        "profile_step": steps,
        "answer_grad": banded,
        "state_grad": banded,
        "eval_step": np.array([10]),
        "eval_success": np.array([success]),
    }
    return Run("r-1", "r", "finished", {"steps": 10, "cell": "tanh", **spec}, facts, Records(columns))


def two_sided(behind: float, ahead: float) -> list[float]:
    return [behind ** (LOSS - t) if t < LOSS else ahead ** (t - LOSS) for t in range(T)]


def judged(values: list[float], **more: Any) -> Verdict:
    return verdict(run_of(values, AHEAD, **more))


def test_what_decides_after_the_answer_is_looked_for_ahead_of_it() -> None:
    found = judged(two_sided(0.1, 0.5), bidirectional=True)
    assert (found.kind, found.of, found.reach) == ("reaches", 7, 7)
    assert found.informative_grad == pytest.approx(0.5**4)
    assert found.decay == pytest.approx(0.5)
    assert "“lives”, 4 steps ahead, gets 0.062 of it" in found.sentence
    faded = judged(two_sided(1.0, 0.1), bidirectional=True)
    assert (faded.kind, faded.reach) == ("vanishing", 3)
    exploded = judged(two_sided(1.0, 10.0), bidirectional=True)
    assert exploded.kind == "exploding"
    assert "at “lives”, 4 steps ahead" in exploded.sentence


def test_a_network_in_one_direction_cannot_know_what_comes_later_and_is_told_so() -> None:
    found = judged(two_sided(0.9, 0.0))
    assert found.kind == "vanishing"
    assert found.sentence == (
        "Vanishing: “lives” comes 4 steps after the answer, and a network that reads in one direction has not read it "
        "then: it gets exactly nothing of it; success 50 % against 50 % by chance."
    )
    assert found.advice == (
        "Read in two directions: what decides comes after the answer, where one direction has not been yet.",
    )


@pytest.mark.parametrize(("success", "says"), [(0.52, "That does not mean learned"), (0.99, "")])
def test_without_recurrence_there_is_no_way_through_time_to_speak_of(success: float, says: str) -> None:
    facts = replace(facts_of(T, 6), tokens=WORDS)
    found = verdict(run_of([1.0] * T, facts, success, model="bag"))
    assert found.kind == "reaches"
    assert "takes in all positions at once, with no way through time" in found.sentence
    assert "“now”, 6 steps back, gets all of it" in found.sentence
    assert ("That does not mean learned" in found.sentence) == bool(says)
    assert [said.split()[0] for said in found.advice] == (["Compare"] if says else [])


def test_lags_can_be_counted_ahead() -> None:
    run = run_of(two_sided(0.5, 0.25), AHEAD)
    back, ahead = (bands_by_lag(run.records, LOSS, ahead=way).median[0] for way in (False, True))
    np.testing.assert_array_equal(back, 0.5 ** np.arange(LOSS + 1))
    np.testing.assert_array_equal(ahead, 0.25 ** np.arange(T - LOSS))


def test_the_figures_show_both_sides_of_the_loss() -> None:
    values = two_sided(0.5, 0.25)
    run = run_of(values, AHEAD, bidirectional=True)
    (line,) = profile.prepare([run]).lines
    assert (line.ahead, line.distance, line.word) == (True, 4, "“lives”")
    np.testing.assert_array_equal(line.median, 0.25 ** np.arange(T - LOSS))
    assert "lives" in profile.describe(profile.prepare([run]))
    figure = profile.draw(profile.prepare([run]))
    assert "towards what the answer depends on" in figure.layout.xaxis.title.text
    assert any("“lives”</b>, 4 ahead" in (note.text or "") for note in figure.layout.annotations)
    behind = run_of([1.0] * T, replace(facts_of(T, 6), tokens=WORDS))
    both = profile.draw(profile.prepare([run, replace(behind, id="r-2")]))
    texts = [note.text or "" for note in both.layout.annotations]
    assert sum("4 ahead" in text for text in texts) == sum("6 back" in text for text in texts) == 1
    (found,) = ribbon.prepare([run]).ribbons
    np.testing.assert_allclose(found.ratio, values)
    assert found.remark.startswith("“lives” receives 0.0039 of the gradient")
    mapped = heatmap.prepare([run])
    np.testing.assert_allclose(mapped.ratio[0], values)
    assert heatmap.draw(mapped).layout.xaxis.title.text == "timestep (the loss is at 4)"


def test_a_network_without_recurrence_has_a_colour_of_its_own() -> None:
    runs = [run_of([1.0] * T, AHEAD, model=model) for model in ("recurrent", "bag", "convolution")]
    assert len({style.colour for style in styles(runs)}) == 3
