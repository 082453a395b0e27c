"""The sums of one timestep of the plain recurrence, forward and back, written out in LaTeX: every product is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diagnostics.measures.unrolled import Net, Unrolled
from diagnostics.records import Array


def numeral(value: float) -> str:
    """A number in three digits: ``0.336``, ``-0.02``, ``3.1\\cdot10^{-5}``."""
    if not np.isfinite(value):
        return r"\mathrm{nan}" if np.isnan(value) else r"\infty" if value > 0 else r"-\infty"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1e3 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return rf"{mantissa}\cdot10^{{{int(exponent)}}}"


def matrix(values: Array) -> str:
    """A matrix, or a vector as a column."""
    rows = values[:, None] if values.ndim == 1 else values
    return r"\begin{bmatrix}" + r"\\".join("&".join(map(numeral, row)) for row in rows) + r"\end{bmatrix}"


def row(values: Array) -> str:
    """A vector, lying."""
    return "(" + r",\ ".join(map(numeral, values)) + ")"


def products(weights: Array, values: Array) -> list[str]:
    """``w · v`` for each pair; a negative value in brackets."""
    return [rf"{numeral(w)}\cdot{_bracketed(v)}" for w, v in zip(weights, values, strict=True)]


def total(parts: Sequence[str]) -> str:
    """The parts as a sum."""
    return " + ".join(_bracketed_text(part) if place else part for place, part in enumerate(parts)) or "0"


def _bracketed(value: float) -> str:
    return _bracketed_text(numeral(value))


def _bracketed_text(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def forward(net: Net, found: Unrolled, x: Array, wanted: Array, t: int, *, fed: bool, asked: bool) -> str:
    """Step t (from 1) forward: the sum before the tanh, the new state, the answer and its loss."""
    before, now, i = found.h[t - 1], found.h[t], t - 1
    lines = [_whole(net, before, x[i], t, fed=fed)]
    for unit, (a, h) in enumerate(zip(found.a[i], now, strict=True)):
        parts = products(net.w_hh[unit], before) + (products(net.w_xh[unit], x[i]) if fed else [])
        lines += [
            rf"a_{{{t},{unit + 1}}} &= {total(parts)} = {numeral(a)}",
            rf"h_{{{t},{unit + 1}}} &= \tanh({numeral(a)}) = \mathbf{{{numeral(h)}}}",
        ]
    for place, weights in enumerate(net.w_hy):
        name = f"y_{{{t}}}" if len(net.w_hy) == 1 else f"y_{{{t},{place + 1}}}"
        line = (
            rf"{name} &= W_{{hy}} h_{{{t}}} = {total(products(weights, now))} = \mathbf{{{numeral(found.y[i, place])}}}"
        )
        if not asked:
            line += r"\quad\text{(not asked for)}"
        lines.append(line)
    if asked:
        squares = " + ".join(rf"({numeral(y)} - {_bracketed(d)})^2" for y, d in zip(found.y[i], wanted[i], strict=True))
        lines.append(
            rf"L_{{{t}}} &= \tfrac12 {squares if len(net.w_hy) == 1 else f'({squares})'} = {numeral(found.loss[i])}"
        )
    return _aligned(lines)


def _whole(net: Net, before: Array, x: Array, t: int, *, fed: bool) -> str:
    own = rf"W_{{hh}} h_{{{t - 1}}}"
    sums = rf"{matrix(net.w_hh)}{matrix(before)}"
    if fed:
        own += rf" + W_{{xh}} x_{{{t}}}"
        sums += rf" + {matrix(net.w_xh)}{matrix(x)}"
    return rf"a_{{{t}}} &= {own} = {sums}"


def backward(net: Net, found: Unrolled, t: int, T: int) -> str:
    """Step t (from 1) back: what arrives at its state, what goes on, and what it adds to the shared W_hh."""
    i = t - 1
    later = found.back[t] if t < T else np.zeros_like(found.direct[i])
    wy = rf"W_{{hy}}^\top \tfrac{{\partial L}}{{\partial y_{{{t}}}}}"
    arriving = [rf"\tfrac{{\partial L}}{{\partial h_{{{t}}}}} &= {wy}", f"&= {row(found.direct[i])}"]
    if t < T:
        arriving[0] += rf" + W_{{hh}}^\top \delta_{{{t + 1}}}"
        arriving[1] += f" + {row(later)}"
        arriving.append(rf"&= \mathbf{{{row(found.grad_h[t])}}}")
    slope = 1 - found.h[t] ** 2
    return _aligned(
        [
            *arriving,
            rf"\delta_{{{t}}} &= (1 - h_{{{t}}}^2) \odot \tfrac{{\partial L}}{{\partial h_{{{t}}}}}",
            rf"&= {row(slope)} \odot {row(found.grad_h[t])}",
            rf"&= \mathbf{{{row(found.grad_a[i])}}}",
            rf"\text{{back to }} h_{{{t - 1}}}:\quad W_{{hh}}^\top \delta_{{{t}}} &= {row(found.back[i])}",
            rf"\text{{into }} W_{{hh}}:\quad \delta_{{{t}}} h_{{{t - 1}}}^\top &= {matrix(found.grad_w_hh[i])}",
        ]
    )


def _aligned(lines: Sequence[str]) -> str:
    return r"\begin{aligned}" + r"\\[4pt]".join(lines) + r"\end{aligned}"
