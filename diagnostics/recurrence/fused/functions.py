"""exp, tanh and σ of a vector, accurate to a few units in the last place, without a branch.

They carry a not-a-number through and reach their limits: tanh is ±1 beyond 9.011, where a rounded result is; σ is 1
beyond 16.64, where 1 + exp(−x) rounds to 1, and 0 below −88.37, where what is left, 4e-39, has few bits.
"""

from __future__ import annotations

import numpy as np

from diagnostics.recurrence.fused.inner import inner
from diagnostics.recurrence.fused.vectors import (
    fma,
    magnitude,
    power_of_two,
    signed_as,
    splat,
    where_less,
)

_f = np.float32
_LOG2_E, _ROUND = _f(1.4426950408889634), _f(12582912.0)  # adding 1.5·2²³ rounds to an integer, in the last bits
_LN2_HIGH, _LN2_LOW = _f(-0.693359375), _f(2.12194440e-4)  # −ln 2 in two parts, the first with few bits
_P5, _P4, _P3 = _f(1.9875691500e-4), _f(1.3981999507e-3), _f(8.3334519073e-3)
_P2, _P1, _P0 = _f(4.1665795894e-2), _f(1.6666665459e-1), _f(5.0000001201e-1)
_ZERO, _ONE, _TWO = _f(0), _f(1), _f(2)
_LEAST, _MOST, _OVER, _FLAT = _f(-87.0), _f(88.37), _f(88.8), _f(40.0)


@inner
def _parts(y):
    """(2ⁿ, e^r − 1) with y = n ln 2 + r and |r| ≤ ln 2 / 2; polynomial: S. L. Moshier, Cephes, ``expf``."""
    rounded = fma(y, splat(_LOG2_E), splat(_ROUND))
    n = rounded - splat(_ROUND)
    r = fma(n, splat(_LN2_LOW), fma(n, splat(_LN2_HIGH), y))
    p = fma(splat(_P5), r, splat(_P4))
    p = fma(p, r, splat(_P3))
    p = fma(p, r, splat(_P2))
    p = fma(p, r, splat(_P1))
    p = fma(p, r, splat(_P0))
    return power_of_two(rounded), fma(p, r * r, r)


@inner
def sigmoid(x):
    """1 / (1 + e^−x)."""
    y = splat(_ZERO) - x
    y = where_less(y, splat(_LEAST), splat(_LEAST), y)
    # From 88.376 on 2ⁿ is infinite, and with a negative e^r − 1 makes a not-a-number; at 88.8 the latter is positive.
    y = where_less(splat(_MOST), y, splat(_OVER), y)
    scale, rest = _parts(y)
    return splat(_ONE) / (splat(_ONE) + fma(scale, rest, scale))


@inner
def tanh(x):
    """t / (t + 2) with t = e^2|x| − 1, written 1 − 2 / (t + 2) where t ≥ 1 so that what is missing to 1 stays exact."""
    y = splat(_TWO) * magnitude(x)
    y = where_less(splat(_FLAT), y, splat(_FLAT), y)
    scale, rest = _parts(y)
    t = fma(scale, rest, scale - splat(_ONE))
    part = where_less(t, splat(_ONE), t, splat(_TWO)) / (t + splat(_TWO))
    return signed_as(where_less(t, splat(_ONE), part, splat(_ONE) - part), x)
