"""What the stops of Learn claim, trained with their own specs over seeds: who learns the word, and who cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from tests.experiments.recording import trained
from ui.learn.stops import cures, dependencies, truncation

pytestmark = pytest.mark.gates
torch.set_num_threads(1)

LEARNED, LOST = 0.6, 0.25
"""At least this is told from guessing (8 %), and at most that is hardly more."""


def success(stop: Any, values: Mapping[str, Any], seed: int) -> list[float]:
    """Success of each run that the stop asks for."""
    return [trained(spec.changed(seed=seed))[0].success for spec in stop.specs(values)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("sentence", ["france", "clouds"])
def test_every_cell_learns_what_is_near_and_only_gates_what_is_far(sentence: str, seed: int) -> None:
    values = {"sentence": sentence, "longest": 40, "cells": ("tanh", "lstm")}
    found = success(dependencies, values, seed)
    tanh, lstm = found[:4], found[4:]
    assert tanh[0] > 0.95
    assert max(tanh[1:]) < LOST
    assert min(lstm) > LEARNED


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("gap", "cell"), [(10, "lstm"), (20, "lstm"), (20, "gru"), (30, "lstm")])
def test_a_chunk_must_reach_back_to_the_word_itself(gap: int, cell: str, seed: int) -> None:
    half, before, at, twice, whole = success(truncation, {"gap": gap, "cell": cell}, seed)
    assert max(half, before) < LOST
    assert min(at, twice, whole) > LEARNED


@pytest.mark.parametrize("seed", [0, 1])
def test_gates_cure_what_vanishes_and_clipping_what_explodes(seed: int) -> None:
    runs = [trained(spec.changed(seed=seed)) for spec in cures.specs(cures.USUAL)]
    sigmoid, tanh, relu, lstm, loose, clipped = (run[0].success for run in runs)
    assert max(sigmoid, tanh, relu) < LOST
    assert lstm > 0.9
    assert runs[4][0].state == "diverged"
    assert loose < LOST
    assert clipped > LEARNED
