"""One panel of ``singular_values``: quantiles over the directions, of one network or of several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diagnostics.charts.inspected_seeds import span
from diagnostics.measures.numbers import number, power_of_ten
from diagnostics.measures.seeds import Envelope, common_of_logs
from diagnostics.records import Array

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
NAMED = {4: ("largest", "solid", 1.0), 2: ("median", "dash", 1.0), 0: ("least", "dot", 1.0)}
"""The lines, by their place among the quantiles: name, dash, width."""
_LEAST_DECADES = 1.0


class Panel(NamedTuple):
    """Singular values along x as quantiles over the S directions: log10, −inf for exactly 0; ``[5, N]`` and ``[N]``."""

    x: Array
    log10: Array
    """min, lower quartile, median, upper quartile, max; of several seeds the median of each."""
    decades: tuple[float, float]
    over: tuple[Envelope, ...] = ()
    """Of several seeds: what each of these spans."""


def panel_of(x: Array, log10: Sequence[Array]) -> Panel:
    """Lay the quantiles of each seed, of ``[N, S]`` logarithms, together; of one they are its own."""
    found = [_quantiles(values) for values in log10]
    over = tuple(map(common_of_logs, zip(*found, strict=True))) if len(found) > 1 else ()
    shown = np.stack([one.median for one in over]) if over else found[0]
    edges = [edge for index in NAMED for edge in (over[index].low, over[index].high)] if over else []
    drawn = np.concatenate([shown.ravel(), *edges])
    finite = drawn[np.isfinite(drawn)]
    low, high = (float(min(finite.min(), 0)), float(max(finite.max(), 0))) if finite.size else (-1.0, 1.0)
    room = max(0.06 * (high - low), (_LEAST_DECADES - (high - low)) / 2, 0.05)
    return Panel(np.asarray(x), shown, (low - room, high + room), over)


def _quantiles(log10: Array) -> Array:
    """Quantiles over the last axis of [N,S], ``[5, N]``, that never average a number with −inf or nan."""
    ordered = np.sort(log10, axis=1)  # nan last
    at = np.round(np.array(QUANTILES) * (ordered.shape[1] - 1)).astype(int)
    return np.where(np.isnan(ordered[:, -1]), np.nan, ordered[:, at].T)


def last_said(panel: Panel, index: int) -> str:
    """The last value of a line, and what the seeds span there."""
    return f"{value_said(panel.log10[index, -1])}{span(panel.over[index] if panel.over else None, -1, value_said)}"


def value_said(log10: float) -> str:
    """Say the number of which this is the logarithm."""
    if not np.isfinite(log10):
        return "not a number" if np.isnan(log10) else "exactly 0" if log10 < 0 else "infinite"
    return number(10.0**log10) if abs(log10) < 300 else power_of_ten(round(log10))
