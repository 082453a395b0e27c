"""The story that the project tells, trained: the preset comparisons and France … French over seeds and gaps."""

import numpy as np
import pytest
import torch

from diagnostics.measures.verdict import Verdict
from diagnostics.records import Records
from experiments.presets import PRESETS
from experiments.spec import RunSpec
from experiments.train import Outcome
from tests.experiments.recording import trained

pytestmark = pytest.mark.gates
torch.set_num_threads(1)

Ended = tuple[Outcome, Records, Verdict]


def ended(preset: str) -> list[Ended]:
    return [trained(spec) for spec in PRESETS[preset].specs()]


def learned(run: Ended) -> bool:
    return run[0].success > 0.95


@pytest.mark.parametrize("gap", [20, 40, 60])
def test_gates_remember_at_four_of_five_seeds(gap: int) -> None:
    told = []
    for seed in range(5):
        tanh, gru, lstm = (
            trained(RunSpec.make(gap=gap, cell=c, seed=seed, steps=250)) for c in ("tanh", "gru", "lstm")
        )
        short = tanh[2].kind == "vanishing" and tanh[2].reach is not None and tanh[2].reach <= gap / 2
        told.append(short and not learned(tanh) and learned(gru) and learned(lstm))
    assert sum(told) >= 4, told


def test_gates_remember_in_the_command_of_the_first_look() -> None:
    """``run --task france --gap 40 --cell tanh relu gru lstm --steps 500 --seed 0``."""
    tanh, relu, gru, lstm = (trained(RunSpec.make(cell=c, steps=500)) for c in ("tanh", "relu", "gru", "lstm"))
    assert (tanh[2].kind, relu[2].kind, gru[2].kind, lstm[2].kind) == ("vanishing", "vanishing", "reaches", "reaches")
    assert tanh[2].reach is not None
    assert tanh[2].reach <= 12
    assert learned(gru)
    assert learned(lstm)


def test_preset_gates_remember() -> None:
    tanh, relu, gru, lstm = ended("gates-remember")
    assert [run[2].kind for run in (tanh, relu, gru, lstm)] == ["vanishing", "vanishing", "reaches", "reaches"]
    assert [learned(run) for run in (tanh, relu, gru, lstm)] == [False, False, True, True]


def test_preset_a_closed_gate_forgets_too() -> None:
    closed, half, opened = ended("closed-gate")
    assert [run[2].kind for run in (closed, half, opened)] == ["vanishing", "vanishing", "reaches"]
    assert [learned(run) for run in (closed, half, opened)] == [False, False, True]


def test_preset_vanishing() -> None:
    sigmoid, tanh = ended("vanishing")
    assert sigmoid[2].kind == tanh[2].kind == "vanishing"
    assert sigmoid[2].decay < tanh[2].decay < 1


def test_preset_exploding_and_clipping_it() -> None:
    without, clipped, tightly = ended("exploding")
    assert without[0].state == without[2].kind == "diverged"
    # The explosion is in the last profile with a finite gradient, which is what the figures then show.
    assert without[2].decay > 1
    assert without[2].informative_grad > 100 > clipped[2].informative_grad > tightly[2].informative_grad
    assert clipped[0].success > 0.9
    assert 0.2 < tightly[0].success < clipped[0].success
    assert np.nanmax(without[1]["grad_norm_pre"]) > 100 * np.max(without[1]["grad_norm_pre"][:1])
    assert clipped[1]["grad_norm_post"].max() <= 1.0 + 1e-6


def test_preset_relu_is_no_cure() -> None:
    tanh_short, relu_short, tanh_long, relu_long = ended("relu")
    assert learned(tanh_short)
    assert learned(relu_short)
    assert relu_short[2].informative_grad > 1 > tanh_short[2].informative_grad
    assert tanh_long[2].kind == relu_long[2].kind == "vanishing"
    assert relu_long[2].informative_grad < 1e-3 * tanh_long[2].informative_grad


def test_preset_short_against_long() -> None:
    tanh_short, lstm_short, tanh_long, lstm_long = ended("short-long")
    assert [learned(run) for run in (tanh_short, lstm_short, tanh_long, lstm_long)] == [True, True, False, True]
    assert tanh_long[2].kind == "vanishing"
