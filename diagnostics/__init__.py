"""Measure, record, store, draw and export the gradient through time; nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diagnostics.watching.events import Event
    from diagnostics.watching.session import Watch, watch

__all__ = ["Event", "Watch", "watch"]


def __getattr__(name: str) -> Any:
    """``watch``, ``Watch`` and ``Event``, which bring torch with them, where they are asked for."""
    if name in __all__:
        from diagnostics.watching import events, session

        return getattr(events if name == "Event" else session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
