"""n-gram models against counts made by hand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest

from models.ngram import NGram

TEXT = [["a", "b", "a", "b"], ["a", "b", "c", "b"]]
WORDS = ("a", "b", "c", "d")


def test_a_bigram_interpolates_what_it_has_counted() -> None:
    """Witten and Bell: p(w|v) = (c(vw) + n(v) p(w)) / (c(v) + n(v)), n(v) the number of words seen after v."""
    model = NGram(2, TEXT, WORDS)
    singles = Counter(word for words in TEXT for word in ["<s>", *words]) + Counter(WORDS)
    after_a = Counter(two for words in TEXT for one, two in pairwise(words) if one == "a")
    assert after_a == {"b": 3}
    [of_b] = model.probabilities(["a", "b"], 1, ["b"])
    kinds = len(after_a)
    base = NGram(1, TEXT, WORDS).probabilities(["b"], 0, ["b"])[0]
    assert 0 < base < 1
    lowest = (of_b * (3 + kinds) - 3) / kinds
    assert lowest == pytest.approx(singles["b"] / sum(singles.values()), rel=1e-12)
    assert model.log_probability(["a", "b"], 1) == pytest.approx(math.log(of_b), rel=1e-12)


def test_it_looks_no_further_back_than_its_n() -> None:
    model = NGram(3, [["x", "a", "b", "c"], ["y", "a", "b", "d"]], ("x", "y", "a", "b", "c", "d"))
    assert model.probabilities(["x", "a", "b", "c"], 3, ["c"]) == model.probabilities(["y", "a", "b", "c"], 3, ["c"])
    longer = NGram(4, [["x", "a", "b", "c"], ["y", "a", "b", "d"]], ("x", "y", "a", "b", "c", "d"))
    [of_x], [of_y] = (longer.probabilities([first, "a", "b", "c"], 3, ["c"]) for first in "xy")
    assert of_x > 2 * of_y


def test_what_could_be_and_what_was_seen() -> None:
    model = NGram(2, TEXT, WORDS)
    assert model.possible == 16
    assert model.kept == len({(a, b) for words in TEXT for a, b in zip(["<s>", *words], words, strict=False)})
    assert model.unseen([["a", "b", "d", "a"]]) == pytest.approx(2 / 3)
    assert NGram(1, TEXT, WORDS).unseen([["a", "d"]]) == 0.5


def test_perplexity_is_of_every_word_but_the_first() -> None:
    model = NGram(2, TEXT, WORDS)
    logs = [model.log_probability(words, at) for words in TEXT for at in (1, 2, 3)]
    assert model.perplexity(TEXT) == pytest.approx(math.exp(-sum(logs) / 6), rel=1e-12)


def test_no_word_of_the_vocabulary_is_impossible() -> None:
    for n in (1, 2, 3):
        model = NGram(n, TEXT, WORDS)
        assert math.isfinite(model.perplexity([["a", "d", "d"]]))
        assert sum(model.probabilities(["a", "b", "a"], 2, [*WORDS, "<s>"])) == pytest.approx(1, rel=1e-12)


def test_what_makes_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be at least 1, but got 0"):
        NGram(0, TEXT, WORDS)
    with pytest.raises(ValueError, match="at least one sentence"):
        NGram(2, [], WORDS)
