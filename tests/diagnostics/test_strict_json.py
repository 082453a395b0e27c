"""Strict JSON: every reader takes it, and non-finite numbers are words."""

import json
import math

import numpy as np
import pytest

from diagnostics import strict_json


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def test_non_finite_numbers_become_words() -> None:
    text = strict_json.dumps({"a": math.nan, "b": [math.inf, -math.inf], "c": np.array([1.5, np.nan])})
    assert json.loads(text, parse_constant=refuse) == {"a": "nan", "b": ["inf", "-inf"], "c": [1.5, "nan"]}


def test_numbers_stay_exact_and_types_stay() -> None:
    value = {"f": 1 / 3, "i": np.int64(2**62), "t": True, "n": None, "s": "é\ud800", "b": np.bool_(True)}
    assert json.loads(strict_json.dumps(value)) == {**value, "i": 2**62, "b": True}
    assert strict_json.dumps("é\ud800").isascii()


def test_what_json_has_not_is_refused_rather_than_printed() -> None:
    with pytest.raises(TypeError, match="must be JSON data, but got set"):
        strict_json.dumps({"a": {1}})


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_a_literal_that_is_not_json_is_refused(literal: str) -> None:
    with pytest.raises(ValueError, match=f"strict JSON has no literal {literal}"):
        strict_json.loads(f'{{"a": {literal}}}')
