import json
import math
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.measures.advice import bias_for, time_scale
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import facts_of, france_facts, powers, run_of

FACTS = facts_of(length=45, distance=40)  # d = 40 of K = 44 steps


def judge(alpha: float, **more: object) -> Verdict:
    return verdict(run_of(powers(alpha, 44), facts=FACTS, **more))


@pytest.mark.parametrize(
    ("alpha", "kind"),
    [
        (0.5, "vanishing"),
        (0.01 ** (1 / 39.5), "reaches"),  # falls below 1 % at step 40 = d
        (0.01 ** (1 / 38.5), "vanishing"),  # at step 39
        (1.0, "reaches"),
        (100 ** (1 / 40.5), "reaches"),  # within d it stays below 100 ×
        (100 ** (1 / 39.5), "exploding"),
        (3.0, "exploding"),
    ],
)
def test_the_kind_follows_the_profile(alpha: float, kind: str) -> None:
    assert judge(alpha).kind == kind


def test_growth_beyond_the_informative_step_is_not_exploding() -> None:
    profile = np.ones((10, 45))
    profile[:, 41:] = 1e6
    assert verdict(run_of(profile, facts=FACTS)).kind == "reaches"


def test_a_profile_that_falls_and_then_explodes_is_exploding() -> None:
    profile = np.ones((10, 45))
    profile[:, 5], profile[:, 20] = 1e-4, 1e4
    found = verdict(run_of(profile, facts=FACTS))
    assert (found.kind, found.reach) == ("exploding", 5)


def test_divergence_comes_before_everything_else() -> None:
    assert judge(3.0, state="diverged").kind == "diverged"
    loss = np.full(40, 2.0)
    loss[-1] = np.nan
    running = judge(0.5, state="running", loss=loss)
    assert running.kind == "diverged"
    assert "at training step 39" in running.sentence


def test_the_numbers_are_those_of_the_closed_form() -> None:
    found = judge(0.61)
    assert (found.reach, found.of) == (10, 44)
    assert found.decay == pytest.approx(0.61, rel=1e-9)
    assert found.half_life_steps == pytest.approx(math.log(0.5) / math.log(0.61), rel=1e-9)
    assert found.informative_grad == pytest.approx(0.61**40, rel=1e-9)


def test_only_the_last_tenth_counts() -> None:
    profile = np.vstack([powers(0.5, 44, 18), powers(1.0, 44, 2)])
    assert verdict(run_of(profile, facts=FACTS)).kind == "reaches"


def test_golden_sentence_vanishing() -> None:
    found = verdict(
        run_of(powers(0.61, 44), facts=replace(france_facts(40), loss_step=44, tokens=_words(45)), success=[0.08])
    )
    assert found.sentence == (
        "Vanishing: the gradient falls below 1 % of its value at the loss after 10 of 44 steps (× 0.61 per step, "
        "half-life 1.4 steps), so France, 40 steps back, gets 2.6·10⁻⁹ of it; success 8 % against 8 % by chance."
    )
    assert found.headline == "Vanishing"


def test_golden_sentence_reaches() -> None:
    found = judge(0.99, success=[0.4, 1.0])
    assert found.sentence == (
        "Reaches: the gradient never falls below 1 % of its value at the loss in 44 steps (× 0.99 per step, half-life "
        "69 steps), so “E”, 40 steps back, gets 0.67 of it; success 100 % against 50 % by chance."
    )


def test_golden_sentence_exploding() -> None:
    assert judge(1.25, success=[0.5]).sentence == (
        "Exploding: the gradient grows to 7500 times its value at the loss at “E”, 40 steps back (× 1.25 per step); "
        "success 50 % against 50 % by chance."
    )


def test_golden_sentence_diverged() -> None:
    loss = np.append(np.full(9, 3.0), np.inf)
    assert judge(1.25, state="diverged", loss=loss).sentence == (
        "Diverged: the loss was no longer a finite number at training step 9; in the last profiles before that the "
        "gradient rose to 7500 times its value at the loss 40 steps back (× 1.25 per step)."
    )


