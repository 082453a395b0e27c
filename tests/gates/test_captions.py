"""What the stop on image captioning says, on trained networks."""

import pytest
import torch

import tasks
from models.pictures import Pictures
from tests.experiments.recording import trained
from ui.learn.stops.captions import LOOKS, USUAL, specs

pytestmark = pytest.mark.gates
torch.set_num_threads(1)


@pytest.mark.parametrize("seed", range(4))
def test_the_cnn_learns_to_classify_from_every_seed(seed: int) -> None:
    draw = tasks.build("captions", 1).labelled
    told = Pictures(32).prepare(draw, seed, lambda _: None)
    assert float(told["picture accuracy"]) > 0.9


@pytest.mark.parametrize("seed", range(2))
def test_who_looks_at_every_word_captions_new_scenes_and_who_looks_once_much_less(seed: int) -> None:
    """The comparison that the stop begins with; the margin of its prediction is 0.1."""
    every, first = (trained(spec)[0].success for spec in specs({**USUAL, "seed": seed}))
    assert every > 0.6
    assert every - first > 0.3


def test_a_gate_carries_the_picture_better_from_start_on() -> None:
    once = max(LOOKS)
    plain, gated = (
        trained(next(spec for spec in specs({**USUAL, "cell": cell}) if spec.gap == once))[0].success
        for cell in ("tanh", "gru")
    )
    assert gated - plain > 0.1
