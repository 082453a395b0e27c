import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.measures.numbers import number, percent, power_of_ten, rate, steps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.61, "0.61"),
        (44.0, "44"),
        (1.0, "1"),
        (0.0, "0"),
        (3e-9, "3·10⁻⁹"),
        (3.24e-9, "3.2·10⁻⁹"),
        (1e-12, "10⁻¹²"),
        (7524.0, "7500"),
        (12345.0, "1.2·10⁴"),
        (0.00123, "0.0012"),
        (99.6, "100"),
        (-0.0922, "−0.092"),
        (-3e-9, "−3·10⁻⁹"),
        (math.nan, "not a number"),
        (math.inf, "infinite"),
        (-math.inf, "minus infinite"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-300, 1e300))
def test_a_number_is_off_by_less_than_its_last_digit(value: float) -> None:
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    text = number(value)
    mantissa, _, power = (
        text.rpartition("10") if "10" in text and any(c in text for c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹") else (text, "", "0")
    )
    read = float(mantissa.rstrip("·") or 1) * 10.0 ** int(power.translate(digits))
    assert read == pytest.approx(value, rel=0.051)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1 / 12, "8 %"),
        (0.996, "99.6 %"),
        (0.9994, "99.9 %"),
        (0.99999, "over 99.9 %"),
        (0.001, "0.1 %"),
        (1.0, "100 %"),
        (0.0, "0 %"),
        (1e-5, "under 0.1 %"),
        (0.5, "50 %"),
    ],
)
def test_shares_never_read_as_none_or_all_when_they_are_not(share: float, text: str) -> None:
    assert percent(share) == text


def test_steps_and_powers() -> None:
    assert [steps(n) for n in (1, 1.4, 40, 1234, math.inf)] == [
        "1 step",
        "1.4 steps",
        "40 steps",
        "1234 steps",
        "infinite steps",
    ]
    assert [power_of_ten(n) for n in (-4, 0, 2, 3)] == ["10⁻⁴", "1", "100", "10³"]


@pytest.mark.parametrize(
    ("factor", "text"), [(0.61, "0.61"), (0.9957, "0.996"), (1.0, "1"), (1.0003, "1.0003"), (1.312, "1.31")]
)
def test_a_rate_near_one_shows_how_far_from_one_it_is(factor: float, text: str) -> None:
    assert rate(factor) == text
