"""Numbers as people read them, one way for sentences, hover texts and axes."""

from __future__ import annotations

import math

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """Return ``10⁻⁴`` for −4; 1, 10 and 100 are written out."""
    if 0 <= exponent <= 2:
        return str(10**exponent)
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def number(value: float, digits: int = 2) -> str:
    """Return a value with ``digits`` significant digits: ``0.61``, ``44``, ``3·10⁻⁹``, ``−2``, ``infinite``."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value == 0:
        return "0"
    if value < 0:
        return f"−{number(-value, digits)}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < 4:
        decimals = max(0, digits - 1 - power)
        text = f"{float(f'{mantissa}e{power}'):.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    raised = "10" + str(power).translate(_SUPERSCRIPTS)
    return raised if mantissa == "1" else f"{mantissa}·{raised}"


def percent(share: float) -> str:
    """Return a share of 0 to 1 as ``8 %``; close to 0 and 1 with a decimal, so that 99.6 % never reads 100 %.

    What a decimal cannot tell from 0 or 1 is ``under 0.1 %`` or ``over 99.9 %``.
    """
    if not math.isfinite(share):
        return number(share)
    value = 100 * share
    if value in (0.0, 100.0) or 1 <= value <= 99:
        return f"{value:.0f} %"
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 99.95 <= value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if 0 < value < 100 else f"{value:.0f} %"


def steps(count: float) -> str:
    """Return ``1 step``, ``40 steps`` or ``1.4 steps``."""
    text = number(count, digits=max(2, len(str(int(count))))) if math.isfinite(count) else number(count)
    return f"{text} step" if text == "1" else f"{text} steps"


def rate(factor: float) -> str:
    """Return a factor per step: as ``number``, but near 1 with as many digits as it takes to tell it from 1."""
    away = abs(factor - 1.0)
    if not 1e-6 < away < 0.1:
        return number(factor, 3 if 1.1 <= factor < 10 else 2)
    return f"{factor:.{max(3, 1 - math.floor(math.log10(away)) - 1)}f}".rstrip("0")
