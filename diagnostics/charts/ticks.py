"""Ticks of log axes, reading as powers of ten."""

from __future__ import annotations

from diagnostics.measures.numbers import power_of_ten


def log_ticks(decades: tuple[int, int], most: int = 9) -> dict[str, object]:
    """Return a tick per decade, or per several where there would be more than ``most``, as axis properties."""
    low, high = decades
    every = max(1, -(-(high - low) // most))
    ticks = [tick for tick in range(low, high + 1) if tick % every == 0]
    return {"tickvals": [10.0**tick for tick in ticks], "ticktext": [power_of_ten(tick) for tick in ticks]}
