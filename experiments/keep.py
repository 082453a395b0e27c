"""Which training steps' weights a run keeps, so that it can be looked into later."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostics.records import Array
from diagnostics.store.weights import AT_MOST_BYTES

KEPT_AT_MOST = 11


def steps_to_keep(steps: int, size: int) -> tuple[int, ...]:
    """The numbers of updates after which the weights, ``size`` bytes of them, are kept in a run of ``steps`` updates.

    0 (before any update) and then evenly up to the last: ``KEPT_AT_MOST``, or as many as ``AT_MOST_BYTES`` hold. Where
    that is one, it is the last; where one is too large, none.
    """
    count = min(KEPT_AT_MOST, AT_MOST_BYTES // max(1, size))
    if count < 2:
        return (steps,) * count
    return tuple(sorted({round(place * steps / (count - 1)) for place in range(count)}))


class Keeper:
    """Hands the weights of the planned steps to ``keep``, and those in which training ended; none twice.

    ``present`` gives the weights and the update ratios that there are now. A run that ends early has not reached its
    last planned step, so what is kept in its stead needs no room of its own.
    """

    def __init__(
        self,
        plan: tuple[int, ...],
        present: Callable[[], tuple[Mapping[str, Array], Mapping[str, float]]],
        keep: Callable[[int, Mapping[str, Array], Mapping[str, float]], None],
    ) -> None:
        self._plan = plan
        self._present = present
        self._keep = keep
        self._kept: set[int] = set()

    def after(self, updates: int, *, at_end: bool = False) -> None:
        """Keep what the weights are after so many updates, where that is planned or training has ended."""
        if updates not in self._kept and (updates in self._plan or (at_end and self._plan)):
            self._keep(updates, *self._present())
            self._kept.add(updates)
