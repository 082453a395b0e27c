"""What is said of runs of somebody's own model: no word of what they have not, and no blame for what nobody asked."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from diagnostics.measures.seed_verdict import ORDER, verdict_over_seeds
from diagnostics.measures.seeds import groups
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import COLUMNS, Records, Run, TaskFacts
from diagnostics.watching.results import worst
from tests.diagnostics.charts.samples import run_of
from ui.verdicts import BADGES

T = 40
CELLS = ("lstm", "gru", "tanh", "relu", "mine.Cell")
# What only somebody who trains with us can set, or only our tasks have.
LAB = ("nan", "not a number", "success", "chance", " task", "truncate ", "scaled:", "()", "“", "seed", "chrono", "gap")
INSTRUCTIONS = {"Try", "Compare", "Start", "Leave", "Look", "Begin", "Detach", "Shorten", "Carry", "Read", "Take"}


def watched(by_lag: float | np.ndarray, *, distance: int | None = None, direction: str = "", **spec: object) -> Run:
    """A run whose profile is ``by_lag`` [K + 1], or falls by that factor per step; ``distance`` as it was said."""
    profile = by_lag ** np.arange(T) if isinstance(by_lag, float) else by_lag
    K = len(profile) - 1
    facts = TaskFacts(
        "Your model: rnn",
        tuple(f"t={t}" for t in range(K + 1)),
        () if distance is None else (K - distance,),
        K,
        K if distance is None else distance,
        "",
        "loss",
        math.nan,
        "success",
        math.nan,
    )
    run = run_of(profile[None], facts=facts, loss=np.full(20, np.nan), pre=np.ones(20), post=np.full(20, 0.5))
    about = {"module": "rnn", "cuts": [], "loss": False, "direction": direction or "forward"}
    return replace(run, spec={"watched": about, "cell": "lstm", "clip": "", "layers": 1, **spec})


def cut(distance: int | None) -> Run:
    run = watched(np.where(np.arange(T) < 10, 1.0, 0.0), distance=distance)
    return replace(run, spec={**run.spec, "watched": {"module": "rnn", "cuts": [10, 20, 30], "loss": False}})


def words(found: Verdict) -> str:
    return " ".join([found.headline, found.sentence, *found.advice])


@pytest.mark.parametrize(
    ("cell", "by_step", "clip", "distance"),
    list(product(CELLS, (0.5, 0.9999, 1.5), ("", "none", "norm:1.0"), (None, 35))),
)
@pytest.mark.parametrize("state", ["running", "finished", "diverged"])
def test_nothing_is_said_that_a_watched_run_has_not(
    cell: str, by_step: float, clip: str, distance: int | None, state: str
) -> None:
    found = verdict(replace(watched(by_step, distance=distance, cell=cell, clip=clip), state=state))
    for word in LAB:
        assert word not in words(found), words(found)
    assert 1 <= len(found.advice) <= 3
    assert {said.split(" ")[0] for said in found.advice} <= INSTRUCTIONS
    assert all(said.endswith(".") and len(said) < 190 for said in found.advice)
    assert (found.kind == "diverged") == (state == "diverged")


def test_without_a_distance_a_gradient_that_fades_is_not_blamed() -> None:
    found = verdict(watched(0.5))
    assert (found.kind, found.headline, found.reach) == ("fades", "Fades", 7)
    assert found.sentence == (
        "Fades: the gradient falls below 1 % of its value at the loss after 7 of 39 steps (× 0.5 per step, half-life 1 "
        "step, fitted over all 39 steps); of what lies further back the loss teaches next to nothing. Where answers "
        "depend on nothing further back, that is enough: say with distance=… how far back they do. Read from the only "
        "profile of 20 training steps, that of step 0."
    )
    assert "if answers depend on more than 7 steps back" in found.advice[0]
    assert "first timestep" not in words(found)


@pytest.mark.parametrize(("distance", "kind"), [(6, "reaches"), (7, "reaches"), (8, "vanishing"), (39, "vanishing")])
def test_with_a_distance_it_is_judged_by_that(distance: int, kind: str) -> None:
    found = verdict(watched(0.5, distance=distance))
    assert found.kind == kind
    assert f"the timestep t={39 - distance}, {distance} steps back, gets" in found.sentence
    assert "distance=" not in words(found)


@pytest.mark.parametrize(
    ("falls_at", "kind", "headline"),
    [(None, "reaches", "Reaches"), (39, "reaches", "Edge of reach"), (38, "fades", "Fades")],
)
def test_without_a_distance_what_comes_all_the_way_reaches(falls_at: int | None, kind: str, headline: str) -> None:
    profile = np.ones(T)
    if falls_at is not None:
        profile[falls_at:] = 0.005
    found = verdict(watched(profile))
    assert (found.kind, found.headline) == (kind, headline)
    if falls_at is None:
        assert "never falls below 1 % of its value at the loss in 39 steps" in found.sentence
    assert ("just at the first timestep" in found.sentence) == (falls_at == 39)
    assert ("if answers depend on more than 38 steps back" in words(found)) == (falls_at == 38)
    assert ("if answers" in words(found)) == (falls_at == 38)


def test_a_gradient_that_comes_again_further_back_is_not_said_to_teach_nothing_there() -> None:
    profile = np.ones(T)
    profile[10:20] = 0.005
    profile[20:] = 0.013
    found = verdict(watched(profile))
    assert (found.kind, found.reach) == ("fades", 10)
    assert "after 10 of 39 steps" in found.sentence
    assert "further back it comes up to 0.013 of it again" in found.sentence
    assert "next to nothing" not in found.sentence
    profile[20:] = np.nan
    assert "next to nothing" in verdict(watched(profile)).sentence


def test_what_grows_a_hundredfold_explodes_whoever_asks() -> None:
    assert verdict(watched(1.5)).kind == verdict(watched(1.5, distance=35)).kind == "exploding"


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("lstm", "Start the forget gate open: about 3.5 added to its bias, in torch the second quarter of bias_hh"),
        ("gru", "Start the update gate open: about 3.5 added to its bias, in torch the second third of bias_hh"),
        ("tanh", "Try nn.LSTM or nn.GRU instead of nn.RNN: a forget or update gate's bias of 3.5 keeps a memory"),
        ("relu", "Try nn.LSTM or nn.GRU instead of nn.RNN"),
        ("mine.Cell", "Carry the state on by addition: through a gate that starts open"),
    ],
)
def test_what_fades_is_advised_in_the_terms_of_torch(cell: str, what: str) -> None:
    found = verdict(watched(0.5, distance=35, cell=cell))
    assert found.advice[0].startswith(what)
    start = {"tanh": "nn.init.orthogonal_", "relu": "nn.init.eye_"}.get(cell)
    assert ("nn.init" in words(found)) == (start is not None)
    assert start is None or start in found.advice[1]


def test_what_is_advised_of_torch_s_gates_opens_them() -> None:
    """The second quarter and the second third of bias_hh are the gates that keep the state."""
    import torch
    from torch import nn

    for cell, gates in ((nn.LSTM(1, 4), 4), (nn.GRU(1, 4), 3)):
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.zero_()
            cell.bias_hh_l0[4:8] = 50.0
        state = torch.randn(1, 1, 4)
        output, _ = cell(torch.zeros(9, 1, 1), (torch.zeros_like(state), state) if gates == 4 else state)
        kept = torch.tanh(state[0]) / 2 if gates == 4 else state[0]  # the output gate of zeros is half open
        torch.testing.assert_close(output[-1], kept)


def test_what_arrives_is_told_to_look_elsewhere_and_praised_for_nothing() -> None:
    found = verdict(watched(0.9999))
    assert found.advice[0].startswith("Look elsewhere if it does not learn")
    assert "clipping engaged on 100 % of the steps" in found.advice[1]
    assert "learned" not in found.sentence


def test_a_direction_that_is_read_after_one_step_is_told_of_its_end() -> None:
    alone = np.ones(1)
    assert verdict(watched(alone)).advice == ()
    assert verdict(watched(alone, direction="reverse")).advice[0].startswith("Read the reverse direction where it ends")


@pytest.mark.parametrize("distance", [None, 35])
def test_a_state_that_was_detached_is_said_with_what_to_do(distance: int | None) -> None:
    found = verdict(cut(distance))
    assert found.headline == "Cut off"
    assert "backpropagation is truncated at 10 steps" in found.sentence
    (said,) = found.advice
    assert said.startswith("Detach the state less often: the gradient is cut after 10 steps, and what is")
    assert said.endswith("asked for lies 35 steps back." if distance else "further back gets none.")
    assert ("say with distance=…" in found.sentence) == (distance is None)


def test_a_loss_that_nobody_told_is_no_divergence() -> None:
    assert verdict(watched(0.9999)).kind == "reaches"
    untold = replace(watched(0.9999), spec={"watched": {"module": "rnn"}, "cell": "lstm"})
    assert verdict(untold).kind == "reaches"
    lost = replace(watched(0.9999), spec={"watched": {"module": "rnn", "loss": True}, "cell": "lstm"})
    assert verdict(lost).kind == "diverged"


def test_whoever_reads_the_kind_knows_them_all() -> None:
    assert set(BADGES) == {*ORDER, None}
    runs = [watched(0.5), watched(0.9999), watched(0.5, distance=35), watched(1.5), watched(np.zeros(T))]
    assert [verdict(run).kind for run in runs] == ["fades", "reaches", "vanishing", "exploding", None]
    order = [3, 2, 0, 1, 4]  # the worst first
    for place in range(len(order)):
        found = worst([runs[i] for i in order[place:]][::-1])
        assert found is not None
        assert found[1].kind == verdict(runs[order[place]]).kind
    (group,) = groups(runs[:1])
    assert verdict_over_seeds(group).headline == "Fades in 1 of 1"


@pytest.mark.parametrize("first", ["end−39", "t=39", "t=0"])
def test_the_farthest_timestep_is_the_first_only_where_it_is(first: str) -> None:
    """Longer batches are cut to the last timesteps, and a walk in reverse begins at the end of the sequence."""
    run = watched(1.0)
    assert run.facts is not None
    said = verdict(replace(run, facts=replace(run.facts, tokens=(first, *run.facts.tokens[1:])))).sentence
    wanted = (
        "the first timestep, 39 steps back" if first == "t=0" else f"the farthest timestep of the profile, {first}, 39"
    )
    assert wanted in said


def test_a_verdict_from_the_only_profile_says_so() -> None:
    one = watched(1.0)
    assert verdict(one).sentence.endswith("Read from the only profile of 20 training steps, that of step 0.")
    many = replace(
        one,
        records=Records(
            {
                **one.records,
                **{
                    name: np.repeat(one.records[name], 2, 0)
                    for name in one.records
                    if COLUMNS[name].stream == "profile"
                },
            }
        ),
    )
    assert "only profile" not in verdict(many).sentence


@pytest.mark.parametrize("state", ["running", "finished"])
def test_a_gradient_of_several_answers_that_does_not_fade_is_no_verdict(state: str) -> None:
    run = watched(1.0)
    several = replace(run, state=state, spec={**run.spec, "watched": {**run.spec["watched"], "answers": 7}})
    found = verdict(several)
    assert (found.kind, found.headline, found.reach) == (None, "No verdict", 39)
    assert found.sentence.startswith(
        "No verdict: the loss uses the state at 7 timesteps, and what was recorded is the gradient of all of them "
        "together"
    )
    assert found.advice[0].startswith("Take the loss at the last timestep alone")
    alone = replace(several, records=Records({**run.records, "answer_grad": run.records["state_grad"]}))
    assert verdict(alone).kind == "reaches"


@pytest.mark.parametrize(
    ("answers", "said"), [(0, "Where the loss uses the state at several"), (1, ""), (7, "at 7 timesteps")]
)
def test_a_gradient_of_several_answers_is_called_that(answers: int, said: str) -> None:
    run = watched(0.5)
    found = verdict(replace(run, spec={**run.spec, "watched": {**run.spec["watched"], "answers": answers}}))
    assert found.kind == "fades"
    assert ("this is the gradient of all of them together" in found.sentence) == (answers != 1)
    assert said in found.sentence
