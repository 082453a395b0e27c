"""The norm of every row of a tensor [T,B,H], and how many of a timestep's entries are flat: one pass over memory each.

A row is H floats, one after the other; rows lie ``per_sample`` and ``per_step`` bytes apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from diagnostics.recurrence.fused.inner import inner
from diagnostics.recurrence.fused.vectors import W, first, integer, load, magnitude, some_lanes, splat, vector

_FLOAT, _DOUBLE, _ZERO = 4, 8, np.float32(0)
_WIDE = ir.VectorType(ir.DoubleType(), W)


class _Wide(types.Type):
    """W float64: what a vector's lanes are summed in."""


wide = _Wide(name=f"wide{W}")


@register_model(_Wide)
class _WideModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WIDE)


@intrinsic
def nothing(typing: Any) -> Any:
    """Zero in every lane."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return ir.Constant(_WIDE, [0.0] * W)

    return wide(), emit


@intrinsic
def plus_square(typing: Any, sums: Any, values: Any) -> Any:
    """sums + values², in float64, where the square of a float32 is exact."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        values = builder.fpext(arguments[1], _WIDE)
        return builder.fadd(arguments[0], builder.fmul(values, values, flags=("contract",)), flags=("contract",))

    return wide(wide, vector), emit


@intrinsic
def total(typing: Any, even: Any, odd: Any) -> Any:
    """The sum over all lanes of both, halves upon halves."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        rest, lanes = builder.fadd(*arguments), W
        while lanes > 1:
            lanes //= 2
            halves = [
                builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(part)))
                for part in (range(lanes), range(lanes, 2 * lanes))
            ]
            rest = builder.fadd(*halves)
        return builder.extract_element(rest, ir.Constant(ir.IntType(32), 0))

    return types.float64(wide, wide), emit


@intrinsic
def put(typing: Any, address: Any, value: Any) -> Any:
    """Write a float64 or an int64."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        address, value = arguments
        builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, value), emit


def _counting(comparison: str) -> Any:
    @intrinsic
    def count(typing: Any, a: Any, b: Any, lanes: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            a, b, lanes = arguments
            flags = builder.fcmp_ordered(comparison, a, b)
            if sig.args[2] != types.none:
                flags = builder.and_(flags, lanes)
            return builder.zext(builder.ctpop(builder.bitcast(flags, ir.IntType(W))), ir.IntType(64))

        if lanes not in (types.none, some_lanes):
            raise TypeError(f"lanes must be None or lanes, but got {lanes}")
        return types.int64(vector, vector, lanes), emit

    return count


count_less = _counting("<")
"""(a, b, lanes): in how many of the lanes that count (None: all) a < b; a not-a-number compares with nothing."""

count_at_most = _counting("<=")
"""(a, b, lanes): in how many of the lanes that count (None: all) a ≤ b; a not-a-number compares with nothing."""


@inner
def _norm(row, H):
    even, odd, i = nothing(), nothing(), 0
    while i + 2 * W <= H:
        even = plus_square(even, load(row + _FLOAT * i, None))
        odd = plus_square(odd, load(row + _FLOAT * (i + W), None))
        i += 2 * W
    while i < H:
        even = plus_square(even, load(row + _FLOAT * i, first(H - i)))
        i += W
    return math.sqrt(total(even, odd))


def norms(values, T, B, H, per_step, per_sample, out):
    """‖row‖₂ of each, float64 [T,B] into ``out``."""
    for t in range(T):
        for b in range(B):
            put(out + _DOUBLE * (t * B + b), _norm(values + t * per_step + b * per_sample, H))


@inner
def _flat(at, centre, beyond, lanes):
    away, edge = magnitude(load(at, lanes) - splat(centre)), splat(beyond)
    return count_at_most(away, splat(_ZERO), lanes) if beyond < _ZERO else count_less(edge, away, lanes)


def flat(values, T, B, H, per_step, per_sample, centre, beyond, counts):
    """Add to ``counts``, int64 [T], how many entries of a timestep have |entry − centre| > ``beyond``, or are equal to
    ``centre`` where ``beyond`` is negative."""
    for t in range(T):
        found = integer(counts + _DOUBLE * t)
        for b in range(B):
            row, i = values + t * per_step + b * per_sample, 0
            while i + W <= H:
                found += _flat(row + _FLOAT * i, centre, beyond, None)
                i += W
            if i < H:
                found += _flat(row + _FLOAT * i, centre, beyond, first(H - i))
        put(counts + _DOUBLE * t, found)
