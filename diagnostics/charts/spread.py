"""Places for names beside lines whose ends are close to one another."""

from __future__ import annotations

from collections.abc import Sequence


def spread(wanted: Sequence[float], need: float, low: float, high: float) -> list[float]:
    """Return places near the ascending ``wanted`` ones, at least ``need`` apart and within ``low`` … ``high``."""
    places = [max(low, at) for at in wanted]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + need)
    ceiling = high
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - need
    return places