def test_odd_combinations_are_told_as_they_are() -> None:
    assert "The task is solved all the same" in judge(0.5, success=[1.0]).sentence
    assert judge(1.0, success=[0.5]).sentence.endswith(
        "Reaches does not mean learned: success is not yet far above chance."
    )
    assert judge(1.0, success=[0.8]).sentence.endswith("Reaches does not mean learned: the task is not solved yet.")
    assert judge(1.25, success=[1.0]).sentence.endswith("The task is solved all the same.")
    assert "success" not in judge(0.5).sentence


def test_a_run_whose_parameters_broke_under_a_finite_loss_is_not_said_to_have_met_another() -> None:
    said = judge(1.25, state="diverged", loss=np.full(9, 3.0)).sentence
    assert said.startswith("Diverged: the update of training step 8 left parameters that are not finite numbers; ")
    assert "loss was no longer" not in said


def test_what_diverges_before_its_first_update_is_not_blamed_on_the_learning_rate() -> None:
    loss = np.array([np.nan])
    spec = {"cell": "relu", "clip": "none", "learning_rate": 5.0}
    said = " ".join(judge(1.25, state="diverged", loss=loss, spec=spec).advice)
    assert "before the first update" in said
    assert "learning rate of" not in said


def test_a_value_that_is_not_a_number_at_the_end_is_not_said_to_fall() -> None:
    profile = powers(0.95, 44)
    profile[:, 44] = np.nan
    found = verdict(run_of(profile, facts=facts_of(45, 44)))
    assert (found.kind, found.reach) == ("reaches", 44)
    assert "never falls below 1 %" in found.sentence


def test_a_fall_at_the_very_first_timestep_is_not_never_below() -> None:
    falls = judge(0.01 ** (1 / 43.5))
    assert (falls.reach, falls.of, falls.never_below) == (44, 44, False)
    assert "only after 44 of 44 steps" in falls.sentence
    stays = judge(0.01 ** (1 / 44.5))
    assert (stays.reach, stays.of, stays.never_below) == (44, 44, True)


def test_which_profile_the_numbers_are_of_is_said() -> None:
    plain = run_of(powers(0.99, 44), facts=FACTS)
    assert "layer" not in verdict(plain).sentence
    columns = dict(plain.records)
    stacked = {name: np.concatenate([columns[name]] * 2, axis=1) for name in ("state_grad", "grad_h", "state_norm")}
    stacked["state_grad"][:, 0] *= 1e-3 ** np.arange(45)[:, None]
    deep = replace(plain, records=Records({**columns, **stacked, "saturated": stacked["state_norm"]}))
    assert "Read from the top layer of 2." in verdict(deep).sentence
    assert verdict(deep).informative_grad == pytest.approx(0.99**40)
    many = replace(plain, records=Records({**columns, "answer_grad": columns["state_grad"]}))
    assert "Read from the last answer's loss alone." in verdict(many).sentence


