"""The stop on n-grams."""

from __future__ import annotations

import pytest

from experiments.spec import Refusal
from models.ngram import NGram
from tests.experiments.recording import trained
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn.stops import ngram as stop

SLUG = "ngram"
SMALL = {"gap": 2, "sentences": 300, "cells": ("gru",)}


def test_the_specs_are_word_language_models() -> None:
    specs = stop.specs({**stop.USUAL, "cells": ("tanh", "lstm")})
    assert [(spec.task, spec.cell, spec.gap) for spec in specs] == [("words", "tanh", 10), ("words", "lstm", 10)]
    with pytest.raises(Refusal, match="cells must have at least one value"):
        stop.specs({**stop.USUAL, "cells": ()})


def test_an_n_gram_knows_the_language_only_where_it_sees_the_country() -> None:
    """Two words before the blank: three before the language, so that n = 4 sees it and n = 3 does not."""
    blind, seeing = (stop.counted(n, 2, 300, 0) for n in (3, 4))
    assert blind.success < 0.25
    assert seeing.success > 0.8
    assert stop.answer(SMALL, []) == 2
    assert all(stop.counted(n, 10, 300, 0).success < 0.25 for n in (1, 3, 5))


def test_a_network_learns_to_look_back_further_than_an_n_gram_that_is_too_short() -> None:
    """As at the stop, but nearer and so within a second; at its usual distance in tests/gates/test_words.py."""
    [spec] = stop.specs(SMALL)
    assert trained(spec.changed(hidden=32, steps=200))[0].success > 0.9  # 100 % from each of the seeds 0 to 3
    assert stop.counted(3, 2, 300, 0).success < 0.25


def test_sparsity_grows_with_n() -> None:
    found = [stop.counted(n, 10, 300, 0) for n in (1, 2, 3)]
    assert found[0].unseen < found[1].unseen < found[2].unseen
    assert [order.possible for order in found] == [250, 250**2, 250**3]


def test_networks_and_n_grams_are_asked_the_same_words() -> None:
    """As many as the network is asked at every sentence: T, the blank and the language among them."""
    task = stop.tasks.build("words", 10)
    assert isinstance(task, stop.Words)
    batch = task.held_out(0, 4)
    written = task.written(batch)
    assert {len(sentence) - 1 for sentence in written} == {batch.targets.shape[0]}
    asked = [[task.vocabulary[token] for token in batch.targets[:, index]] for index in range(4)]
    assert [sentence[1:] for sentence in written] == asked
    assert NGram(1, written, task.vocabulary).perplexity(written) > 1


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = words(app)
    assert "As you predicted" in said
    assert "only n-grams of 12 words or more could see it" in said
    assert "**Sparsity**" in said
