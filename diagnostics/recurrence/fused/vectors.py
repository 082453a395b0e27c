"""Vectors of float32 for Numba: as many lanes as a register of this processor has, with the operations that loops need.

Numba has no vector type, and whether LLVM turns a scalar loop into vector code is LLVM's guess. These functions emit
LLVM's vector instructions themselves, so that what is written is what runs. Inside a compiled function a vector has
``+ - * /``; memory is addressed in bytes, by integers. Where a function takes ``lanes``, None means all of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from diagnostics.recurrence.fused.processor import lanes

W = lanes()
"""Lanes of a vector."""

_FLOAT, _WORD, _ADDRESS = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FLOATS, _WORDS, _BITS = (ir.VectorType(kind, W) for kind in (_FLOAT, _WORD, ir.IntType(1)))


class _Vector(types.Type):
    """W float32."""


class _Lanes(types.Type):
    """Which of a vector's lanes count."""


vector, some_lanes = _Vector(name=f"vector{W}"), _Lanes(name=f"lanes{W}")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BITS)


def _operator(function: Callable[..., Any], instruction: str) -> None:
    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, arguments: Any, keywords: Any) -> Any:
            return signature(vector, vector, vector) if arguments == (vector, vector) and not keywords else None

    @lower_builtin(function, vector, vector)
    def _lower(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=("contract",))


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_function, _instruction)


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_WORDS, [0] * W))


def _words(value: int) -> Any:
    return ir.Constant(_WORDS, [value] * W)


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _load(builder: Any, address: Any, lanes: Any) -> Any:
    pointer = _pointer(builder, address, _FLOATS)
    if lanes is None:
        return builder.load(pointer, align=4)
    zeros = ir.Constant(_FLOATS, [0.0] * W)
    return _call(builder, f"llvm.masked.load.v{W}f32.p0", _FLOATS, pointer, ir.Constant(_WORD, 4), lanes, zeros)


def _store(builder: Any, address: Any, value: Any, lanes: Any) -> None:
    pointer = _pointer(builder, address, _FLOATS)
    if lanes is None:
        builder.store(value, pointer, align=4)
    else:
        void = ir.VoidType()
        _call(builder, f"llvm.masked.store.v{W}f32.p0", void, value, pointer, ir.Constant(_WORD, 4), lanes)


def _which(lanes: Any) -> Any:
    """The type of an argument ``lanes`` as the signature has it; raises where it is neither None nor lanes."""
    if lanes not in (types.none, some_lanes):
        raise TypeError(f"lanes must be None or lanes, but got {lanes}")
    return lanes


def _given(kind: Any, value: Any) -> Any:
    return None if kind == types.none else value


@intrinsic
def first(typing: Any, count: Any) -> Any:
    """The first ``count`` lanes."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        one = builder.insert_element(
            ir.Constant(_WORDS, ir.Undefined), builder.trunc(arguments[0], _WORD), ir.Constant(_WORD, 0)
        )
        counts = builder.shuffle_vector(one, ir.Constant(_WORDS, ir.Undefined), _words(0))
        return builder.icmp_signed("<", ir.Constant(_WORDS, list(range(W))), counts)

    return some_lanes(types.int64), emit


@intrinsic
def load(typing: Any, address: Any, lanes: Any) -> Any:
    """The floats from ``address`` on; zero in lanes that do not count."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return _load(builder, arguments[0], _given(sig.args[1], arguments[1]))

    return vector(types.int64, _which(lanes)), emit


@intrinsic
def store(typing: Any, address: Any, value: Any, lanes: Any) -> Any:
    """Write to ``address`` the lanes that count."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        _store(builder, arguments[0], arguments[1], _given(sig.args[2], arguments[2]))
        return context.get_dummy_value()

    return types.void(types.int64, vector, _which(lanes)), emit


@intrinsic
def integer(typing: Any, address: Any) -> Any:
    """The int64 at ``address``."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments[0], _ADDRESS), align=8)

    return types.int64(types.int64), emit


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """``scalar`` in every lane."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return vector(types.float32), emit


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return _fma(builder, *arguments)

    return vector(vector, vector, vector), emit


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call(builder, f"llvm.fma.v{W}f32", _FLOATS, a, b, c)


def _selection(comparison: str) -> Any:
    @intrinsic
    def where(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            a, b, yes, no = arguments
            return builder.select(builder.fcmp_ordered(comparison, a, b), yes, no)

        return vector(vector, vector, vector, vector), emit

    return where


where_less = _selection("<")
"""(a, b, yes, no): ``yes`` where a < b, else ``no``; a not-a-number compares with nothing."""

where_at_most = _selection("<=")
"""(a, b, yes, no): ``yes`` where a ≤ b, else ``no``; a not-a-number compares with nothing."""


@intrinsic
def magnitude(typing: Any, a: Any) -> Any:
    """|a|."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.and_(builder.bitcast(arguments[0], _WORDS), _words(0x7FFFFFFF)), _FLOATS)

    return vector(vector), emit


@intrinsic
def signed_as(typing: Any, a: Any, sign: Any) -> Any:
    """``a`` ≥ 0 with the sign of ``sign``."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        value, sign = (builder.bitcast(argument, _WORDS) for argument in arguments)
        return builder.bitcast(builder.or_(value, builder.and_(sign, _words(-0x80000000))), _FLOATS)

    return vector(vector, vector), emit


@intrinsic
def power_of_two(typing: Any, rounded: Any) -> Any:
    """2ⁿ for −127 ≤ n ≤ 128 (0 and infinity at the two ends), where ``rounded`` is 1.5·2²³ + n."""

    def emit(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        exponent = builder.add(builder.bitcast(arguments[0], _WORDS), _words(127))
        return builder.bitcast(builder.shl(exponent, _words(23)), _FLOATS)

    return vector(vector), emit
