import json
import math
from dataclasses import replace

import numpy as np
import pytest

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
        "half-life 1.4 steps, fitted over all 44 steps); France, 40 steps back, gets 2.6·10⁻⁹ of it; success 8 % "
        "against 8 % by chance."
    )
    assert found.headline == "Vanishing"


def test_golden_sentence_reaches() -> None:
    found = judge(0.99, success=[0.4, 1.0])
    assert found.sentence == (
        "Reaches: the gradient never falls below 1 % of its value at the loss in 44 steps (× 0.99 per step, half-life "
        "69 steps, fitted over all 44 steps); “E”, 40 steps back, gets 0.67 of it; success 100 % against 50 % by "
        "chance."
    )


def test_golden_sentence_exploding() -> None:
    assert judge(1.25, success=[0.5]).sentence == (
        "Exploding: the gradient grows to 7500 times its value at the loss at “E”, 40 steps back (× 1.25 per step, "
        "fitted over all 44 steps); success 50 % against 50 % by chance."
    )


def test_golden_sentence_diverged() -> None:
    loss = np.append(np.full(9, 3.0), np.inf)
    assert judge(1.25, state="diverged", loss=loss).sentence == (
        "Diverged: the loss was no longer a finite number at training step 9; in the last profiles before that the "
        "gradient rose to 7500 times its value at the loss 40 steps back (× 1.25 per step, fitted over all 44 steps)."
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


def test_exact_zeros_are_counted_and_left_out_of_the_rate() -> None:
    profile = powers(0.5, 44)
    profile[:, 30:] = 0.0
    found = verdict(run_of(profile, facts=FACTS))
    assert found.informative_grad == 0.0
    assert found.decay == pytest.approx(0.5)
    assert "gets exactly nothing of it" in found.sentence
    assert "fitted)" in found.sentence  # not "over all steps": 15 are left out
    assert "At 15 of the 45 timesteps the gradient is exactly 0; the fitted rate leaves those out." in found.sentence


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


def just_at_the_edge(**more: object) -> Verdict:
    profile = np.full((10, 11), 0.1)
    profile[:, 5:] = 0.1 * 0.0034
    facts = replace(france_facts(5), loss_step=10, tokens=(*["the"] * 5, "France", *["we"] * 5), distance=5)
    return verdict(run_of(profile, facts=facts, **more))


def test_golden_sentence_at_the_edge_of_the_reach() -> None:
    found = just_at_the_edge(success=[0.08])
    assert (found.kind, found.reach, found.never_below, found.headline) == ("reaches", 5, False, "Edge of reach")
    assert found.sentence == (
        "Reaches by the letter only: the gradient falls below 1 % of its value at the loss just at the step that "
        "matters (× 0.46 per step, half-life 0.89 steps, fitted over all 10 steps); France, 5 steps back, gets 0.0034 "
        "of it; success 8 % against 8 % by chance."
    )
    for state in ("running", "finished"):
        said = just_at_the_edge(success=[0.08], state=state).advice
        assert said[0].startswith("Try a GRU or LSTM")
        assert "arrives" not in " ".join(said)
    solved = just_at_the_edge(success=[1.0])
    assert solved.sentence.endswith("The task is solved all the same.")
    assert solved.advice[0].startswith("Choose a longer gap")


@pytest.mark.parametrize(("profile_end", "headline"), [(0.1, "Reaches"), (0.1 * 0.0034, "Edge of reach")])
def test_a_loss_at_the_farthest_step_knows_its_edge(profile_end: float, headline: str) -> None:
    profile = np.full((10, 45), 0.1)
    profile[:, 44] = profile_end
    assert verdict(run_of(profile, facts=facts_of(45, 44))).headline == headline


def test_the_informative_gradient_is_never_derived_from_the_fit() -> None:
    profile = powers(0.1, 44)
    profile[:, 4:] = 10.0  # the fit over all steps grows, and yet little arrives on the way
    for kind in (verdict(run_of(profile, facts=FACTS)), judge(0.5), judge(1.0), judge(1.25), just_at_the_edge()):
        assert ", so " not in kind.sentence


def _words(length: int) -> tuple[str, ...]:
    return tuple("France" if i == length - 41 else "the" for i in range(length))


def truncated(alpha: float, chunk: int, **more: object) -> Verdict:
    profile = powers(alpha, 44)
    profile[:, chunk:] = 0
    return verdict(run_of(profile, facts=FACTS, spec={"cell": "gru", "truncate": chunk}, **more))


def test_a_gradient_that_was_cut_is_not_said_to_have_faded() -> None:
    found = truncated(0.9, 20)
    assert (found.kind, found.reach, found.headline) == ("vanishing", 20, "Cut off")
    assert found.sentence.startswith(
        "Cut off: backpropagation is truncated at 20 steps, so that further back the gradient is exactly 0, whatever "
        "the network would have sent; "
    )
    assert "the fitted rate leaves those out" not in found.sentence
    assert found.advice == (
        "Raise truncate from 20 to 41 or more, or leave it out: so far back the last chunk has to reach.",
    )


def test_a_gradient_that_faded_before_the_border_has_vanished_and_the_cut_is_said() -> None:
    found = truncated(0.5, 20)
    assert (found.kind, found.reach, found.headline) == ("vanishing", 7, "Vanishing")
    assert found.sentence.endswith(" Backpropagation is truncated at 20 steps: further back the gradient is exactly 0.")
    assert truncated(0.9, 42).kind == "reaches"
    assert "truncated" not in truncated(0.9, 45).sentence


def test_a_cut_run_that_succeeds_all_the_same_is_said_to() -> None:
    found = truncated(0.9, 20, success=[1.0])
    assert found.sentence.endswith(" The task is solved all the same: the state still held what no gradient asked for.")
