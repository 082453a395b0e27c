"""The profile of a checkpoint: a line for each layer and direction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import checkpoint
from diagnostics.checkpoint import Asked, Part, Probed, Walk
from diagnostics.measures.verdict import Verdict, verdict


def probed(**asked: object) -> Probed:
    part = Part("encoder", "gru", 3, 4, 1, True)
    by_lag = 0.5 ** np.arange(6)[:, None] * np.array([0.5, 1.0, 2.0]) * 8.0
    walks = (
        Walk(0, False, by_lag, (1.0, 2.0, 3.0), (0.5, 0.6, math.nan)),
        Walk(0, True, np.zeros((6, 3)), (1.0, 2.0, 3.0), (0.5, 0.6, 0.7)),
    )
    return Probed(part, Asked("encoder", timesteps=6, **asked), walks)  # type: ignore[arg-type]


def test_each_line_is_divided_by_its_value_at_the_last_state() -> None:
    prepared = checkpoint.prepare(probed())
    first, second = prepared.lines
    assert (first.label, second.label) == ("layer 1 →", "layer 1 ←")
    np.testing.assert_allclose(first.median, 0.5 ** np.arange(6))
    np.testing.assert_allclose(first.high / first.median, 2.0)
    assert (second.median == 0).all()
    assert first.style.dash != second.style.dash or first.style.symbol != second.style.symbol


def test_the_caption_says_what_was_probed_with_what() -> None:
    caption = checkpoint.prepare(probed(scale=0.25, loss="projection")).origin.caption
    assert "white noise × 0.25" in caption
    assert "a random projection of the last state" in caption
    assert "× " not in checkpoint.prepare(probed(inputs="zeros")).origin.caption


def test_it_is_drawn_and_told() -> None:
    prepared = checkpoint.prepare(probed())
    figure = checkpoint.draw(prepared)
    assert "last state" in figure.layout.xaxis.title.text
    assert "layer 1 →: stays above 1 % for all 5 steps" in checkpoint.describe(prepared)
    assert checkpoint.draw(checkpoint.prepare(None)).layout.annotations[0].text == "Choose a part of the checkpoint."


def test_the_weights_numbers_stand_in_words() -> None:
    header, rows = checkpoint.rows(probed())
    assert header[1:4] == ["σ max of r", "σ max of z", "σ max of n"]
    assert rows[0][-1] == "–"
    assert len({len(header), *map(len, rows)}) == 1


def test_a_walk_is_judged_like_a_run() -> None:
    one = probed()
    assert verdict(one.as_run(one.walks[0])).kind == "reaches"
    said = verdict(one.as_run(one.walks[1]))
    assert said.kind is None
    assert said.sentence.startswith("No verdict: the gradient at the loss is exactly 0")


@pytest.mark.parametrize(("reverse", "farthest"), [(False, "the first timestep"), (True, "t=5")])
def test_of_how_far_a_gradient_should_get_a_file_says_nothing(reverse: bool, farthest: str) -> None:
    def said(*medians: float) -> Verdict:
        one = probed()
        gradient = np.array(medians)[:, None].repeat(3, 1)
        return verdict(one.as_run(replace(one.walks[0], reverse=reverse, gradient=gradient)))

    short = said(1.0, 0.1, 0.005, 1e-4, 1e-5, 1e-6)
    assert short.kind == "fades"
    assert "distance=" not in short.sentence
    assert short.sentence.endswith("Where answers depend on nothing further back, that is enough.")
    far = said(1.0, 0.9, 0.8, 0.7, 0.6, 0.6)
    assert far.kind == "reaches"
    assert f"{farthest}, 5 steps back, gets 0.6 of it" in far.sentence


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"timesteps": 1001}, "timesteps must be from 2 to 1000, but got 1001"),
        ({"scale": math.nan}, "scale must be from 1e-06"),
        ({"inputs": "music"}, "inputs must be one of noise, zeros, but got 'music'"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Asked("", **wrong)  # type: ignore[arg-type]
