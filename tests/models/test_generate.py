from __future__ import annotations

import numpy as np
import pytest

from models import inference
from models.generate import chosen, generate
from tests.models.test_inference import network, weights_of


def weights(cell: str = "gru") -> dict[str, np.ndarray]:
    made = weights_of(network(cell, vocabulary=6))
    made["head.weight"], made["head.bias"] = np.random.default_rng(0).normal(size=(6, 5)), np.zeros(6)
    return made


def test_the_same_seed_gives_the_same_words_and_another_gives_others() -> None:
    one, again, other = (generate("gru", weights(), [2], 60, seed=seed) for seed in (7, 7, 8))
    assert one.words.tolist() == again.words.tolist() != other.words.tolist()
    assert one.probabilities.shape == (60, 6)
    assert one.probabilities.sum(axis=1) == pytest.approx(np.ones(60))


@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_each_word_is_fed_back(cell: str) -> None:
    made = weights(cell)
    found = generate(cell, made, [2, 0], 9, seed=3, temperature=0.8)
    # the whole text read at once gives at every place the probabilities that the next word was sampled from
    read = np.array([2, 0, *found.words[:-1]])[:, None]
    h, _ = inference.run(cell, made, inference.entered(made, read))
    assert inference.softmax(inference.scores(made, h[1:, 0]), 0.8) == pytest.approx(found.probabilities, abs=1e-12)


def test_words_come_as_often_as_their_probabilities_say() -> None:
    p = np.array([0.2, 0.0, 0.5, 0.3])
    rng = np.random.default_rng(0)
    counts = np.bincount([chosen(p, rng.random()) for _ in range(20_000)], minlength=4)
    assert counts[1] == 0
    assert counts / 20_000 == pytest.approx(p, abs=0.012)  # 3.5 standard errors
    assert (chosen(p, 0.0), chosen(p, np.nextafter(1.0, 0.0))) == (0, 3)
    assert chosen(np.array([0.5, 0.5, 0.0]), np.nextafter(1.0, 0.0)) == 1  # what cannot be is never chosen


def test_nearly_cold_it_takes_the_likeliest() -> None:
    found = generate("gru", weights(), [1], 12, temperature=1e-6)
    assert (found.words == found.probabilities.argmax(axis=1)).all()


def test_it_stops_where_the_network_answers_nothing_finite() -> None:
    made = weights()
    made["head.bias"] = np.full(6, np.nan)
    found = generate("gru", made, [1], 5)
    assert found.stopped
    assert found.words.shape == (0,)
    assert found.probabilities.shape == (0, 6)


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="prefix must have at least one word"):
        generate("gru", weights(), [], 5)
    with pytest.raises(ValueError, match="count must be at least 0, but got -1"):
        generate("gru", weights(), [1], -1)