@pytest.mark.parametrize("clip", ["norm:1.0", "value:0.1", "none"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_clipping_is_never_said_to_set_the_size_of_an_update(clip: str, alpha: float) -> None:
    spec = {"cell": "tanh", "clip": clip, "init": "torch", "optimizer": "adam"}  # Adam divides the length out again
    said = " ".join(judge(alpha, success=[0.1], spec=spec, pre=np.full(200, 9.0)).advice)
    assert "size of" not in said
    assert "bounds the update" not in said


def test_exact_zeros_are_counted_and_left_out_of_the_rate() -> None:
    profile = powers(0.5, 44)
    profile[:, 30:] = 0.0
    found = verdict(run_of(profile, facts=FACTS))
    assert found.informative_grad == 0.0
    assert found.decay == pytest.approx(0.5)
    assert "gets exactly nothing of it" in found.sentence
    assert "At 15 steps the gradient is exactly 0; the fitted rate leaves those out." in found.sentence


@pytest.mark.parametrize(
    ("value", "words", "json_value"), [(np.inf, "the gradient is infinite at", "inf"), (np.nan, "not a number", "nan")]
)
def test_values_that_are_not_finite_are_said_and_kept(value: float, words: str, json_value: str) -> None:
    profile = powers(0.9, 44)
    profile[:, 40] = value
    found = verdict(run_of(profile, facts=FACTS))
    assert words in found.sentence
    assert found.to_json()["informative_grad"] == json_value
    assert found.kind == ("exploding" if value == np.inf else "reaches")


def test_a_solved_tasks_zero_loss_gradient_does_not_hide_the_verdict() -> None:
    profile = powers(0.99, 44, 40)
    profile[20:] = 0.0
    found = verdict(run_of(profile, facts=FACTS, success=[1.0]))
    assert found.kind == "reaches"
    assert "this is read from training step" in found.sentence


def test_no_gradient_at_the_loss_at_all_is_said() -> None:
    found = verdict(run_of(np.zeros((5, 45)), facts=FACTS))
    assert found.kind is None
    assert found.reach is None
    assert found.headline == "No verdict"
    assert found.sentence.startswith("No verdict: the gradient at the loss is exactly 0 or not finite in every")


@pytest.mark.parametrize(
    ("state", "headline"), [("queued", "No verdict yet"), ("running", "No verdict yet"), ("stopped", "No verdict")]
)
def test_a_run_without_profiles_has_no_verdict(state: str, headline: str) -> None:
    bare = Run("r-1", "x", state, {}, None, Records.empty())
    assert verdict(bare).kind is None
    begun = run_of(np.empty((0, 45)), facts=FACTS, state=state, loss=np.empty(0))
    assert verdict(begun).headline == headline
    assert verdict(begun).sentence.startswith(headline)
    assert verdict(begun).advice == ()


def test_a_run_that_diverged_before_its_first_profile() -> None:
    found = verdict(run_of(np.empty((0, 45)), facts=FACTS, state="diverged", loss=np.array([np.nan])))
    assert found.kind == "diverged"
    assert found.sentence == (
        "Diverged: the loss was no longer a finite number at training step 0, before any gradient profile was recorded."
    )


def test_a_sequence_of_one_step_reaches() -> None:
    found = verdict(run_of(np.full((3, 1), 0.2), facts=facts_of(1, 0)))
    assert (found.kind, found.reach, found.of) == ("reaches", 0, 0)
    assert math.isnan(found.decay)
    assert "the step of the loss itself" in found.sentence


@pytest.mark.parametrize("alpha", [0.2, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("state", ["running", "finished", "stopped", "interrupted", "diverged"])
def test_json_is_strict_and_whole(alpha: float, state: str) -> None:
    found = judge(alpha, state=state).to_json()
    assert set(found) == {"kind", "reach", "of", "decay", "half_life_steps", "informative_grad", "sentence"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["half_life_steps"] == ("inf" if alpha >= 1 else pytest.approx(math.log(0.5) / math.log(alpha)))


def test_advice_speaks_of_the_runs_own_gate() -> None:
    closed = judge(0.5, spec={"cell": "lstm", "gate_bias": 1.0}).advice
    assert closed[0] == (
        "The forget gate starts with bias 1, a time scale of 3.7 steps against 40 to bridge: try 3.7, or chrono."
    )
    assert "training closed it" in judge(0.5, spec={"cell": "gru", "gate_bias": 5.0}).advice[0]
    assert (
        "Try a constant forget gate bias of 3.7" in judge(0.5, spec={"cell": "lstm", "gate_bias": "chrono"}).advice[0]
    )
    assert time_scale(bias_for(40)) == pytest.approx(40)


@pytest.mark.parametrize("cell", ["tanh", "sigmoid", "relu", "identity", "gru", "lstm"])
@pytest.mark.parametrize("clip", ["none", "norm:1.0", "value:0.1"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("state", ["finished", "diverged"])
def test_advice_is_short_and_never_sells_clipping(cell: str, clip: str, alpha: float, state: str) -> None:
    spec = {"cell": cell, "clip": clip, "init": "torch"}
    found = judge(alpha, state=state, success=[0.1], spec=spec).advice
    assert 1 <= len(found) <= 3
    assert all(said.endswith(".") and len(said) < 190 for said in found)
    assert not any(word in " ".join(found) for word in ("nan", "None", "will help", "clip more"))
    if clip == "none":
        assert not any("Clipping engaged" in said for said in found)


def _words(length: int) -> tuple[str, ...]:
    return tuple("France" if i == length - 41 else "the" for i in range(length))
