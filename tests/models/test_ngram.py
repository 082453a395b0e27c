"""n-gram models against counts made by hand."""

from __future__ import annotations

import math

import pytest

from models.ngram import NGram

TEXT = [["a", "b", "a", "b"], ["a", "b", "c", "b"]]
WORDS = ("a", "b", "c", "d")


def test_a_bigram_interpolates_what_it_has_counted() -> None:
    """Witten and Bell: p(w|v) = (c(vw) + k(v) p(w)) / (c(v) + k(v)), k(v) the number of different words after v.

    Alone, and each once more: a 4, b 5, c 2, d 1, which are 12. After a, b came three times and nothing else; a
    sentence began with a both times.
    """
    singles = NGram(1, TEXT, WORDS)
    assert singles.probabilities(["a"], 0, WORDS) == pytest.approx([4 / 12, 5 / 12, 2 / 12, 1 / 12], rel=1e-12)
    model = NGram(2, TEXT, WORDS)
    after_a = [4 / 12 / 4, (3 + 5 / 12) / 4, 2 / 12 / 4, 1 / 12 / 4]
    assert model.probabilities(["a", "b"], 1, WORDS) == pytest.approx(after_a, rel=1e-12)
    first = [(2 + 4 / 12) / 3, 5 / 12 / 3, 2 / 12 / 3, 1 / 12 / 3]
    assert model.probabilities(["a", "b"], 0, WORDS) == pytest.approx(first, rel=1e-12)
    assert model.log_probability(["a", "b"], 1) == pytest.approx(math.log(41 / 48), rel=1e-12)


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


@pytest.mark.parametrize("n", range(1, 6))
def test_the_words_share_all_of_the_probability_and_a_beginning_has_none(n: int) -> None:
    model = NGram(n, TEXT, WORDS)
    for sentence in ([*TEXT[0], "a"], ["d", "d", "c", "a", "b", "d"]):
        for at in range(len(sentence)):
            each = model.probabilities(sentence, at, WORDS)
            assert sum(each) == pytest.approx(1, rel=1e-12)
            assert min(each) > 0
            assert model.probabilities(sentence, at, ["<s>"]) == [0]
    assert math.isfinite(model.perplexity([["a", "d", "d"]]))


def test_what_makes_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be at least 1, but got 0"):
        NGram(0, TEXT, WORDS)
    with pytest.raises(ValueError, match="at least one sentence"):
        NGram(2, [], WORDS)
