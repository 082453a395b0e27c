"""How a sentence names the word that matters."""

from __future__ import annotations

import pytest

from diagnostics.measures.sentence import name_word


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("France", "France"),
        ("New York", "New York"),
        ("nothing", "“nothing”"),  # "nothing gets 0.4 of it" would say the opposite
        ("clouds", "“clouds”"),
        ("X", "“X”"),
        ("+0.25", "“+0.25”"),
        ("", "“”"),
    ],
)
def test_a_name_stands_as_it_is_and_any_other_word_in_quotes(word: str, named: str) -> None:
    assert name_word(word) == named
