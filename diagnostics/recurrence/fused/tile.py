"""The microkernel: a few rows and vectors of a product, summed in registers while it runs over the inner dimension.

A tile of R rows and V vectors is a tuple of R·V vectors, that of row r and vector v at v·R + r. It is begun, gains
products, and is used up or written.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from diagnostics.recurrence.fused import vectors
from diagnostics.recurrence.fused.processor import registers
from diagnostics.recurrence.fused.vectors import vector

ROWS = 4 if registers() == 32 else 2
"""Rows of a tile: with four vectors each, their sums, the weights and a factor fit into the registers."""


@intrinsic(prefer_literal=True)
def begin(typing: Any, rows: Any, places: Any, strides: Any, lanes: Any) -> Any:
    """The tile that lies at ``places``, an address per vector for row 0, with ``strides`` bytes from row to row.

    ``rows`` is a literal; of each vector only ``lanes`` are read, the others are zero.
    """
    R, V = _literal(rows), len(places)
    addresses = types.UniTuple(types.int64, V)

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        _, places, strides, lanes = arguments
        lanes = vectors._given(sig.args[3], lanes)
        return _together(
            builder,
            [vectors._load(builder, _at(builder, places, strides, v, r), lanes) for v in range(V) for r in range(R)],
        )

    return types.UniTuple(vector, R * V)(rows, addresses, addresses, vectors._which(lanes)), emit


@intrinsic(prefer_literal=True)
def zeros(typing: Any, rows: Any, vectors_across: Any) -> Any:
    """A tile of zeros; ``rows`` and ``vectors_across`` are literals."""
    size = _literal(rows) * _literal(vectors_across)

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return _together(builder, [ir.Constant(vectors._FLOATS, [0.0] * vectors.W)] * size)

    return types.UniTuple(vector, size)(rows, vectors_across), emit


@intrinsic(prefer_literal=True)
def plus(typing: Any, rows: Any, tile: Any, places: Any, strides: Any, lanes: Any) -> Any:
    """``tile`` + what lies in memory, addressed as in ``begin``."""
    R, V = _literal(rows), len(places)
    addresses = types.UniTuple(types.int64, V)

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        _, tile, places, strides, lanes = arguments
        lanes = vectors._given(sig.args[4], lanes)
        sums = []
        for v in range(V):
            for r in range(R):
                there = vectors._load(builder, _at(builder, places, strides, v, r), lanes)
                sums.append(builder.fadd(builder.extract_value(tile, v * R + r), there))
        return _together(builder, sums)

    return tile(rows, tile, addresses, addresses, vectors._which(lanes)), emit


@intrinsic(prefer_literal=True)
def plus_product(
    typing: Any, rows: Any, tile: Any, a: Any, a_row: Any, a_k: Any, p: Any, p_k: Any, p_vector: Any, K: Any, lanes: Any
) -> Any:
    """``tile`` + Σ_k A[r,k] P[k,v], for K ≥ 1: the addresses of A and P, and in bytes what lies between rows, between
    two k, and between vectors. Of P's vectors only ``lanes`` are read, the others are zero."""
    return tile(rows, tile, *[types.int64] * 7, vectors._which(lanes)), _emit_product


def _emit_product(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
    _, tile, a, a_row, a_k, p, p_k, p_vector, K, lanes = arguments
    R, lanes = _literal(sig.args[0]), vectors._given(sig.args[9], lanes)
    V = len(sig.args[1]) // R
    initial = [builder.extract_value(tile, n) for n in range(R * V)]
    before, body, after = builder.block, builder.append_basic_block("product"), builder.append_basic_block("summed")
    builder.branch(body)

    builder.position_at_end(body)
    k = builder.phi(vectors._ADDRESS)
    sums = [builder.phi(vectors._FLOATS) for _ in initial]
    at_k = builder.add(p, builder.mul(p_k, k))
    weights = [vectors._load(builder, _further(builder, at_k, p_vector, v), lanes) for v in range(V)]
    factors = []
    for r in range(R):
        place = builder.add(_further(builder, a, a_row, r), builder.mul(a_k, k))
        scalar = builder.load(vectors._pointer(builder, place, vectors._FLOAT), align=4)
        factors.append(vectors._splat(builder, scalar))
    results = [vectors._fma(builder, factors[n % R], weights[n // R], total) for n, total in enumerate(sums)]
    following = builder.add(k, _integer(1))
    k.add_incoming(_integer(0), before)
    k.add_incoming(following, body)
    for total, start, result in zip(sums, initial, results, strict=True):
        total.add_incoming(start, before)
        total.add_incoming(result, body)
    builder.cbranch(builder.icmp_signed("<", following, K), body, after)

    builder.position_at_end(after)
    return _together(builder, results)


@intrinsic(prefer_literal=True)
def write(typing: Any, rows: Any, tile: Any, places: Any, stride: Any, lanes: Any) -> Any:
    """Write a tile's ``lanes`` to ``places``, an address per vector for row 0, and ``stride`` bytes on per row."""
    R, V = _literal(rows), len(places)

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        _, tile, places, stride, lanes = arguments
        lanes = vectors._given(sig.args[4], lanes)
        for v in range(V):
            for r in range(R):
                place = _further(builder, builder.extract_value(places, v), stride, r)
                vectors._store(builder, place, builder.extract_value(tile, v * R + r), lanes)
        return context.get_dummy_value()

    return types.void(rows, tile, types.UniTuple(types.int64, V), types.int64, vectors._which(lanes)), emit


def _literal(rows: Any) -> int:
    if not isinstance(rows, types.IntegerLiteral):
        raise TypeError(f"rows must be a literal integer, but got {rows}")
    return int(rows.literal_value)


def _integer(value: int) -> Any:
    return ir.Constant(vectors._ADDRESS, value)


def _further(builder: Any, base: Any, stride: Any, count: int) -> Any:
    return builder.add(base, builder.mul(stride, _integer(count)))


def _at(builder: Any, places: Any, strides: Any, v: int, r: int) -> Any:
    return _further(builder, builder.extract_value(places, v), builder.extract_value(strides, v), r)


def _together(builder: Any, values: list[Any]) -> Any:
    result = ir.Constant(ir.ArrayType(vectors._FLOATS, len(values)), ir.Undefined)
    for n, value in enumerate(values):
        result = builder.insert_value(result, value, n)
    return result
